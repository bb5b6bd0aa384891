"""Adapter on watchdog's inotify reader: the only file that knows its private parts.

Not watchdog's Observer: that one holds back unmatched moves for half a second with everything behind
them, swallows a full watch table, and tells no handler of a queue overflow.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import struct
import termios
from collections.abc import Callable
from typing import Protocol

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
    inotify_rm_watch,
)

from syncer.errors import InvariantError

MASK = Mask(
    InotifyConstants.IN_CLOSE_WRITE
    # Without MODIFY a file that is held open (a log, a database) would not be seen before the periodic scan.
    | InotifyConstants.IN_MODIFY
    | InotifyConstants.IN_CREATE
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_MOVED_FROM
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_ATTRIB
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ONLYDIR
)


class EventReceiver(Protocol):
    """What is told of watched directories, on the reader's thread."""

    def on_event(self, event: InotifyEvent) -> None:
        """Take one event of one directory."""

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """Take note that the kernel watches a directory no more."""

    def on_queue_overflow(self) -> None:
        """Take note that events were lost."""


class Watcher:
    """One inotify instance, and one reading thread, for all domains of a node."""

    def __init__(self, on_failure: Callable[[BaseException], None]) -> None:
        """Start to read; `on_failure` is called on the reader's thread before that ends by an error."""
        self.unusable = ""
        """Why there are no events at all on this machine; "" where there are."""
        self._ids = itertools.count(1)
        self._inotify: _Inotify | None = None
        try:
            self._inotify = _Inotify(on_failure)
        except OSError as error:
            limit = "fs.inotify.max_user_instances"
            cure = f"raise {limit} with sysctl" if error.errno == errno.EMFILE else "see the kernel's log"
            self.unusable = f"inotify cannot be used ({error.strerror}): {cure}"
            return
        self._inotify.name = "inotify"
        self._inotify.start()

    def add(self, directory: int, receiver: EventReceiver) -> tuple[int, int]:
        """Watch an opened directory and return (watch descriptor, id of this registration).

        The descriptor is that of the inode: a directory that is watched already gives the same one, and then
        both registrations stand until one is removed. Raises OSError.
        """
        if self._inotify is None:
            raise OSError(errno.EMFILE, self.unusable)
        number = CallbackId(next(self._ids))
        # The magic link leads exactly to the opened directory, whatever happens to its path.
        wd = self._inotify.add_callback(b"/proc/self/fd/%d" % directory, MASK, receiver, number)
        if wd == -1:
            # watchdog raises for every error but this one, and keeps a watch -1 that is none.
            self._inotify.remove_callbacks([(wd, number)])
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return wd, number

    def remove(self, registrations: list[tuple[int, int]]) -> None:
        """End registrations; those whose directory is gone have ended already."""
        if self._inotify is not None:
            self._inotify.remove_callbacks([(WatchDescriptor(wd), CallbackId(number)) for wd, number in registrations])

    def unread(self) -> bool:
        """Tell whether the kernel holds events that nobody has read."""
        return self._inotify is not None and self._inotify.unread_bytes() > 0

    def barrier(self, reached: Callable[[], None]) -> bool:
        """Have `reached` called once all events of before this call were delivered; on the reader's thread.

        Returns False where that cannot be known, since there is no inotify or no watch left. A queue that
        overflows loses the call: then ask again.
        """
        if self._inotify is None:
            return False
        return self._inotify.barrier(_Barrier(reached), CallbackId(next(self._ids)))

    def close(self) -> None:
        """Stop reading and drop all watches."""
        if self._inotify is not None:
            self._inotify.stop()
            self._inotify.join(2.0)


class _Inotify(InotifyFD):
    """watchdog's reader, which reports its own death, and tells what its queue holds."""

    def __init__(self, on_failure: Callable[[BaseException], None]) -> None:
        super().__init__()
        for name in ("_inotify_fd", "_lock", "_watch_for_wd", "_closed"):
            if not hasattr(self, name):
                raise InvariantError(f"watchdog's InotifyFD has no {name} any more; install the pinned version of it")
        self._on_failure = on_failure

    def run(self) -> None:
        """Read until stopped."""
        try:
            super().run()
        # Whatever it is, the thread is dead then, and the node must not go on deaf.
        except Exception as error:  # noqa: BLE001
            self._on_failure(error)

    def unread_bytes(self) -> int:
        """Return how many bytes of events the kernel holds."""
        with self._lock:
            if self._closed:
                return 0
            answer = fcntl.ioctl(self._inotify_fd, termios.FIONREAD, b"\0\0\0\0")
        return int(struct.unpack("i", answer)[0])

    def barrier(self, receiver: EventReceiver, number: CallbackId) -> bool:
        """Queue an event of our own behind all others: the end of a watch on a nameless file in memory."""
        anonymous = os.memfd_create("barrier", os.MFD_CLOEXEC)
        try:
            with self._lock:
                if self._closed:
                    return False
                path = b"/proc/self/fd/%d" % anonymous
                watch = self._get_or_create_watch(path, InotifyConstants.IN_ATTRIB)
                watch.callbacks[number] = receiver
                # Not remove_callbacks: that one forgets the receiver before the kernel's answer comes.
                inotify_rm_watch(self._inotify_fd, watch.wd)
        except OSError:
            # No watch is left for it; the caller scans instead.
            return False
        finally:
            os.close(anonymous)
        return True


class _Barrier:
    """Receives the end of a watch, and nothing else."""

    def __init__(self, reached: Callable[[], None]) -> None:
        self._reached = reached

    def on_event(self, event: InotifyEvent) -> None:
        """Nobody writes to a nameless file."""

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """Everything before this was delivered."""
        self._reached()

    def on_queue_overflow(self) -> None:
        """The domains hear of it themselves."""
