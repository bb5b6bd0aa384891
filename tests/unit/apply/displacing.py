"""Applies trees for the tests of the history: what goes is put aside, with a row that tells of it.

`Core` puts aside by hand, so that a test knows where everything lies; `AppliedCore` has a receiver do it.
"""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Mapping
from pathlib import Path

from syncer.apply.area import area_name
from syncer.apply.areas import Areas
from syncer.apply.history import History
from syncer.apply.journal import Opening
from syncer.apply.rollback import plan_rollback
from syncer.apply.survey import identity_of
from syncer.config.settings import HistorySettings
from syncer.files import Disk
from syncer.model import Cursor, DiskIdentity, Entry, EventValue, Kind, Patterns, Term, is_beneath, parent_of
from syncer.replicate.destination import Destination
from syncer.state.base import Base, BaseRow
from syncer.state.cursors import Standing, read_standing
from syncer.state.generations import (
    Displaced,
    Generation,
    complete_generation,
    open_generation,
    read_displaced,
    read_generations,
)
from syncer.state.store import StateStore
from tests.unit.apply.trees import changes_between, read_tree

DOMAIN = "nginx"
SOURCE = "5b0c7c1e-6f0d-4c9f-9a53-0a4b0b1f4a6e"
Tree = dict[bytes, Entry]


class LackingError(Exception):
    """A content is neither kept nor on the disk."""


class Core:
    """A root with its state, its private area and its history."""

    def __init__(
        self, where: Path, *, root: Path | None = None, state: Path | None = None, domain: str = DOMAIN
    ) -> None:
        """Work in `where`, or on a root and a state that are there already."""
        self.domain = domain
        self.root = root or where / "root"
        self.root.mkdir(exist_ok=True)
        self.store = StateStore.open(state or where / "state", create=True)
        self.area = self.root.parent / ".syncer" / os.fsdecode(area_name(domain, self.store.node_id))
        self.area.mkdir(parents=True, mode=0o700, exist_ok=True)
        self.events: list[tuple[str, Mapping[str, EventValue]]] = []
        self.limits = HistorySettings()
        self.now = 1_700_000_000.0
        self._base = Base(self.store)
        self._areas = Areas(self.root, domain, self.store.node_id, Disk())
        self.history = self.new_history()

    def close(self) -> None:
        self.history.close()
        self._areas.close()
        self.store.close()

    def close_areas(self) -> None:
        """Let go of mounts, as between two transactions."""
        self._areas.close()

    def new_history(self, disk: Disk | None = None) -> History:
        """Begin anew, as after a start."""
        self.history = History(
            self.domain,
            self.store,
            disk or Disk(),
            self._areas.current,
            self.limits,
            lambda name, variables: self.events.append((name, variables)),
            lambda: self.now,
        )
        return self.history

    @property
    def generation(self) -> int:
        """Where the domain stands."""
        standing = read_standing(self.store, self.domain)
        return standing.generation if standing is not None else 0

    def tree(self) -> Tree:
        return read_tree(self.root)[0]

    def write(self, files: Mapping[str, bytes | None]) -> int:
        """Apply these files (None: gone), as one transaction; their directories come along."""
        tree, contents = read_tree(self.root)
        for name, data in files.items():
            path = name.encode()
            tree = {other: entry for other, entry in tree.items() if not is_beneath(other, path)}
            if data is None:
                continue
            parent = parent_of(path)
            while parent and (parent not in tree or tree[parent].kind is not Kind.DIRECTORY):
                tree[parent] = entry_of_directory(parent)
                parent = parent_of(parent)
            entry, digest = entry_of_file(path, data)
            tree[path] = entry
            contents[digest] = data
        return self.apply(tree, contents)

    def apply(
        self,
        wanted: Tree,
        contents: Mapping[bytes, bytes],
        kind: str = "partial",
        strangers: Mapping[bytes, bytes] | None = None,
    ) -> int:
        """Make the root `wanted`; `strangers` are written by somebody else just before things are put aside."""
        current = read_tree(self.root)[0]
        number = self.generation + 1
        stage = b"stage-%d" % number
        rows = self._rows(current, wanted)
        moved = [row for row in rows if row.place]
        generation = Generation(
            number, self.now, kind, SOURCE, "prod-a", Term(1, SOURCE), number, len(rows), False, "", stage
        )
        with self.store.transaction() as writer:
            open_generation(writer, self.domain, generation, rows)
        (self.area / os.fsdecode(stage)).mkdir()
        for path, data in (strangers or {}).items():
            self._at(path).write_bytes(data)
        for row in moved:
            os.rename(self._at(row.path), self.area / os.fsdecode(stage) / os.fsdecode(row.place))
        self._make(current, wanted, contents)
        self._commit(wanted, number)
        return number

    def roll_back(self, target: int) -> int:
        """Go back, through the plan and the kept contents."""
        self.history.take_all_in()
        now = self.generation
        tree, contents = read_tree(self.root)
        way = plan_rollback(read_displaced(self.store, self.domain, number) for number in range(now, target, -1))
        for change in way.changes:
            if change.entry is None:
                tree = {path: entry for path, entry in tree.items() if not is_beneath(path, change.path)}
                continue
            tree[change.path] = nameless(change.entry)
            if change.entry.kind is Kind.FILE and change.entry.digest not in contents:
                contents[change.entry.digest] = self.kept(change.entry.digest) if change.entry.size else b""
        return self.apply(tree, contents, "rollback")

    def kept(self, digest: bytes) -> bytes:
        descriptor = self.history.opener()(digest)
        if descriptor is None:
            raise LackingError(digest)
        with open(descriptor, "rb") as file:
            return file.read()

    def rows(self, number: int) -> dict[bytes, Displaced]:
        return {row.path: row for row in read_displaced(self.store, self.domain, number)}

    def recorded(self, number: int) -> Generation:
        [found] = [item for item in read_generations(self.store, self.domain) if item.number == number]
        return found

    def kept_names(self) -> list[str]:
        folder = self.area / "kept"
        return sorted(os.listdir(folder)) if folder.exists() else []

    def _rows(self, current: Tree, wanted: Tree) -> list[Displaced]:
        rows: list[Displaced] = []
        aside: set[bytes] = set()
        for path in sorted({*current, *wanted}, key=lambda path: (path.count(b"/"), path)):
            here, there = current.get(path), wanted.get(path)
            if here == there:
                continue
            if here is None:
                rows.append(Displaced(path, None))
                continue
            stays = there is not None and here.kind is there.kind
            stays = stays and there is not None and (here.digest, here.link_target) == (there.digest, there.link_target)
            place = b"" if stays or any(is_beneath(path, top) for top in aside) else b"%d" % (len(rows) + 1)
            if place:
                aside.add(path)
            known = self._base.get(self.domain, path)
            if known is not None and nameless(known.entry) == here:
                rows.append(Displaced(path, known.entry, place=place))
            else:
                rows.append(Displaced(path, here._replace(digest=b"", link_target=b""), edited=True, place=place))
        return rows

    def _make(self, current: Tree, wanted: Tree, contents: Mapping[bytes, bytes]) -> None:
        ordered = sorted(wanted, key=lambda path: (path.count(b"/") + bool(path), path))
        for path in ordered:
            entry, where = wanted[path], self._at(path)
            if os.path.lexists(where):
                continue
            if entry.kind is Kind.DIRECTORY:
                where.mkdir()
            elif entry.kind is Kind.SYMLINK:
                os.symlink(entry.link_target, os.fsencode(where))
            else:
                where.write_bytes(contents[entry.digest])
        for path in reversed(ordered):
            entry, where = wanted[path], self._at(path)
            if entry.kind is not Kind.SYMLINK:
                where.chmod(entry.mode)
            os.utime(where, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)

    def _commit(self, wanted: Tree, number: int) -> None:
        rows = [BaseRow(named(entry), self._identity(path)) for path, entry in wanted.items()]
        gone = [known.entry.path for known in self._base.rows(self.domain) if known.entry.path not in wanted]
        before = read_standing(self.store, self.domain)
        standing = before or Standing(Cursor("index", "run", 0), SOURCE, b"", b"", resumable=True, generation=0)
        standing = standing._replace(generation=number)
        with self.store.transaction() as writer:
            self._base.commit(self.domain, rows, gone, standing, [])
            complete_generation(writer, self.domain, number)

    def _identity(self, path: bytes) -> DiskIdentity:
        return identity_of(os.lstat(self._at(path)))

    def _at(self, path: bytes) -> Path:
        return self.root / os.fsdecode(path)


class AppliedCore(Core):
    """A core whose transactions are those of a receiver: its journal, its stage, its commit."""

    def apply(
        self,
        wanted: Tree,
        contents: Mapping[bytes, bytes],
        kind: str = "partial",
        strangers: Mapping[bytes, bytes] | None = None,
    ) -> int:
        """Make the root `wanted` through a destination of its own, as after a start."""
        destination = Destination(self.domain, self.root, Patterns(), self.store, (), Disk(self._meanwhile))
        self._strangers = dict(strangers or {})
        changes = [
            change if change.entry is None else change._replace(entry=named(change.entry))
            for change in changes_between(self.tree(), wanted)
        ]
        attempt = destination.attempt(changes, Term(1, SOURCE))
        for digest in attempt.wanted():
            attempt.write(digest, contents[digest], 0, False)
        before = destination.standing()
        standing = before or Standing(Cursor("index", "run", 0), SOURCE, b"", b"", resumable=True, generation=0)
        opening = Opening(standing, False, Patterns(), kind, "prod-a", Term(1, SOURCE))
        applied = destination.finish(attempt, opening)
        assert applied.problems == []
        return destination.commit(applied, opening, 0.0, 1).generation

    def _meanwhile(self, operation: str, _: bytes) -> None:
        if operation == "intent":
            for path, data in self._strangers.items():
                self._at(path).write_bytes(data)


def named(entry: Entry) -> Entry:
    """Return an entry with the names of its owners, as production sends it."""
    return entry._replace(owner=pwd.getpwuid(entry.uid).pw_name, group=grp.getgrgid(entry.gid).gr_name)


def nameless(entry: Entry) -> Entry:
    """Return an entry as a tree is read."""
    return entry._replace(owner="", group="")


def entry_of_file(path: bytes, data: bytes, mode: int = 0o644) -> tuple[Entry, bytes]:
    import blake3

    digest = blake3.blake3(data).digest()
    moment = 10**18 + sum(data) + len(path)
    return Entry(path, Kind.FILE, mode, os.geteuid(), os.getegid(), "", "", moment, len(data), digest, b""), digest


def entry_of_directory(path: bytes) -> Entry:
    return Entry(path, Kind.DIRECTORY, 0o755, os.geteuid(), os.getegid(), "", "", 10**18, 0, b"", b"")
