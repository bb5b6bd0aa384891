"""Runs a configured command: no shell, a minimal environment, a time limit, its own process group."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import selectors
import shlex
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from syncer.apply.candidate import Candidate
from syncer.config.programs import SEARCH_PATH
from syncer.errors import CommandError, CommandFailure, ViewError
from syncer.redaction import redact
from syncer.services.output import BoundedOutput

COMMAND_SHOWN = 240
"""Characters of a command that stand in sentences and events."""
GRACE_SECONDS = 2.0
"""Between SIGTERM and SIGKILL."""

_READ_AT_ONCE = 65536
_PIPE_READS = 32
"""Reads of what a pipe can hold at most; who still writes is not waited for."""
_NAMESPACE_PROGRAM = Path(__file__).with_name("namespace.py")
_CURES = {
    errno.ENOENT: "install the program, or correct the command",
    errno.EACCES: "make the program executable for the agent's user, or correct the command",
    errno.ENOEXEC: "name the program's interpreter in its first line, or in the command",
}


class Command(NamedTuple):
    """What to run: its words, what it finds in its environment beside the minimum, and its time in seconds."""

    words: Sequence[str]
    variables: Mapping[str, str]
    seconds: float

    @property
    def shown(self) -> str:
        """The command as a person would type it, without what looks like a secret, and not too long to show."""
        return redact(textwrap.shorten(shlex.join(self.words), COMMAND_SHOWN, placeholder=" …"))


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, after how many seconds, and the end of what it printed, redacted."""

    code: int
    """Exit code, or the negated number of the signal that killed it."""
    timed_out: bool
    cancelled: bool
    output: str
    seconds: float

    @property
    def is_ok(self) -> bool:
        """Tell whether it ended by itself, with 0."""
        return self.code == 0 and not self.timed_out and not self.cancelled

    @property
    def exit(self) -> str:
        """How it ended, as events and sentences have it."""
        if self.cancelled:
            return "ended because the agent stops"
        if self.timed_out:
            return "time limit"
        if self.code < 0:
            return f"signal {-self.code}"
        return str(self.code)

    def failure(self, command: Command) -> CommandFailure:
        """Return what is told of it where it was not ok."""
        return CommandFailure(command.shown, self.exit, self.seconds, self.output)


class CommandRunner:
    """Runs commands for threads that wait for them, until it is cancelled."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._waking = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def cancel(self) -> None:
        """End what runs, and run nothing more; for any thread, may be called again."""
        self._cancelled.set()
        # Never read: it stays readable for every command that waits.
        os.eventfd_write(self._waking, 1)

    def run(self, command: Command, candidate: Candidate | None = None, *, may_leave_others: bool = False) -> Ended:
        """Run a command to its end; with `candidate` it finds that tree at its root. Blocking.

        Whatever it started in its process group is ended with it, but what it leaves behind on purpose
        (`may_leave_others`) where it ended by itself. Raises CommandError where it cannot be
        started, ViewError where the candidate cannot be shown.
        """
        started = time.monotonic()
        output = BoundedOutput()
        with _started(command, candidate) as process:
            # Not known how it ended, for example at an interrupt: then nothing of it may stay.
            ended_by_itself = False
            try:
                timed_out, cancelled = self._watch(process, output, started + command.seconds)
                ended_by_itself = not (timed_out or cancelled)
            finally:
                if ended_by_itself and may_leave_others:
                    process.wait()
                else:
                    _end_group(process)
            _drain(process, output)
        return Ended(process.returncode, timed_out, cancelled, output.text(), time.monotonic() - started)

    def _watch(self, process: subprocess.Popen[bytes], output: BoundedOutput, deadline: float) -> tuple[bool, bool]:
        """Take in output until the process ends, is late, or is cancelled; returns (late, cancelled)."""
        assert process.stdout is not None, "it is a pipe"
        exited = os.pidfd_open(process.pid)
        try:
            with selectors.DefaultSelector() as selector:
                printed = selector.register(process.stdout, selectors.EVENT_READ)
                selector.register(exited, selectors.EVENT_READ)
                cancelled = selector.register(self._waking, selectors.EVENT_READ)
                while True:
                    ready = {key for key, _ in selector.select(max(0.0, deadline - time.monotonic()))}
                    if cancelled in ready:
                        return False, True
                    if printed in ready:
                        data = os.read(process.stdout.fileno(), _READ_AT_ONCE)
                        output.add(data)
                        if not data:
                            selector.unregister(process.stdout)
                    elif ready:
                        return False, False
                    # A flood of output must not outrun the time limit.
                    if time.monotonic() >= deadline:
                        return True, False
        finally:
            os.close(exited)


@contextlib.contextmanager
def _started(command: Command, candidate: Candidate | None) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command, and close its pipes at the end; raises as CommandRunner.run does."""
    environment = {"PATH": SEARCH_PATH, "LANG": "C.UTF-8", "HOME": "/", **command.variables}
    words: list[str | bytes] = list(command.words)
    passed: tuple[int, ...] = ()
    reading = -1
    if candidate is not None:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        passed = (writing,)
        words = [*_shown_by(candidate, writing), b"--", *words]
    try:
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=environment,
                pass_fds=passed,
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise _not_started(command, error.errno or 0) from error
        finally:
            if candidate is not None:
                os.close(writing)
        with process:
            if candidate is not None:
                _require_started(command, process, reading)
            yield process
    finally:
        if reading >= 0:
            os.close(reading)


def _shown_by(candidate: Candidate, status: int) -> list[str | bytes]:
    """Return the command line of the program that shows a candidate to the command that follows."""
    words: list[str | bytes] = [sys.executable, "-I", "-S", str(_NAMESPACE_PROGRAM), str(status)]
    words += [candidate.scratch, candidate.root, _identity(candidate.device, candidate.inode)]
    for layer in candidate.layers:
        mark = b"=" if layer.is_whole else b""
        words += [layer.mount, layer.path, mark + _identity(layer.device, layer.inode)]
    return words


def _identity(device: int, inode: int) -> bytes:
    return b"%d:%d" % (device, inode)


def _require_started(command: Command, process: subprocess.Popen[bytes], reading: int) -> None:
    """Wait until the command has taken over from the program that shows the candidate."""
    said = b""
    waiting = select.poll()
    waiting.register(reading, select.POLLIN)
    until = time.monotonic() + command.seconds
    while True:
        # A file system that hangs is found out here: the kernel's own work counts against the limit, too.
        if not waiting.poll(max(0.0, until - time.monotonic()) * 1000):
            _end_group(process)
            raise ViewError(f"a candidate cannot be shown within {command.seconds:g} s")
        piece = os.read(reading, _READ_AT_ONCE)
        if not piece:
            break
        said += piece
    if said == b"shown":
        return
    process.wait()
    first, _, rest = said.decode("utf-8", "replace").partition(" ")
    if first == "shown":
        raise _not_started(command, int(rest.removeprefix("exec ")))
    output = BoundedOutput()
    _drain(process, output)
    raise ViewError(f"a candidate cannot be shown before it stands ({rest or output.text()})")


def _not_started(command: Command, number: int) -> CommandError:
    cure = _CURES.get(number, "correct the command")
    return CommandError(f"{command.words[0]} cannot be started ({os.strerror(number)}): {cure}")


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End the process and all of its group: first asked, then, after GRACE_SECONDS, killed."""
    # RACE: the process is not reaped before its group is killed, so that its number is nobody else's.
    if _is_running(process.pid):
        _signal_group(process.pid, signal.SIGTERM)
        exited = os.pidfd_open(process.pid)
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(exited, selectors.EVENT_READ)
                selector.select(GRACE_SECONDS)
        finally:
            os.close(exited)
    _signal_group(process.pid, signal.SIGKILL)
    process.wait()


def _is_running(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def _signal_group(pid: int, number: signal.Signals) -> None:
    # Nobody is left in it: that is what was wanted.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


def _drain(process: subprocess.Popen[bytes], output: BoundedOutput) -> None:
    """Take in what is in the pipe now; who has left the group may keep it open for ever."""
    assert process.stdout is not None, "it is a pipe"
    descriptor = process.stdout.fileno()
    os.set_blocking(descriptor, False)
    with contextlib.suppress(BlockingIOError):
        for _ in range(_PIPE_READS):
            data = os.read(descriptor, _READ_AT_ONCE)
            if not data:
                return
            output.add(data)
