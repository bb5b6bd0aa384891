"""Brings a domain on failover back to an earlier generation, as a transaction of its own.

Called on the domain's worker thread, so never beside a transaction of production.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from syncer.apply.applier import Applied, Attempt
from syncer.apply.journal import Promise
from syncer.apply.retention import reachable
from syncer.apply.rollback import (
    WayBack,
    needed_contents,
    plan_rollback,
    sample_of,
    unrestorable,
    with_parents,
)
from syncer.errors import ApplyError, CheckFailedError, RefusedError, UnavailableRootError
from syncer.model import Kind, Known, Problem
from syncer.replicate.compare import Difference, plan_item, same_entry
from syncer.replicate.destination import Destination
from syncer.replicate.kept import KeptOut
from syncer.replicate.messages import PlanItem
from syncer.replicate.progress import first_lines
from syncer.state.generations import read_displaced
from syncer.state.kept import read_unkept
from syncer.state.term import read_term

PIECE = 1 << 20


class RollbackPlan(NamedTuple):
    """What a rollback would do (generation: where the domain stands now)."""

    generation: int
    target: int
    way: WayBack
    items: list[PlanItem]


class RollbackDone(NamedTuple):
    """What a rollback did: the generation that it made, and what did not work."""

    generation: int
    problems: list[Problem]


def plan(destination: Destination, target: int) -> RollbackPlan:
    """Say what going back to generation `target` would change; takes what was displaced in first.

    Raises RefusedError where that state cannot be brought back, naming what lacks, UnavailableRootError where
    the root must not be written to, DiskError.
    """
    destination.require_usable_root()
    history = destination.history
    history.take_all_in()
    numbers = [generation.number for generation in history.generations() if generation.complete]
    possible = reachable(numbers)
    standing = destination.standing()
    now = standing.generation if standing is not None else 0
    if target not in possible or now != numbers[-1]:
        raise RefusedError(_unreachable(destination, target, now, possible if numbers and now == numbers[-1] else None))
    above = [number for number in reversed(numbers) if number > target]
    way = plan_rollback(read_displaced(destination.store, destination.domain, number) for number in above)
    edits, _ = destination.local_edits()
    # What keep_local names is this node's own, and was never part of any generation.
    way = way._replace(changes=KeptOut(destination.kept, destination.known).changes(way.changes))
    way = with_parents(way, edits, [known for path in edits if (known := destination.known(path)) is not None])
    _require_contents(destination, target, way, edits, above)
    return RollbackPlan(now, target, way, _items(destination, way, edits))


def roll_back(destination: Destination, chosen: RollbackPlan, person: str) -> RollbackDone:
    """Carry out what `plan` said, as a transaction of its own, and keep production from undoing it.

    Raises ApplyError where the disk refuses, RefusedError where the domain's check does: nothing has changed then.
    """
    hold = destination.rolled_back
    before = destination.checked.result()
    attempt = destination.attempt(chosen.way.changes, read_term(destination.store))
    try:
        done = _carry_out(destination, chosen, attempt, hold.promise(chosen.target, person))
    except CheckFailedError as failed:
        hold.withdraw()
        destination.checked.keep_result(before)
        said = "; ".join(first_lines(failed.failure.output))
        raise RefusedError(
            f"generation {chosen.target} of {destination.domain} was not brought back: its check "
            f"({failed.failure.command}) refuses it, exit {failed.failure.exit}{': ' if said else ''}{said}; nothing "
            "was changed"
        ) from failed
    except BaseException:
        # What has an intent is carried to its end later, with what was promised for it.
        if destination.is_undone():
            hold.withdraw()
        raise
    destination.checked.acknowledged()
    return done


def bring_back(destination: Destination, target: int) -> RollbackDone | None:
    """Undo on the spot what a check refused after it was committed; production goes on with what it sends next.

    Returns None where there is nothing to undo. Raises ApplyError where that cannot be done.
    """
    standing = destination.standing()
    if standing is not None and standing.generation == target:
        # What was refused had changed nothing that a generation tells of.
        return None
    try:
        chosen = plan(destination, target)
        return _carry_out(destination, chosen, destination.unchecked_attempt(chosen.way.changes), None)
    except (RefusedError, UnavailableRootError) as error:
        raise ApplyError(str(error)) from error


def _carry_out(
    destination: Destination, chosen: RollbackPlan, attempt: Attempt, promise: Promise | None
) -> RollbackDone:
    opening = destination.opening_of_rollback(promise)
    try:
        wanted = attempt.wanted()
        opened = destination.history.opener() if wanted else None
        for digest in wanted:
            _supply(destination.domain, attempt, digest, opened(digest) if opened is not None else None)
    except BaseException:
        attempt.discard()
        raise
    applied = destination.finish(attempt, opening)
    number = destination.commit_rollback(_without_edited(applied, chosen.way), opening)
    return RollbackDone(number, applied.problems)


def _supply(domain: str, attempt: Attempt, digest: bytes, descriptor: int | None) -> None:
    if descriptor is None:
        raise RefusedError(
            f"the content {digest.hex()[:16]}… was in the history of {domain} a moment ago and is not "
            "any more: nothing was changed; run `syncer rollback` again, which says what can be brought back"
        )
    try:
        size, offset = os.fstat(descriptor).st_size, 0
        while offset < size:
            # A content that is damaged ends here: it does not have the digest that it is written under.
            piece = os.read(descriptor, PIECE)
            attempt.write(digest, piece, offset, offset + len(piece) < size)
            offset += len(piece) or size
    finally:
        os.close(descriptor)


def _without_edited(applied: Applied, way: WayBack) -> Applied:
    """Keep what had been edited here out of the base: it is an edit again, which no one at production has."""
    edited = way.edited - {b""}
    if not edited:
        return applied
    return applied._replace(
        upserts=[row for row in applied.upserts if row.entry.path not in edited],
        deletions=[*applied.deletions, *edited],
    )


def _require_contents(
    destination: Destination, target: int, way: WayBack, edits: dict[bytes, Known | None], above: list[int]
) -> None:
    lacking = destination.history.lacking(needed_contents(way.changes))
    missing = {digest for digest in lacking if not _stands(destination, digest, edits)}
    paths = unrestorable(way.changes, missing)
    if not paths:
        return
    reasons: dict[bytes, str] = {}
    for number in above:
        reasons.update(read_unkept(destination.store, destination.domain, number))
    raise RefusedError(
        f"generation {target} of {destination.domain} cannot be brought back, because the history lacks "
        f"{sample_of(paths, reasons)}: choose a later generation (`syncer history {destination.domain}`)"
    )


def _stands(destination: Destination, digest: bytes, edits: dict[bytes, Known | None]) -> bool:
    """Tell whether a file with this content stands on the disk; what was found there counts where it was read."""
    for path in destination.paths_with_digest(digest):
        found = edits.get(path)
        if path not in edits or (found is not None and found.entry.digest == digest):
            return True
    return False


def _items(destination: Destination, way: WayBack, edits: dict[bytes, Known | None]) -> list[PlanItem]:
    items = []
    for change in way.changes:
        here = edits[change.path] if change.path in edits else destination.known(change.path)
        entry = here.entry if here is not None else None
        if change.entry is None and entry is None:
            continue
        if change.entry is not None and entry is not None and same_entry(change.entry, entry):
            continue
        if entry is not None and entry.kind is Kind.UNKNOWN and change.entry is None:
            continue
        items.append(plan_item(Difference(change, entry)))
    return items


def _unreachable(destination: Destination, target: int, now: int, possible: range | None) -> str:
    domain = destination.domain
    if target == now and now:
        return f"generation {target} is where {domain} stands: there is nothing to roll back"
    if not possible:
        return (
            f"{domain} has no history to roll back with: nothing was displaced yet, or history.generations is 0 "
            "in its configuration"
        )
    return (
        f"{domain} cannot go back to generation {target}: only those from {possible.start} to {possible.stop - 1} are "
        f"kept (see `syncer history {domain}`)"
    )
