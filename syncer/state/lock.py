"""The state lock: one process at a time works with a node's state and trees."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from syncer.errors import StateError

FILE_NAME = "lock"
AGENT = "agent"
"""Behind its number in the file: the process that holds the lock serves commands, or soon will."""


class Holder(NamedTuple):
    """Who holds a lock; the process is 0 where it has not said yet which it is."""

    pid: int
    is_agent: bool


class LockedError(StateError):
    """Another process works with the state."""

    def __init__(self, directory: Path, holder: Holder) -> None:
        who = f"process {holder.pid}" if holder.pid else "a process that has just started"
        what = f"{who}, an agent: stop it, or ask it" if holder.is_agent else f"{who}; wait until that has ended"
        super().__init__(f"{directory}: is used by {what}")
        self.holder = holder


class StateLock:
    """An advisory lock (flock) on a state directory; the kernel gives it up when its process dies."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, directory: Path, *, for_agent: bool = False) -> StateLock:
        """Take the lock without waiting. Raises LockedError, naming the process that holds it, and StateError."""
        path = directory / FILE_NAME
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            raise StateError(
                f"{path}: cannot be opened ({error.strerror}); run `syncer init`, or check its mode"
            ) from error
        try:
            os.fchmod(descriptor, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d%s\n" % (os.getpid(), f" {AGENT}".encode() if for_agent else b""), 0)
        except BlockingIOError as error:
            holder = _said_in(descriptor)
            os.close(descriptor)
            raise LockedError(directory, holder) from error
        except OSError as error:
            os.close(descriptor)
            raise StateError(f"{path}: cannot be locked ({error.strerror}); keep node.state on a local disk") from error
        return cls(descriptor)

    def release(self) -> None:
        """Give the lock up; a second call does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            # RACE: the file stays; were it unlinked, two processes could each lock a file of that name.
            os.ftruncate(descriptor, 0)
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def holder_of(directory: Path) -> Holder | None:
    """Return the process that holds the lock of `directory`, or None where nobody does. Takes nothing."""
    try:
        descriptor = os.open(directory / FILE_NAME, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(
            f"{directory}: its lock cannot be read ({error.strerror}); check its owner and mode"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _said_in(descriptor)
    else:
        return None
    finally:
        os.close(descriptor)


def _said_in(descriptor: int) -> Holder:
    pid, _, what = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip().partition(" ")
    return Holder(int(pid) if pid.isdigit() else 0, what == AGENT)
