"""Hooks around a procedure: what each is told, which failure stops it, and that nothing secret is shown."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from syncer.config.programs import HOOKS
from syncer.config.settings import HookSettings
from syncer.demo.node import wait_until
from syncer.errors import ApplyError, HookError
from syncer.events.catalogue import checked
from syncer.services.command import CommandRunner
from syncer.services.hooks import About, Hooks

ABOUT = About("prod-a", "dr-a", 3, "planned", "p-1", "reverse")


class Recorded:
    """Takes the events."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def __call__(self, name: str, variables: Mapping[str, Any]) -> None:
        assert name == "hook.failed"
        self.events.append(checked(name, {"node": "n", **variables}))


def hooks(record: Recorded, hook: str, script: str, runner: CommandRunner | None = None) -> Hooks:
    words: dict[str, Any] = {hook: ("/bin/sh", "-c", script)}
    return Hooks(replace(HookSettings(timeout=20.0), **words), runner or CommandRunner(), record)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_told_of_what_it_is_run_for(hook: str) -> None:
    told = "$SYNCER_HOOK $SYNCER_NODE $SYNCER_PEER $SYNCER_TERM $SYNCER_KIND $SYNCER_PROCEDURE $SYNCER_PROCEDURE_KIND"
    record = Recorded()
    found = hooks(record, hook, f'[ "{told}" = "{hook} prod-a dr-a 3 planned p-1 reverse" ] && echo told').run(
        hook, ABOUT
    )
    assert (found.is_ok, found.report.output) == (True, "told")
    assert record.events == []


@pytest.mark.parametrize("hook", HOOKS)
def test_one_that_comes_before_stops_and_one_that_comes_after_is_told(hook: str) -> None:
    record = Recorded()
    failing = hooks(record, hook, "echo cannot reach it; echo password=hunter2; exit 7")
    if hook.startswith("before_"):
        with pytest.raises(HookError, match=rf"{hook} failed .*: cannot reach it: nothing was done") as caught:
            failing.run(hook, ABOUT)
        assert caught.value.failure.exit == "7"
    else:
        assert not failing.run(hook, ABOUT).is_ok
    [event] = record.events
    assert (event["hook"], event["procedure"], event["exit"]) == (hook, "p-1", "7")
    assert "hunter2" not in str(event)


def test_without_a_hook_nothing_is_run() -> None:
    found = hooks(Recorded(), "after_promote", "exit 1")
    assert not found.has("before_promote")
    assert found.run("before_promote", ABOUT).is_ok


def test_one_that_hangs_or_is_missing_has_failed() -> None:
    record = Recorded()
    slow = replace(HookSettings(timeout=0.1), after_demote=("/bin/sleep", "60"), after_promote=("/nowhere/hook",))
    found = Hooks(slow, CommandRunner(), record)
    assert found.run("after_demote", ABOUT).report.exit == "time limit"
    assert found.run("after_promote", ABOUT).report.exit == "not started"
    assert [event["hook"] for event in record.events] == ["after_demote", "after_promote"]


def test_an_agent_that_stops_is_no_failure_of_a_hook() -> None:
    record, runner = Recorded(), CommandRunner()
    raised: list[BaseException] = []

    def run() -> None:
        try:
            hooks(record, "before_failback", "sleep 60", runner).run("before_failback", ABOUT)
        except ApplyError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    runner.cancel()
    thread.join()
    wait_until(lambda: raised, 10, "it was told that the agent stops")
    assert record.events == []
