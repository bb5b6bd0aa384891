"""What keep_local leaves alone: on one domain's disk, and out of one transaction."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from syncer.apply.values import Reach
from syncer.capture.keep_local import KeepLocal, ancestors
from syncer.errors import ApplyError
from syncer.files import Root
from syncer.model import Change, DiskIdentity, Kind, Known, join
from syncer.replicate.compare import Difference
from syncer.state.base import BaseRow
from syncer.state.drift import read_kept_local, record_kept_local
from syncer.state.store import StateStore

SHOWN = 1000
"""Paths that are told to production and shown."""

_NOT_APPLIED = DiskIdentity(0, 0, 0, 0, 0)
"""What stands here was never applied: no file has this identity, so nothing takes it for production's."""


class KeptReach:
    """Which paths may be touched: those that may otherwise, less this node's own files."""

    def __init__(self, reach: Reach, keep: KeepLocal) -> None:
        self._reach = reach
        self._keep = keep

    def is_protected(self, path: bytes) -> bool:
        """Tell whether `path` is syncer's own."""
        return self._reach.is_protected(path)

    def may_descend(self, path: bytes) -> bool:
        """Tell whether anything at or below `path` may be written or deleted."""
        return self._reach.may_descend(path) and not self._keep.keeps(path, is_directory=False)


class KeptFiles:
    """The files of one domain that keep_local leaves alone; remembered in node.db, on the worker's thread."""

    def __init__(self, domain: str, root: Path, patterns: Sequence[str], store: StateStore) -> None:
        """Take the receiver's patterns; what they match no more is forgotten."""
        self.keep = KeepLocal(patterns)
        self._domain = domain
        self.root = root
        self._store = store
        self._paths = read_kept_local(store, domain)
        if not all(self.keep.keeps(path, is_directory=True) for path in self._paths):
            self.note((), (path for path in set(self._paths) if not self.keep.keeps(path, is_directory=True)))

    def paths(self) -> tuple[bytes, ...]:
        """Return what was left alone, ordered, up to SHOWN."""
        return tuple(sorted(self._paths)[:SHOWN])

    def note(self, left_alone: Iterable[bytes], gone: Iterable[bytes]) -> None:
        """Remember paths that were left alone, and forget those that are neither here nor on production."""
        paths = (self._paths | set(left_alone)) - set(gone)
        if paths != self._paths:
            record_kept_local(self._store, self._domain, paths)
            self._paths = paths

    def reach(self, reach: Reach) -> Reach:
        """Return what a transaction may touch."""
        return reach if self.keep.is_empty else KeptReach(reach, self.keep)

    def stands(self, path: bytes) -> bool:
        """Tell whether something is at `path` on this disk."""
        return os.path.lexists(os.path.join(os.fsencode(self.root), path))

    def holding(self, directory: bytes) -> set[bytes]:
        """Return which directories, at or below `directory`, hold files that are left alone."""
        kept: list[bytes] = []
        # Not there, or no directory, or not ours to read: then there is nothing in it that could be deleted.
        with contextlib.suppress(OSError, ApplyError), Root(self.root) as root:
            waiting = [directory]
            while waiting:
                here = waiting.pop()
                for name, is_directory in root.entries(here):
                    path = join(here, name)
                    if self.keep.keeps(path, is_directory):
                        kept.append(path)
                    elif is_directory:
                        waiting.append(path)
        return {path for path in ancestors(kept) if path == directory or path.startswith(directory + b"/")}


class KeptOut:
    """What is taken out of one transaction: the base learns of it, the disk is left alone."""

    def __init__(self, files: KeptFiles, applied: Callable[[bytes], Known | None]) -> None:
        """Take a domain's files, and what was last applied to it."""
        self.rows: list[BaseRow] = []
        """Received, and not written."""
        self.forgotten: list[bytes] = []
        """Deleted on production, and not here."""
        self._files = files
        self._applied = applied
        self._walked: set[bytes] = set()
        self._holding: set[bytes] = set()

    def differences(self, found: list[Difference]) -> list[Difference]:
        """Return the differences that count; the others are taken out."""
        if self._files.keep.is_empty:
            return found
        return [difference for difference in found if not self._takes(difference.change)]

    def changes(self, found: list[Change]) -> list[Change]:
        """Return the changes that count; the others are taken out."""
        if self._files.keep.is_empty:
            return found
        return [change for change in found if not self._takes(change)]

    def note(self, standing: Iterable[bytes], *, full: bool) -> None:
        """Remember what was left alone; `standing` was found on the disk. After the commit.

        A full synchronization also forgets what is neither here nor on production any more.
        """
        files = self._files
        if files.keep.is_empty:
            return
        received = {row.entry.path for row in self.rows}
        here = {path for path in self.forgotten if files.stands(path)}
        gone = set(self.forgotten) - here
        if full:
            known = (path for path in files.paths() if path not in received)
            gone |= {path for path in known if not files.stands(path) and self._applied(path) is None}
        files.note({*standing, *received, *(path for path in here if path not in self._holding)}, gone)

    def _takes(self, change: Change) -> bool:
        """Take one change out where it is about a file that is left alone, or a directory that holds some."""
        _, path, entry = change
        if entry is not None:
            if not self._files.keep.keeps(path, entry.kind is Kind.DIRECTORY):
                return False
            self.rows.append(BaseRow(entry, _NOT_APPLIED))
            return True
        is_directory = self._is_directory(path)
        if not self._files.keep.keeps(path, is_directory) and not (is_directory and self._holds(path)):
            return False
        self.forgotten.append(path)
        return True

    def _is_directory(self, path: bytes) -> bool:
        with contextlib.suppress(OSError, ApplyError), Root(self._files.root) as root:
            here = root.lstat(path)
            return here is not None and stat.S_ISDIR(here.st_mode)
        return False

    def _holds(self, directory: bytes) -> bool:
        """Tell whether a directory holds such files; each tree is walked once, from its top."""
        above = directory
        while above and above not in self._walked:
            above = above.rpartition(b"/")[0]
        if above not in self._walked:
            self._walked.add(directory)
            self._holding |= self._files.holding(directory)
        return directory in self._holding
