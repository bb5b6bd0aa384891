"""What stands at the paths that a transaction changes, before it does: the rows of a generation (pure)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from syncer.apply.plan import Action, Found, Plan, Step, Survey, beneath_any
from syncer.apply.values import BaseReader
from syncer.model import DiskIdentity, Entry, Kind, Known
from syncer.state.generations import Displaced

IsAsApplied = Callable[[Known, DiskIdentity], bool]
"""Tells whether what was found with an identity is still what the base knows."""


def displaced_rows(
    plan: Plan, survey: Survey, base: BaseReader, places: Mapping[bytes, bytes], asides: Mapping[bytes, bytes],
    as_applied: IsAsApplied,
) -> Iterator[Displaced]:  # fmt: skip  # one argument list
    """Yield a row for each path that the plan changes.

    `places`: path → where it is staged, which is where what stood there ends up; `asides`: path → where what is
    removed is put; `as_applied` tells whether what the base knows still stands.
    """
    replaced: set[bytes] = set()
    for step in plan.steps:
        path, found = step.path, step.found
        if step.action is Action.RECORD:
            continue
        if found is None:
            # RACE: what someone makes there before our rename is put where our thing was staged.
            yield Displaced(path, None, False, places.get(path, b""))
            continue
        moved = step.action is Action.PLACE
        if moved and found.kind is Kind.DIRECTORY:
            replaced.add(path)
        place = places.get(path, b"") if moved else b""
        yield _row(path, found, base, as_applied, place, step.entry if found.same else None)
    removed = {removal.path for removal in plan.removals}
    for path in plan.deletions:
        found = survey.found.get(path)
        if found is not None and (path in removed or (replaced and beneath_any(path, replaced))):
            yield _row(path, found, base, as_applied, asides.get(path, b""))


def makes_generation(plan: Plan) -> bool:
    """Tell whether a plan changes anything that a person would want to go back from.

    A directory's mtime alone does not: it moves with everything in it.
    """
    return bool(plan.removals) or any(
        step.action in (Action.PLACE, Action.BUILD)
        or (step.action is Action.ADJUST and not (step.entry.kind is Kind.DIRECTORY and _only_mtime(step.found, step)))
        for step in plan.steps
    )


def _only_mtime(found: Found | None, step: Step) -> bool:
    uid, gid, entry = step.uid, step.gid, step.entry
    return found is not None and found.mode == entry.mode and found.uid == uid and found.gid == gid


def _row(
    path: bytes, found: Found, base: BaseReader, as_applied: IsAsApplied, place: bytes, equal: Entry | None = None
) -> Displaced:
    """`equal`: the entry whose content stands there already."""
    known = base.get(path)
    if known is not None and known.entry.kind is found.kind and as_applied(known, found.identity):
        return Displaced(path, known.entry, False, place)
    size = found.identity.size if found.kind is Kind.FILE else 0
    mode = 0 if found.kind is Kind.SYMLINK else found.mode
    entry = Entry(path, found.kind, mode, found.uid, found.gid, "", "", found.identity.mtime_ns, size, b"", b"")
    if equal is not None:
        attributes = equal.attributes if found.same_attributes else found.attributes
        entry = entry._replace(digest=equal.digest, link_target=equal.link_target, attributes=attributes)
    return Displaced(path, entry, True, place)
