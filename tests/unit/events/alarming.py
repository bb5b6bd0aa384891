"""What the tests of alarms at work share: a trigger, its events, who is told, and a node's triggers running."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from syncer.events.alarms import Alarms
from syncer.events.delivery import Answer, Deliver, Outcome, Parcel
from syncer.events.journal import EventJournal
from syncer.events.outbox import Act, Duty
from syncer.events.triggers import Rule
from syncer.state.store import StateStore

DONE = Answer(Outcome.DONE, "250 OK")


def rule(name: str = "t", event: str = "sync", **changes: Any) -> Rule:
    return Rule(name, event, lambda found: not found.get("success"), 0.0, 0.0, True)._replace(**changes)


def sync(success: bool, target: str = "a") -> dict[str, Any]:
    counts: dict[str, Any] = {"changes": 0, "bytes": 0, "seconds": 0.0, "consecutive_failures": int(not success)}
    counts["error_class"] = "" if success else "unreachable"
    return {"success": success, "kind": "full", "target": target, "domain": "d", "error": "x", **counts}


class Receiver:
    """Takes parcels as it is told, and remembers them."""

    def __init__(self, *answers: Answer) -> None:
        self.parcels: list[Parcel] = []
        self.answers = list(answers)
        self.news = threading.Condition()

    def __call__(self, parcel: Parcel) -> Answer:
        with self.news:
            self.parcels.append(parcel)
            self.news.notify_all()
            return self.answers.pop(0) if self.answers else DONE

    def wait_for(self, count: int) -> list[Parcel]:
        with self.news:
            assert self.news.wait_for(lambda: len(self.parcels) >= count, 60), f"{len(self.parcels)} of {count} came"
            return self.parcels


@contextlib.contextmanager
def alarmed(
    store: StateStore, deliver: Deliver, *rules: Rule, receivers: tuple[str, ...] = (), give_up: float = 3600.0
) -> Iterator[EventJournal]:
    """Run a journal with these triggers, each with one action."""
    journal = EventJournal(store, "n")
    duties = {found.name: Duty({"email": Act(deliver, receivers, "shown")}, give_up) for found in rules}
    alarms = Alarms(store, journal, rules, duties, "n")
    alarms.start()
    try:
        yield journal
    finally:
        alarms.close()
        journal.close()


def until(condition: Callable[[], object], what: str) -> None:
    """Wait on the database, which tells nobody of its changes."""
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit, f"waited in vain until {what}"
        threading.Event().wait(0.005)


def names(store: StateStore) -> list[str]:
    with store.read() as reader:
        return [row[0] for row in reader.execute("SELECT name FROM event ORDER BY id")]
