"""The commands of triggers: their environment, their time limit, and what is told of them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncer.events.delivery import Outcome
from syncer.events.notice import RECOVERY
from syncer.services.action import LONGEST_VALUE, CommandAction
from syncer.services.command import CommandRunner
from tests.unit.events.conftest import FAILED, parcel
from tests.unit.services.test_command import is_gone
from tests.waiting import wait_until


@pytest.fixture
def runner() -> Iterator[CommandRunner]:
    found = CommandRunner()
    yield found
    found.cancel()


def script(runner: CommandRunner, text: str, seconds: float = 60.0) -> CommandAction:
    return CommandAction(("sh", "-c", text), seconds, {"site": "north", "rack": 7}, runner)


def test_the_event_is_in_the_environment_and_nothing_is_expanded(runner: CommandRunner, tmp_path: Path) -> None:
    out = tmp_path / "out"
    hostile = {**FAILED, "error": "$(touch /tmp/evil); `id`\nx\0y", "domain": "é\udcff"}
    answer = script(runner, f"env -0 > {out}").deliver(parcel(variables=hostile, kind=RECOVERY))
    assert (answer.outcome, answer.said) == (Outcome.DONE, "ended with 0")
    found = dict(line.split("=", 1) for line in out.read_text().split("\0") if line)
    assert found["SYNCER_TARGET"] == "dr-a"
    assert found["SYNCER_ERROR"].startswith("$(touch /tmp/evil); `id`\nx")
    assert (found["SYNCER_SUCCESS"], found["SYNCER_RECOVERED"], found["SYNCER_TEST"]) == ("false", "true", "false")
    assert (found["SYNCER_SITE"], found["SYNCER_RACK"], found["SYNCER_ID"]) == ("north", "7", "0123456789abcdef")
    assert json.loads(found["SYNCER_SUBJECTS"]) == ["dr-a, nginx"]
    assert "SYNCER_CONFIG" not in found


def test_a_value_that_is_too_long_for_the_kernel_is_cut(runner: CommandRunner) -> None:
    long = {**FAILED, "error": "x" * 500_000}
    assert script(runner, f"test ${{#SYNCER_ERROR}} -eq {LONGEST_VALUE}").deliver(parcel(variables=long)).said == (
        "ended with 0"
    )


def test_many_long_values_of_wide_letters_are_not_too_much_for_the_kernel(runner: CommandRunner) -> None:
    long: dict[str, Any] = {
        **FAILED,
        **dict.fromkeys(("error", "target", "domain", "kind"), "\N{PILE OF POO}" * 100_000),
    }
    action = CommandAction(
        ("sh", "-c", f'test $(printf %s "$SYNCER_ERROR$SYNCER_C9" | wc -c) -eq {2 * LONGEST_VALUE}'),
        10.0,
        {f"c{number}": "é" * 100_000 for number in range(20)},
        runner,
    )
    assert action.deliver(parcel(variables=long)).said == "ended with 0"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("echo first; echo why; exit 3", "ended with 3: why"),
        ("kill -9 $$", "ended with signal 9"),
        ("echo password=hunter2hunter2; exit 1", "ended with 1: password=[redacted]"),
        ("printf 'x%.0s' $(seq 999); exit 1", f"ended with 1: {'x' * 299}…"),
    ],
)
def test_a_command_that_fails_is_tried_again(runner: CommandRunner, text: str, said: str) -> None:
    answer = script(runner, text).deliver(parcel())
    assert (answer.outcome, answer.said) == (Outcome.LATER, said)


def test_a_command_that_is_late_is_ended_with_all_it_started(runner: CommandRunner, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    started = time.monotonic()
    answer = script(runner, f"sleep 600 & echo $! > {pid}; wait", 2.0).deliver(parcel())
    assert time.monotonic() - started < 60
    assert (answer.outcome, answer.said) == (Outcome.LATER, "took longer than its time limit")
    # Killed, it may not have had its turn to die yet.
    wait_until(lambda: is_gone(int(pid.read_text())), 60, "it was ended, too")


def test_the_end_of_the_agent_ends_it(runner: CommandRunner, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    answers = []
    action = script(runner, f"touch {begun}; sleep 600", 600.0)
    thread = threading.Thread(target=lambda: answers.append(action.deliver(parcel())))
    thread.start()
    limit = time.monotonic() + 60
    while not begun.exists():
        assert time.monotonic() < limit
    runner.cancel()
    thread.join(60)
    assert [answer.outcome for answer in answers] == [Outcome.LATER]


def test_a_program_that_is_missing_is_said(runner: CommandRunner) -> None:
    action = CommandAction(("/no/such/program", "--token=abcdef1234"), 1.0, {}, runner)
    answer = action.deliver(parcel())
    assert (answer.outcome, "cannot be started" in answer.said) == (Outcome.LATER, True)
    assert "abcdef1234" not in action.shown
