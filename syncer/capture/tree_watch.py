"""The watches of one root: which directory is which, and what their events say about paths."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent, WatchDescriptor

from syncer.capture.watch import Watcher
from syncer.model import join, parent_of

LIMIT_FILE = Path("/proc/sys/fs/inotify/max_user_watches")

_MODIFY = InotifyConstants.IN_MODIFY
_APPEARED = InotifyConstants.IN_CREATE | InotifyConstants.IN_MOVED_TO
_NAMES = _APPEARED | InotifyConstants.IN_DELETE | InotifyConstants.IN_MOVED_FROM
_IS_DIRECTORY = InotifyConstants.IN_ISDIR
_SELF = InotifyConstants.IN_DELETE_SELF | InotifyConstants.IN_MOVE_SELF | InotifyConstants.IN_UNMOUNT


class Hints(NamedTuple):
    """What may have changed; times are seconds of time.monotonic()."""

    dirty: set[bytes]
    fresh: set[bytes]
    """Directories that came into being, or arrived, under this path: everything below is to be looked at."""
    everything: str
    """Why all must be scanned; "" where the paths are enough."""
    first: float
    last: float


class _Watched:
    """One directory that the kernel watches."""

    __slots__ = ("generation", "inode", "number", "path", "sweep")

    def __init__(self, path: bytes, inode: tuple[int, int], number: int, sweep: int, generation: int) -> None:
        self.path = path
        self.inode = inode
        self.number = number
        self.sweep = sweep
        self.generation = generation


class TreeWatch:
    """Gathers hints for one root; events come on the watcher's thread, everything else on the capturer's."""

    def __init__(self, watcher: Watcher, wake: Callable[[], None]) -> None:
        """Gather from `watcher`; `wake` is called when hints come where none waited."""
        self.overflows = 0
        self._watcher = watcher
        self._wake = wake
        self._lock = threading.Lock()
        self._watched: dict[int, _Watched] = {}
        self._by_inode: dict[tuple[int, int], int] = {}
        self._by_path: dict[bytes, int] = {}
        self._unwatched: dict[bytes, int] = {}
        self._sweep = 0
        self._generation = 0
        self._closed = False
        self._dirty: set[bytes] = set()
        self._fresh: set[bytes] = set()
        self._open: set[bytes] = set()
        self._everything = ""
        self._first = self._last = 0.0

    @property
    def watched(self) -> int:
        """Return how many directories are watched."""
        return len(self._watched)

    @property
    def unwatched(self) -> int:
        """Return how many directories should be watched and are not."""
        return len(self._unwatched)

    @property
    def waiting(self) -> int:
        """Return how many paths wait to be taken."""
        return len(self._dirty)

    @property
    def span(self) -> tuple[float, float]:
        """Return when the first and the last of the hints that wait came (seconds, monotonic)."""
        return self._first, self._last

    def degraded(self) -> str:
        """Say how many directories are not watched, and the cure; "" where all are."""
        count = len(self._unwatched)
        if not count:
            return ""
        failure = next(iter(self._unwatched.values()))
        if failure != errno.ENOSPC:
            return f"{count} directories cannot be watched ({os.strerror(failure)}) and are scanned instead"
        try:
            limit = int(LIMIT_FILE.read_text("ascii"))
        except OSError:
            # /proc may hide it from containers; all of this node's own watches are the least that is needed.
            limit = len(self._watched)
        return (
            f"{count} directories are not watched, the kernel's limit of {limit} watches is used up: "
            f"set fs.inotify.max_user_watches to at least {limit + count} with sysctl; until then all is "
            "scanned every few seconds"
        )

    def enter(self, path: bytes, directory: int) -> None:
        """Watch an opened directory as `path`, before it is listed; one that was renamed gets its new path."""
        status = os.fstat(directory)
        inode = (status.st_dev, status.st_ino)
        # RACE: an event of a new watch must not come before its path is known; so all of it under the lock.
        with self._lock:
            wd = self._by_inode.get(inode)
            known = self._watched[wd] if wd is not None else None
            if wd is not None and known is not None and known.generation == self._generation:
                self._rename(wd, known, path)
                known.sweep = self._sweep
                return
            try:
                wd, number = self._watcher.add(directory, self)
            except OSError as error:
                self._unwatched[path] = error.errno or errno.EIO
                return
            self._unwatched.pop(path, None)
            before = self._watched.get(wd)
            if before is not None:
                self._watcher.remove([(wd, before.number)])
                self._drop(wd, before)
            self._watched[wd] = _Watched(path, inode, number, self._sweep, self._generation)
            self._by_inode[inode] = wd
            self._by_path[path] = wd

    def forget(self, paths: Iterable[bytes]) -> None:
        """Stop watching directories that are gone from these paths, so that what moved out is not heard of."""
        with self._lock:
            for path in paths:
                self._unwatched.pop(path, None)
                wd = self._by_path.get(path)
                if wd is not None:
                    self._end(wd, self._watched[wd])

    @property
    def wants_everything(self) -> bool:
        """Tell whether paths are not enough: all must be scanned."""
        return bool(self._everything)

    def begin_sweep(self) -> None:
        """Begin a full scan: what it does not enter is no longer part of the tree."""
        with self._lock:
            self._sweep += 1
            self._unwatched.clear()

    def end_sweep(self) -> None:
        """End the full scan, and the watches that it did not come across."""
        with self._lock:
            for wd, watched in list(self._watched.items()):
                if watched.sweep != self._sweep:
                    self._end(wd, watched)

    def hint(self, path: bytes) -> None:
        """Have one path looked at."""
        with self._lock:
            self._note(dirty=(path,))

    def hint_everything(self, reason: str) -> None:
        """Have all scanned, because of `reason`."""
        with self._lock:
            self._note(everything=reason)

    def take(self) -> Hints | None:
        """Return the hints that wait and begin anew; None where none wait."""
        with self._lock:
            if not self.is_waiting():
                return None
            hints = Hints(self._dirty, self._fresh, self._everything, self._first, self._last)
            self._dirty, self._fresh, self._everything = set(), set(), ""
            return hints

    def note_open_files(self) -> None:
        """Turn writes to files that were not closed since into hints; for now and then, not each write."""
        with self._lock:
            if self._open:
                paths, self._open = self._open, set()
                self._note(dirty=paths)

    def pending(self) -> bool:
        """Tell whether events or hints wait."""
        return self._watcher.unread() or self.is_waiting() or bool(self._open)

    def close(self) -> None:
        """Stop watching all of it."""
        with self._lock:
            self._closed = True
            self._watcher.remove([(wd, watched.number) for wd, watched in self._watched.items()])
            self._watched.clear()

    def on_event(self, event: InotifyEvent) -> None:
        """Take one event; on the watcher's thread."""
        mask, name = event.mask, event.name
        with self._lock:
            watched = self._watched.get(event.wd)
            if watched is None:
                return
            directory = watched.path
            if mask & _SELF:
                self._note_self(mask, directory)
                return
            if not name:
                self._note(dirty=(directory,))
                return
            path = join(directory, name)
            if mask & _MODIFY:
                # Its closing will tell; a file that stays open is looked at now and then.
                self._open.add(path)
                return
            self._open.discard(path)
            if mask & _NAMES:
                is_new = mask & _APPEARED and mask & _IS_DIRECTORY
                self._note(dirty=(path, directory), fresh=(path,) if is_new else ())
            else:
                self._note(dirty=(path,))

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """Take note that a directory is gone; what now stands at its path has no watch. Watcher's thread."""
        with self._lock:
            watched = self._watched.get(wd)
            if watched is None or self._closed:
                return
            self._drop(wd, watched)
            if watched.path:
                self._note(dirty=(watched.path,), fresh=(watched.path,))
            else:
                self._note(everything="the root is gone")

    def on_queue_overflow(self) -> None:
        """Take note that events were lost, the ends of watches among them; watcher's thread."""
        with self._lock:
            self.overflows += 1
            # A watch may have ended and its inode be in use again: none is believed without asking the kernel.
            self._generation += 1
            self._note(everything="the kernel's event queue overflowed")

    def _note_self(self, mask: int, directory: bytes) -> None:
        if not directory:
            self._note(everything="the root was moved, deleted or unmounted")
        elif mask & InotifyConstants.IN_UNMOUNT:
            self._note(dirty=(directory, parent_of(directory)), fresh=(directory,))

    def _note(self, dirty: Iterable[bytes] = (), fresh: Iterable[bytes] = (), everything: str = "") -> None:
        was_waiting = self.is_waiting()
        self._last = time.monotonic()
        if not was_waiting:
            self._first = self._last
        self._dirty.update(dirty)
        self._fresh.update(fresh)
        self._everything = self._everything or everything
        if not was_waiting:
            self._wake()

    def is_waiting(self) -> bool:
        """Tell whether hints wait to be taken."""
        return bool(self._dirty or self._everything)

    def _rename(self, wd: int, watched: _Watched, path: bytes) -> None:
        if watched.path != path:
            if self._by_path.get(watched.path) == wd:
                del self._by_path[watched.path]
            watched.path = path
        self._by_path[path] = wd

    def _end(self, wd: int, watched: _Watched) -> None:
        self._watcher.remove([(wd, watched.number)])
        self._drop(wd, watched)

    def _drop(self, wd: int, watched: _Watched) -> None:
        del self._watched[wd]
        if self._by_inode.get(watched.inode) == wd:
            del self._by_inode[watched.inode]
        if self._by_path.get(watched.path) == wd:
            del self._by_path[watched.path]
