"""The triggers of a node follow its configuration: none, some, others, none again."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncer.config import Settings, load
from syncer.errors import StateError
from syncer.events.journal import EventJournal
from syncer.node.alarms import NodeAlarms, rule_of
from syncer.state.store import StateStore
from tests.servers import Hook, http_server


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    with StateStore.open(tmp_path / "state", create=True) as found:
        yield found


def settings(folder: Path, tables: str) -> Settings:
    file = folder / "syncer.toml"
    file.write_text(f'[node]\nname = "n"\nmode = "failover"\nstate = "{folder / "state"}"\n{tables}')
    return load(file)


def degraded(journal: EventJournal, domain: str) -> None:
    journal.record("watch.degraded", domain=domain, reason="x")


def until(condition: Any) -> None:
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        threading.Event().wait(0.005)


def test_a_reload_takes_other_triggers_over(store: StateStore, tmp_path: Path) -> None:
    with http_server(Hook()) as hook:

        def table(path: str) -> str:
            where = f'webhook = {{ url = "http://127.0.0.1:{hook.port}/{path}" }}\n'
            return f'[[triggers]]\nname = "{path}"\nevent = "watch.degraded"\nthrottle = 0\n{where}'

        def posted() -> list[str]:
            return [found.path for found in hook.posted]

        journal = EventJournal(store, "n")
        alarms = NodeAlarms(settings(tmp_path, ""), store, journal)
        alarms.start()
        degraded(journal, "unseen")
        journal.flush()
        alarms.change(settings(tmp_path, table("one")))
        degraded(journal, "a")
        until(lambda: posted() == ["/one"])
        alarms.change(settings(tmp_path, table("one") + table("two")))
        until(lambda: alarms._alarms is not None and alarms._alarms._changed is None)
        degraded(journal, "b")
        until(lambda: sorted(posted()) == ["/one", "/one", "/two"])
        alarms.change(settings(tmp_path, ""))
        degraded(journal, "unseen, too")
        journal.flush()
        alarms.change(settings(tmp_path, table("three")))
        degraded(journal, "c")
        until(lambda: len(posted()) == 4)
        alarms.close()
        journal.close()
    assert posted()[-1] == "/three"
    assert b"unseen" not in b"".join(found.body for found in hook.posted)


def test_what_is_told_says_what_would_be_lost_and_a_fault_there_keeps_nothing_from_being_told(
    store: StateStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    answers: list[Any] = ["failing over now would lose 3 changes", StateError("the disk is full")]

    def exposure() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    with http_server(Hook()) as hook:
        table = f'webhook = {{ url = "http://127.0.0.1:{hook.port}/" }}\n'
        found = settings(tmp_path, f'[[triggers]]\nname = "t"\nevent = "watch.degraded"\nthrottle = 0\n{table}')
        journal = EventJournal(store, "n")
        alarms = NodeAlarms(found, store, journal)
        alarms.exposure = exposure
        alarms.start()
        for number, domain in enumerate("ab", 1):
            degraded(journal, domain)
            until(lambda count=number: len(hook.posted) == count)
        alarms.close()
        journal.close()
    said = [json.loads(posted.body)["exposure"] for posted in hook.posted]
    assert said == ["failing over now would lose 3 changes", ""]
    assert "cannot be told: the disk is full" in caplog.text


def test_a_condition_without_an_answer_is_no_yes_and_is_told_once_a_minute(tmp_path: Path) -> None:
    found = settings(
        tmp_path, '[[triggers]]\nname = "t"\nevent = "drift.detected"\nwhen = "10 / paths > 1"\nexec = ["true"]\n'
    ).alarms
    raised: list[tuple[str, Any]] = []
    rule = rule_of(found.triggers[0], found, lambda name, variables: raised.append((name, variables)))
    event = {"node": "n", "domain": "d", "sample": "x", "policy": "report"}
    assert rule.holds({**event, "paths": 3})
    for _ in range(10):
        assert not rule.holds({**event, "paths": 0})
    assert [name for name, _ in raised] == ["condition.failed"]
    assert raised[0][1] == {"failed_trigger": "t", "reason": "divide by zero, for the event drift.detected"}
