"""The command under a hold: run as it would be by the shell, with the signals that are meant for it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from types import FrameType, TracebackType
from typing import Any, Self

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class HeldCommand:
    """Within its block signals do not end this process, which must outlive the command to tell how it ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._waiting: list[int] = []
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for signum in FORWARDED:
            self._before[signum] = signal.signal(signum, self._forward)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    @property
    def interrupted(self) -> int:
        """The signal that came before the command was started; 0 where none did."""
        return self._waiting[0] if self._waiting else 0

    def run(self, words: list[str], environ: dict[str, str]) -> int:
        """Run a command with this process's input and output, and return its exit code, or minus a signal's number.

        Raises OSError where it cannot be started.
        """
        self._process = subprocess.Popen(words, env={**os.environ, **environ})
        # RACE: a signal that came between the caller's look at `interrupted` and the start waits still.
        for signum in self._waiting:
            self._send(signum)
        return self._process.wait()

    def _forward(self, signum: int, _: FrameType | None) -> None:
        if self._process is None:
            self._waiting.append(signum)
        elif not (signum == signal.SIGINT and _in_foreground()):
            self._send(signum)

    def _send(self, signum: int) -> None:
        assert self._process is not None, "it was started"
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signum)


def _in_foreground() -> bool:
    """Tell whether Ctrl-C reaches the command by itself: the terminal sends it to all of its foreground group."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
