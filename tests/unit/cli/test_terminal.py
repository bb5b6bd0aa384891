"""What only a terminal shows: the refreshed status, colours, bars and questions; on a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.documented import examples

SECONDS = 60.0


class Terminal:
    """A command line on a terminal of 200 columns."""

    def __init__(self, config: Path, *arguments: str, environ: dict[str, str]) -> None:
        self._end, child = pty.openpty()
        self.seen = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "syncer", "--config", str(config), *arguments],
            stdin=child,
            stdout=child,
            stderr=child,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "200", "LINES": "50", "NO_COLOR": "", **environ},
            start_new_session=True,
        )
        os.close(child)

    def until(self, text: str) -> None:
        """Read until `text` is seen."""
        deadline = time.monotonic() + SECONDS
        while text not in self.seen:
            assert time.monotonic() < deadline, f"{text!r} was never seen in {self.seen!r}"
            if select.select([self._end], [], [], 0.1)[0]:
                self.seen += os.read(self._end, 65536).decode("utf-8", "replace")

    def type(self, text: str) -> None:
        os.write(self._end, text.encode())

    def finish(self) -> int:
        """Read to the end and return the exit code."""
        try:
            while select.select([self._end], [], [], SECONDS)[0]:
                self.seen += os.read(self._end, 65536).decode("utf-8", "replace")
        except OSError:
            # How Linux says that the other end of a terminal is closed.
            pass
        return self.process.wait(SECONDS)

    def close(self) -> None:
        os.close(self._end)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(SECONDS)


@pytest.fixture
def terminal(config: Path) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(*arguments: str, environ: dict[str, str] | None = None) -> Terminal:
        opened.append(Terminal(config, *arguments, environ=environ or {}))
        return opened[-1]

    yield start
    for item in opened:
        item.close()


def test_a_watched_status_refreshes_until_ctrl_c(agent: Any, terminal: Callable[..., Terminal]) -> None:
    later = examples()["status"]
    later["targets"][0]["domains"][0]["changes_behind"] = 17
    agent.answer("status", examples()["status"], later)
    shown = terminal("status", "--watch")
    shown.until("would lose 3 changes")
    shown.until("would lose 17 changes")
    os.kill(shown.process.pid, signal.SIGINT)
    assert shown.finish() == 0
    assert "Traceback" not in shown.seen
    assert "interrupted" not in shown.seen


def test_what_is_behind_has_the_colour_of_a_warning(agent: Any, terminal: Callable[..., Terminal]) -> None:
    shown = terminal("status")
    assert shown.finish() == 3
    assert "\x1b[1;33mfailing over to dr-a now would lose 3 changes" in shown.seen
    assert "\x1b[32m" not in shown.seen


def test_snapshot_shows_a_bar_and_asks(agent: Any, terminal: Callable[..., Terminal]) -> None:
    agent.progress = [examples()["progress"]]
    shown = terminal("snapshot")
    shown.until("Do this? [y/N]")
    assert "17 of 200" in shown.seen
    assert "2 deletions and 1 overwrite there wait for your approval" in shown.seen
    shown.type("n\n")
    assert shown.finish() == 4
    assert "nothing was done, as you said" in shown.seen
    assert [name for name, _ in agent.calls] == ["snapshot"]


def test_no_colour_where_the_operator_wants_none(agent: Any, terminal: Callable[..., Terminal]) -> None:
    shown = terminal("status", environ={"NO_COLOR": "1"})
    assert shown.finish() == 3
    assert "would lose 3 changes" in shown.seen
    assert "\x1b[33m" not in shown.seen
    assert "\x1b[1;33m" not in shown.seen
