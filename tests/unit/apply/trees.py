"""Trees as values: make one on disk, read one back, and say what leads from one to the other."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import blake3

from syncer.apply.applier import Applied
from syncer.apply.before import IsAsApplied
from syncer.apply.execution import Work
from syncer.apply.journal import Opening
from syncer.apply.plan import Survey
from syncer.model import Change, Cursor, Entry, Kind, Known, Patterns, Term, parent_of
from syncer.state.cursors import Standing


class MemoryBase:
    """A base in memory, with the commits that a receiver would make."""

    def __init__(self) -> None:
        self.rows: dict[bytes, Known] = {}

    def get(self, path: bytes) -> Known | None:
        return self.rows.get(path)

    def names_of_link(self, link: int) -> list[Known]:
        return [known for known in self.rows.values() if known.entry.link == link]

    def paths_with_digest(self, digest: bytes) -> list[bytes]:
        return [path for path, known in self.rows.items() if known.entry.digest == digest]

    def commit(self, applied: Applied) -> None:
        for path in applied.deletions:
            self.rows.pop(path, None)
        for row in applied.upserts:
            self.rows[row.entry.path] = Known(row.entry, row.identity)


class MemoryJournal:
    """A journal in memory: a crash is not what these tests are about."""

    def __init__(self) -> None:
        self.open: Work | None = None

    def begin(self, opening: Opening, work: Work, survey: Survey, stage: bytes, as_applied: IsAsApplied) -> int:
        self.open = work
        return opening.standing.generation + 1

    def cancel(self) -> None:
        self.open = None

    def stages_in_use(self) -> set[bytes]:
        return set()


OPENING = Opening(
    Standing(Cursor("index", "run", 1), "node", b"", b"", resumable=True, generation=0),
    False,
    Patterns(),
    "partial",
    "prod-a",
    Term(1, "node"),
)


class WholeReach:
    """Everything may be touched but what is named."""

    def __init__(self, protected: bytes = b"", excluded: bytes = b"") -> None:
        self._protected = protected
        self._excluded = excluded

    def is_protected(self, path: bytes) -> bool:
        return bool(self._protected) and path == self._protected

    def may_descend(self, path: bytes) -> bool:
        return not self._excluded or path != self._excluded


def read_tree(root: Path) -> tuple[dict[bytes, Entry], dict[bytes, bytes]]:
    """Return every entry below `root` by path, and all contents by digest."""
    entries: dict[bytes, Entry] = {}
    contents: dict[bytes, bytes] = {}
    pending = [b""]
    while pending:
        path = pending.pop()
        where = os.path.join(os.fsencode(root), path) if path else os.fsencode(root)
        found = os.lstat(where)
        common = (found.st_uid, found.st_gid, "", "", found.st_mtime_ns)
        mode = stat.S_IMODE(found.st_mode)
        if stat.S_ISDIR(found.st_mode):
            entries[path] = Entry(path, Kind.DIRECTORY, mode, *common, 0, b"", b"")
            pending += [path + b"/" + name if path else name for name in os.listdir(where) if name != b".syncer"]
        elif stat.S_ISLNK(found.st_mode):
            entries[path] = Entry(path, Kind.SYMLINK, 0, *common, 0, b"", os.readlink(where))
        else:
            with open(where, "rb") as file:
                data = file.read()
            digest = blake3.blake3(data).digest()
            contents[digest] = data
            entries[path] = Entry(path, Kind.FILE, mode, *common, len(data), digest, b"")
    return entries, contents


def changes_between(old: dict[bytes, Entry], new: dict[bytes, Entry]) -> list[Change]:
    """Return the changes that make the tree `old` the tree `new`, each with its directory, as capture does."""
    gone = [path for path in old if path not in new]
    written = {path for path, entry in new.items() if old.get(path) != entry}
    written |= {parent_of(path) for path in (*gone, *written)} & new.keys()
    changes = [Change(1, path, None) for path in gone]
    changes += [Change(1, path, new[path]) for path in written]
    return sorted(changes, key=lambda change: (parent_of(change.path), change.path))
