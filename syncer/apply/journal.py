"""Makes durable what a transaction is going to do, before its first visible change.

The record tells of each path where its new thing waits in the stage and which inode that is, and of each path that
goes where it is put. After a crash that is enough to see which steps were taken and to take the others: a thing
whose inode stands at its path is in place, one that still waits in the stage is not.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from syncer.apply.before import AppliedRows, IsAsApplied, displaced_rows, makes_generation
from syncer.apply.execution import Work
from syncer.apply.plan import Action, Found, Survey
from syncer.apply.values import Applied
from syncer.model import Entry, Kind, Patterns, Term
from syncer.state.base import BaseRow
from syncer.state.cursors import Standing
from syncer.state.generations import (
    Generation,
    add_displaced,
    complete_generation,
    forget_displaced,
    forget_generation,
    open_generation,
)
from syncer.state.intents import Intent, IntentStep, end_intent, read_intent, write_intent
from syncer.state.store import StateStore


class Promise(Protocol):
    """Records, in the commit that makes a transaction certain, what is left to do once it is visible."""

    def __call__(self, writer: sqlite3.Connection, after: Standing, /, *, changed: bool) -> None:
        """Record it for the standing `after`; `changed` is False where nothing visible changes."""


class Opening(NamedTuple):
    """What a transaction is for, apart from its changes."""

    standing: Standing
    """Where the domain stands when it is done, with the generation from before."""
    full: bool
    patterns: Patterns
    kind: str
    """partial | full | rollback."""
    source_name: str
    term: Term
    adopted: Sequence[BaseRow] = ()
    """Paths that are equal already, and that the base learns of."""
    vanished: Sequence[bytes] = ()
    """Paths that the base forgets, and of which nothing stands on the disk."""
    promise: Promise | None = None
    resumed: bool = False
    """A person let production go on after a rollback."""


class Journal(Protocol):
    """Where intents are written."""

    def begin(self, opening: Opening, work: Work, survey: Survey, stage: bytes, as_applied: IsAsApplied) -> int:
        """Make the intent durable; return the number of the generation that its commit makes."""

    def cancel(self) -> None:
        """Forget the intent with its generation: everything visible was taken back."""

    def stages_in_use(self) -> set[bytes]:
        """Return the names of stages that hold what an open transaction needs or a generation displaced."""


class StateJournal:
    """The journal of one domain in node.db."""

    def __init__(self, store: StateStore, domain: str, base: AppliedRows) -> None:
        """Write into `store`."""
        self._store = store
        self._domain = domain
        self._base = base

    def pending(self) -> Intent | None:
        """Return the transaction that was not committed, or None."""
        return read_intent(self._store, self._domain)

    def begin(self, opening: Opening, work: Work, survey: Survey, stage: bytes, as_applied: IsAsApplied) -> int:
        """Make the intent durable, with a generation and what it displaces where it changes anything."""
        makes = makes_generation(work.plan)
        standing = opening.standing._replace(generation=opening.standing.generation + makes)
        intent = Intent(standing, opening.full, stage, opening.patterns, [])
        places = {path: place.path for path, place in work.places.items()}
        with self._store.transaction() as writer:
            write_intent(writer, self._domain, intent, intent_steps(opening, work, survey))
            if opening.promise is not None:
                # CRASH: with the intent, since recovery ends the transaction without asking anyone again.
                opening.promise(writer, standing, changed=True)
            rows = displaced_rows(work.plan, survey, self._base, places, work.asides, as_applied)
            if not makes:
                # What moves only moments of directories belongs to the state that it is added to.
                add_displaced(writer, self._domain, standing.generation, rows)
            else:
                plan = work.plan
                changes = sum(1 for step in plan.steps if step.action is not Action.RECORD) + len(plan.removals)
                generation = Generation(
                    standing.generation, time.time(), opening.kind, standing.source_node, opening.source_name,
                    opening.term, standing.cursor.seq, changes, False, "", stage,
                )  # fmt: skip  # one generation
                open_generation(writer, self._domain, generation, rows)
        return standing.generation

    def cancel(self) -> None:
        """Forget the intent with its generation."""
        with self._store.transaction() as writer:
            intent = self.pending()
            end_intent(writer, self._domain)
            if intent is not None:
                self._forget_incomplete(intent.standing.generation)

    def stages_in_use(self) -> set[bytes]:
        """Return the names of stages that hold what an open transaction needs or a generation displaced."""
        query = "SELECT stage FROM generation WHERE domain = ?1 UNION SELECT stage FROM intent WHERE domain = ?1"
        with self._store.read() as reader:
            return {stage for (stage,) in reader.execute(query, (self._domain,)) if stage}

    def end(self, generation: int, applied: Applied) -> None:
        """Note that the transaction is committed; joins the caller's transaction."""
        with self._store.transaction() as writer:
            end_intent(writer, self._domain)
            forget_displaced(writer, self._domain, generation, applied.dropped)
            # A stage in which nothing lies serves the next transaction, so no generation may call it its own.
            complete_generation(writer, self._domain, generation, keeps_stage=applied.fills_stage)

    def _forget_incomplete(self, number: int) -> None:
        with self._store.transaction() as writer:
            row = writer.execute(
                "SELECT complete FROM generation WHERE domain = ? AND number = ?", (self._domain, number)
            ).fetchone()
            if row == (0,):
                forget_generation(writer, self._domain, number)


def intent_steps(opening: Opening, work: Work, survey: Survey) -> Iterator[IntentStep]:
    """Yield all that recovery must know, in the order in which it is done."""
    plan, places, identities = work.plan, work.places, work.identities
    for step in plan.steps:
        action, path, entry, found, uid, gid, _ = step
        if path in work.dropped:
            continue
        over = 0 if found is None else found.kind.value
        if action is Action.PLACE:
            yield IntentStep("place", path, entry, places[path].path, identities[path].inode, over, uid, gid)
        else:
            yield IntentStep(action.value, path, entry, b"", 0, over, uid, gid)
    for row in opening.adopted:
        yield IntentStep("record", row.entry.path, row.entry)
    for removal in plan.removals:
        found = survey.found.get(removal.path)
        if found is not None and removal.path in work.unlinks:
            yield IntentStep("unlink", removal.path, inode=found.identity.inode, over=found.kind.value)
        elif found is not None and removal.path in work.asides:
            action_name = "remove_tree" if removal.path in work.wholes else "remove"
            yield IntentStep(
                action_name, removal.path, None, work.asides[removal.path], found.identity.inode, found.kind.value
            )
    for path in (*plan.deletions, *opening.vanished):
        yield IntentStep("forget", path)
    for path, found in work.parents.items():
        yield IntentStep("keep", path, _directory(path, found), over=Kind.DIRECTORY.value, atime_ns=found.atime_ns)
    for path, reason in {**plan.problems, **work.problems}.items():
        yield IntentStep("problem", path, note=reason)


def _directory(path: bytes, found: Found) -> Entry:
    return Entry(path, Kind.DIRECTORY, found.mode, found.uid, found.gid, "", "", found.identity.mtime_ns, 0, b"", b"")
