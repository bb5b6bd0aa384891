"""A configured command gets what it is meant to get, no more, and is ended in time with all that it started."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from syncer.errors import CommandError
from syncer.services.command import Command, CommandRunner, Ended
from tests.waiting import wait_until

SHELL = "/bin/sh"


def run(*words: str, seconds: float = 60.0, **variables: str) -> Ended:
    return CommandRunner().run(Command(words, variables, seconds))


def is_gone(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_exit_code_and_both_streams_are_told() -> None:
    ended = run(SHELL, "-c", "echo out; echo err >&2; exit 3")
    assert (ended.code, ended.exit, ended.output, ended.is_ok) == (3, "3", "out\nerr", False)
    assert run("true").is_ok
    assert run(SHELL, "-c", "kill -9 $$").exit == "signal 9"


def test_environment_descriptors_directory_and_group_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_AGENT", "hunter2")
    opened = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(opened, True)
    try:
        look = (
            "import json, os; print(json.dumps([dict(os.environ), os.listdir('/proc/self/fd'), os.getcwd(),"
            " os.getpgid(0) == os.getpid() == os.getsid(0), os.read(0, 1) == b'']))"
        )
        ended = run(sys.executable, "-I", "-S", "-c", look, SYNCER_DOMAIN="nginx")
    finally:
        os.close(opened)
    environment, descriptors, directory, is_own, is_empty = json.loads(ended.output)
    environment.pop("LC_CTYPE", None)  # set by Python itself
    assert environment.keys() == {"PATH", "LANG", "HOME", "SYNCER_DOMAIN"}
    assert environment["LANG"] == "C.UTF-8"
    # The fourth is that of listdir itself.
    assert len(descriptors) == 4
    assert (directory, is_own, is_empty) == ("/", True, True)


def test_no_shell_looks_at_the_words() -> None:
    assert run("echo", "$HOME;", "`id`", "*").output == "$HOME; `id` *"


@pytest.mark.parametrize("words", [("/nowhere/at-all",), ("no-such-program",), ("/etc/passwd",), ("/",)])
def test_a_program_that_cannot_be_started_is_an_error_with_a_cure(words: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match=r"cannot be started .*: (install|make|correct|name)"):
        run(*words)


def test_a_late_command_is_ended_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"trap '' TERM; sh -c 'trap \"\" TERM; echo $$ >> {pids}; sleep 600' & echo $$ >> {pids}; echo begun; wait"
    started = time.monotonic()
    ended = run(SHELL, "-c", script, seconds=2.0)
    assert (ended.timed_out, ended.exit, ended.output) == (True, "time limit", "begun")
    assert time.monotonic() - started < 60
    wait_until(lambda: all(is_gone(int(pid)) for pid in pids.read_text().split()), 60, "all were ended")


def test_a_child_left_behind_with_the_pipe_holds_nobody_up(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    ended = run(SHELL, "-c", f"sleep 600 & echo $! > {pid}; echo done")
    assert (ended.is_ok, ended.output) == (True, "done")
    assert ended.seconds < 60
    wait_until(lambda: is_gone(int(pid.read_text())), 60, "it was ended, too")


def test_a_flood_is_bounded_in_memory_and_ended_in_time() -> None:
    ended = run(SHELL, "-c", "yes", seconds=0.5)
    assert ended.timed_out
    assert len(ended.output) < 10_000
    assert ended.output.endswith("y")


def test_cancelling_ends_what_runs_and_what_would_run(tmp_path: Path) -> None:
    runner = CommandRunner()
    begun = tmp_path / "begun"
    ends: list[Ended] = []
    command = Command((SHELL, "-c", f"touch {begun}; sleep 600"), {}, 600.0)
    thread = threading.Thread(target=lambda: ends.append(runner.run(command)))
    thread.start()
    wait_until(begun.exists, 60, "it runs")
    runner.cancel()
    thread.join(60)
    assert ends[0].cancelled
    assert runner.run(command).cancelled
