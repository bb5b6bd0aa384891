"""A domain's commands: what they are told, what becomes of their failures, what is recorded."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from syncer.config import DomainSettings
from syncer.errors import ApplyError, CheckFailedError, CommandFailure, Reason, ViewError
from syncer.model import EventValue, Patterns
from syncer.services.command import CommandRunner
from syncer.services.domain import DomainServices
from syncer.state.store import StateStore
from syncer.status.domains import service_trouble
from tests.waiting import wait_until


class Recorded:
    """Takes the events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, EventValue]]] = []

    def __call__(self, name: str, variables: Mapping[str, EventValue]) -> None:
        self.events.append((name, dict(variables)))


def services(
    root: Path,
    *,
    check: tuple[str, ...] = (),
    reload: tuple[str, ...] = (),
    seconds: float = 30.0,
    record: Recorded | None = None,
    runner: CommandRunner | None = None,
) -> DomainServices:
    settings = DomainSettings("web", root, Patterns(), 0.01, 0.5, check=check, reload=reload, command_timeout=seconds)
    store = StateStore.open(root.parent / f"{root.name}.state", create=True)
    return DomainServices("dr-a", settings, runner or CommandRunner(), record or Recorded(), store)


def shell(script: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", script)


def test_a_command_is_told_domain_generation_term_and_root(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    look = f'[ "$SYNCER_DOMAIN $SYNCER_GENERATION $SYNCER_TERM $SYNCER_ROOT" = "web 8 3 {tmp_path}/real" ]'
    services(tmp_path / "link", check=shell(look)).check(8, 3, None)


def test_a_failed_check_is_an_error_an_event_and_shown_until_one_passes(tmp_path: Path) -> None:
    record = Recorded()
    flag = tmp_path / "flag"
    one = services(tmp_path, check=shell(f"echo line 3: bad; echo password=hunter2; [ -e {flag} ]"), record=record)
    with pytest.raises(
        CheckFailedError, match=r"domain web .* ended with 1: correct .* dr-a keeps what it had"
    ) as caught:
        one.check(1, 1, None)
    assert caught.value.reason is Reason.CHECK_FAILED
    [(name, variables)] = record.events
    seconds = variables.pop("seconds")
    assert isinstance(seconds, float)
    assert name == "check.failed"
    assert variables == {
        "node": "dr-a",
        "target": "dr-a",
        "domain": "web",
        "command": caught.value.failure.command,
        "exit": "1",
        "output": "line 3: bad\npassword=[redacted]",
    }
    assert "hunter2" not in caught.value.failure.command + str(caught.value)
    assert one.check_failure == caught.value.failure
    flag.touch()
    one.check(2, 1, None)
    assert one.check_failure is None


def test_a_check_past_its_time_limit_refuses(tmp_path: Path) -> None:
    with pytest.raises(CheckFailedError, match=r"took longer than 0\.2 s") as caught:
        services(tmp_path, check=shell("exec sleep 600"), seconds=0.2).check(1, 1, None)
    assert caught.value.failure.exit == "time limit"


def test_a_missing_program_refuses_and_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CheckFailedError, match=r"no-such-program cannot be started .* install the program"):
        services(tmp_path, check=("no-such-program", "-t")).check(1, 1, None)


def test_the_end_of_the_agent_is_no_failure_of_the_check(tmp_path: Path) -> None:
    record, runner = Recorded(), CommandRunner()
    runner.cancel()
    with pytest.raises(ApplyError) as caught:
        services(tmp_path, check=shell("exec sleep 600"), record=record, runner=runner).check(1, 1, None)
    assert caught.value.reason is Reason.SHUTTING_DOWN
    assert not isinstance(caught.value, CheckFailedError | ViewError)
    assert record.events == []


def test_a_failed_reload_is_an_event_and_shown(tmp_path: Path) -> None:
    record = Recorded()
    one = services(tmp_path, reload=shell("echo no; exit 4"), record=record)
    done = threading.Event()
    one.attend(5, 1, start=True, reloaded=done.set)
    assert done.wait(60)
    [(name, variables)] = record.events
    assert (name, variables["exit"], variables["output"]) == ("service.failed", "4", "no")
    assert one.reload_failure is not None
    one.close()


def test_a_reload_that_runs_ends_with_the_agent_and_stays_due(tmp_path: Path) -> None:
    runner = CommandRunner()
    begun, done = tmp_path / "begun", threading.Event()
    one = services(tmp_path, reload=shell(f"touch {begun}; exec sleep 600"), seconds=600.0, runner=runner)
    one.attend(1, 1, start=True, reloaded=done.set)
    wait_until(begun.exists, 60, "it runs")
    runner.cancel()
    one.close()
    assert not done.is_set()


def test_what_a_reload_starts_on_purpose_stays(tmp_path: Path) -> None:
    stop, ended, done = tmp_path / "stop", tmp_path / "ended", threading.Event()
    script = f"(while [ ! -e {stop} ]; do read -t 1 x < /dev/zero || :; done; touch {ended}) >/dev/null 2>&1 & exit 0"
    one = services(tmp_path, reload=("/bin/bash", "-c", script))
    one.attend(1, 1, start=True, reloaded=done.set)
    assert done.wait(60)
    stop.touch()
    wait_until(ended.exists, 60, "what it had started went on")
    one.close()


@pytest.mark.parametrize(("said", "end"), [("", ": 1)"), ("no\nmore", ": 1): no")])
def test_what_a_status_says_of_a_failure_ends_with_what_was_printed_or_with_no_colon(
    tmp_path: Path, said: str, end: str
) -> None:
    (tmp_path / "root").mkdir()
    one = services(tmp_path / "root")
    assert service_trouble(one) == ""
    one.check_failure = CommandFailure("nginx -t", "1", 0.1, said)
    assert service_trouble(one) == f"the check failed (nginx -t{end}"
