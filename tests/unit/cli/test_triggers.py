"""`syncer trigger` and `syncer outbox`: what is printed, and which usage is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.documented import examples

Run = Callable[..., tuple[int, str, str]]


def test_the_list_says_how_each_trigger_stands(run: Run, agent: Any) -> None:
    code, out, _ = run("trigger", "list")
    assert code == 0
    assert "sync failed: on sync when !success; throttled until " in out
    assert "3 events held back" in out
    assert "lasts since" in out
    assert "email ops@example.com: last done" in out
    document = examples()["trigger-list"]
    document["triggers"][0] |= {"state": "armed", "when": "", "lasting": [], "lasting_count": 7, "after_seconds": 60.0}
    document["triggers"][0]["actions"][0] |= {"waiting": 2, "given_up": 1, "last_error": "550 no\x1b[31m"}
    agent.answer("trigger_list", document | {"exit_code": 3})
    code, out, _ = run("trigger", "list")
    assert code == 3
    assert "on sync; armed" in out
    assert "and 7 more states" in out
    assert "2 waiting; 1 given up; 550 no\\x1b[31m" in out
    agent.answer("trigger_list", {"triggers": [], "exit_code": 0})
    assert "no trigger is configured" in run("trigger", "list")[1]


def test_a_test_says_what_was_answered(run: Run, agent: Any) -> None:
    assert run("trigger", "test", "sync failed") == (0, "email ops@example.com: done: 250 OK\n", "")
    assert agent.calls == [("trigger_test", {"name": "sync failed"})]
    failed = examples()["trigger-test"] | {"exit_code": 1}
    failed["actions"][0] |= {"done": False, "answer": "550 no such user"}
    agent.answer("trigger_test", failed)
    assert run("trigger", "test", "x")[:2] == (1, "email ops@example.com: failed: 550 no such user\n")


def test_the_outbox_shows_what_waits_and_what_was_given_up(run: Run, agent: Any) -> None:
    code, out, _ = run("outbox")
    assert code == 0
    assert "12 sync failed, email to ops@example.com, since " in out
    assert "tried 2 times: mail.example.com:587: Connection refused; next try " in out
    row = examples()["outbox"]["waiting"][0] | {"given_up": "2026-01-31T12:01:10+00:00", "next_try": None}
    agent.answer("outbox", {"waiting": [], "given_up": [row], "lost": 0, "exit_code": 3})
    assert "; given up " in run("outbox")[1]
    agent.answer("outbox", {"waiting": [], "given_up": [], "lost": 7, "exit_code": 3})
    assert run("outbox")[1] == "7 actions never kept, since too many waited\n"
    agent.answer("outbox", {"waiting": [], "given_up": [], "lost": 0, "exit_code": 0})
    assert run("outbox")[1] == "nothing waits, and nothing was given up\n"


def test_retrying_and_dropping(run: Run, agent: Any) -> None:
    assert run("outbox", "--retry", "--all")[:2] == (0, "1 action to be tried now\n")
    assert run("outbox", "--drop", "12", "13", "--yes")[:2] == (0, "1 action forgotten\n")
    assert run("outbox", "--drop", "--given-up", "--yes")[:2] == (0, "1 action forgotten\n")
    assert agent.calls == [
        ("outbox_change", {"change": "retry", "ids": [], "all": True, "given_up": False}),
        ("outbox_change", {"change": "drop", "ids": [12, 13], "all": False, "given_up": False}),
        ("outbox_change", {"change": "drop", "ids": [], "all": False, "given_up": True}),
    ]
    # Nobody can be asked.
    assert run("outbox", "--drop", "12")[0] == 4


@pytest.mark.parametrize(
    "arguments",
    [
        ("12",),
        ("--all",),
        ("--given-up",),
        ("--drop", "--all", "--given-up"),
        ("--retry",),
        ("--drop", "--yes"),
        ("--retry", "--drop", "12"),
        ("--retry", "--all", "1"),
    ],
)
def test_half_a_wish_is_refused(run: Run, agent: Any, arguments: tuple[str, ...]) -> None:
    assert run("outbox", *arguments)[0] == 2
    assert agent.calls == []
