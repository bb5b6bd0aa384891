"""Runs the state machines of all triggers over the journal, with their memory in node.db.

A cursor says up to which event everything was seen. It moves, the memories change and the notices enter the outbox in
one transaction: after a crash at any point the events behind the cursor are matched again, and none twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from syncer.events.journal import EventJournal
from syncer.events.memory import Lasting, Memory, Variables
from syncer.events.notice import Notice
from syncer.events.states import STATES, begun, ended, is_over_with
from syncer.events.triggers import Happened, Rule, due, speak, start, take
from syncer.state.store import StateStore
from syncer.state.triggers import (
    ENDED,
    LASTING,
    MemoryRow,
    forget_memory,
    read_cursor,
    read_memories,
    write_cursor,
    write_memory,
)

EVENTS_AT_ONCE = 500
UNSEEN_LOOKED_AT = 10_000
"""Events of problems that no trigger has seen, of which a start takes note."""
CURSOR_EVERY = 1000
"""Events that change nothing, after which the cursor is recorded all the same."""


class Matcher:
    """All triggers of a node; used by one thread."""

    def __init__(
        self,
        store: StateStore,
        journal: EventJournal,
        rules: Sequence[Rule],
        node: str,
        exposure: Callable[[], str] = lambda: "",
    ) -> None:
        """Take up what node.db remembers; `exposure` says what failing over would lose. Raises StateError."""
        self._exposure = exposure
        self._store = store
        self._journal = journal
        self._rules = rules
        self._node = node
        self._memories: dict[str, Memory] = {}
        self._rows: dict[str, MemoryRow] = {}
        self._cursor = 0
        self._recorded = 0
        self._before_start: int | None = None
        self.reload()

    def reload(self) -> None:
        """Forget what is in memory for what node.db remembers: at the start, and after a write that failed."""
        names = {rule.name: rule.event for rule in self._rules}
        with self._store.transaction():
            rows = read_memories(self._store)
            for name, row in rows.items():
                if names.get(name) != row.event:
                    forget_memory(self._store, name)
            cursor = read_cursor(self._store)
            if cursor is None:
                # What happened before there was a trigger is no news.
                cursor = self._journal.last_id()
                write_cursor(self._store, cursor)
        self._cursor = self._recorded = cursor
        self._rows = {name: row for name, row in rows.items() if names.get(name) == row.event}
        self._memories = {name: _memory(row) for name, row in self._rows.items()}
        for rule in self._rules:
            self._memories.setdefault(rule.name, Memory())

    def start(self, now: float) -> None:
        """The agent starts: doubt what may have ended while none ran. Raises StateError."""
        # CRASH: of the one before, events may be left that no trigger has seen: what they begin is doubted, too.
        self._before_start = self._journal.last_id()
        changed = self._doubt(now)
        if changed:
            self._record(changed, [], lambda _: None)

    def change(self, rules: Sequence[Rule]) -> None:
        """Go on with other triggers; those that stay as they are keep what they remember. Raises StateError."""
        # What the old ones have seen is no news for the new ones.
        write_cursor(self._store, self._cursor)
        self._rules = rules
        self.reload()

    def match(self, now: float, keep: Callable[[list[Notice]], None]) -> bool:
        """Take in the next events, and speak; `keep` writes the notices in the same transaction.

        Tells whether there may be more events. Raises StateError: then reload.
        """
        events = self._journal.after(self._cursor, EVENTS_AT_ONCE)
        changed: set[str] = set()
        before_start = self._before_start
        for event in events:
            if before_start is not None and event.id > before_start:
                changed |= self._doubt(now)
                before_start = None
            happened = Happened(event.at, event.name, event.variables)
            changed.update(rule.name for rule in self._rules if take(rule, self._memories[rule.name], happened, now))
        notices: list[Notice] = []
        exposure: str | None = None
        for rule in self._rules:
            said = (
                speak(rule, self._memories[rule.name], self._node, now) if self._may_speak(rule, changed, now) else []
            )
            if said:
                # Looked up before the transaction, and only where there is something to tell.
                exposure = self._exposure() if exposure is None else exposure
                notices += [notice._replace(exposure=exposure) for notice in said]
                changed.add(rule.name)
        if before_start is not None and len(events) < EVENTS_AT_ONCE:
            changed |= self._doubt(now)
            before_start = None
        if events:
            self._cursor = events[-1].id
        if changed or self._cursor - self._recorded >= CURSOR_EVERY:
            self._record(changed, notices, keep)
        self._before_start = before_start
        return len(events) == EVENTS_AT_ONCE

    def due(self, now: float) -> float | None:
        """Return when something is to be told without another event; None: never."""
        times = [due(rule, self._memories[rule.name], now) for rule in self._rules]
        return min((time for time in times if time is not None), default=None)

    def _doubt(self, now: float) -> set[str]:
        return {rule.name for rule in self._rules if start(rule, self._memories[rule.name], now)}

    def _may_speak(self, rule: Rule, changed: set[str], now: float) -> bool:
        if rule.name in changed:
            return True
        time = due(rule, self._memories[rule.name], now)
        return time is not None and time <= now

    def _record(self, changed: set[str], notices: list[Notice], keep: Callable[[list[Notice]], None]) -> None:
        rows = {rule.name: _row(rule, self._memories[rule.name]) for rule in self._rules if rule.name in changed}
        # CRASH: cursor, memories and notices in one: else an event would be told twice, or never.
        with self._store.transaction():
            write_cursor(self._store, self._cursor)
            for name, row in rows.items():
                write_memory(self._store, name, self._rows.get(name), row)
            if notices:
                keep(notices)
        self._recorded = self._cursor
        self._rows.update(rows)


def forget_triggers(store: StateStore) -> None:
    """No trigger is configured: what happens from now on is no news for one that will be. Raises StateError."""
    if read_cursor(store) is None:
        return
    with store.transaction():
        for name in read_memories(store):
            forget_memory(store, name)
        write_cursor(store, None)


def memories_of(store: StateStore) -> dict[str, tuple[str, Memory]]:
    """Return what each trigger remembers, with the event it is on; for display."""
    return {name: (row.event, _memory(row)) for name, row in read_memories(store).items()}


def problems_told(store: StateStore, journal: EventJournal) -> list[Variables]:
    """Return the variables of the problems that triggers believe to last, or will once they read on. Raises StateError.

    Without triggers there are none.
    """
    cursor = read_cursor(store)
    if cursor is None:
        return []
    found = {
        subject: state.variables
        for event, memory in memories_of(store).values()
        if event == "problem"
        for subject, state in memory.lasting.items()
    }
    names = ("problem", "problem.cleared", *STATES["problem"].over_with)
    for row in journal.after(cursor, UNSEEN_LOOKED_AT, names=names):
        if is_over_with("problem", row.name):
            found.clear()
        for _, subject in ended(row.name, row.variables):
            found.pop(subject, None)
        if subject_begun := begun(row.name, row.variables):
            found[subject_begun] = row.variables
    return list(found.values())


def _memory(row: MemoryRow) -> Memory:
    lasting = {subject: Lasting.loaded(text) for (phase, subject), text in row.subjects.items() if phase == LASTING}
    over = {subject: Lasting.loaded(text) for (phase, subject), text in row.subjects.items() if phase == ENDED}
    return Memory.loaded(row.document, lasting, over)


def _row(rule: Rule, memory: Memory) -> MemoryRow:
    lasting = {(LASTING, subject): state.dumped() for subject, state in memory.lasting.items()}
    over = {(ENDED, subject): state.dumped() for subject, state in memory.ended.items()}
    return MemoryRow(rule.event, memory.dumped(), {**lasting, **over})
