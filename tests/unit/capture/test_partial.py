"""Scans of hinted paths only."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from syncer.capture.ignore import Scope
from syncer.capture.scan import Scanner
from syncer.errors import UnavailableRootError
from syncer.model import Kind, Patterns
from tests.unit.capture.trees import EVERYTHING, MemoryTree, scanned


class Tree:
    """A scanned root that can be looked at again."""

    def __init__(self, root: Path, scope: Scope = EVERYTHING) -> None:
        self.root = root
        self.scope = scope
        self.memory = MemoryTree()
        self.entered: list[bytes] = []
        self.forgotten: list[bytes] = []
        self.scanner = Scanner(
            root,
            scope,
            self.memory,
            enter=lambda path, _: self.entered.append(path),
            forget=self.forgotten.append,
        )
        self.memory.take(self.scanner.full())
        # As after the second look of a capturer.
        self.memory.known = {path: known._replace(racy=False) for path, known in self.memory.known.items()}
        self.entered.clear()

    def look(self, *dirty: bytes, fresh: tuple[bytes, ...] = (), reread: tuple[bytes, ...] = ()) -> set[bytes]:
        """Scan these paths and return those that were told of."""
        findings = self.memory.take(self.scanner.paths(dirty, fresh=fresh, reread=reread))
        # Of a directory that only came along, its new mtime may be told first, and then that it leaves.
        assert not self.scope.everything or len({finding.path for finding in findings}) == len(findings)
        return {finding.path for finding in findings}

    def assert_complete(self) -> None:
        assert self.memory.entries() == scanned(self.root, self.scope)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    (path / "a" / "b").mkdir(parents=True)
    (path / "a" / "b" / "f").write_bytes(b"f")
    (path / "a" / "g").write_bytes(b"g")
    (path / "a-b").write_bytes(b"-")
    return path


def test_only_what_was_hinted_is_looked_at(root: Path) -> None:
    tree = Tree(root)
    (root / "a" / "g").write_bytes(b"changed")
    (root / "a-b").write_bytes(b"changed too")
    assert tree.look(b"a/g") == {b"a/g"}
    assert tree.look(b"a-b", b"a", b"", b"nothing/here") == {b"a-b"}
    assert tree.entered == []
    tree.assert_complete()


def test_a_known_directory_is_not_walked_through(root: Path) -> None:
    tree = Tree(root)
    (root / "a" / "new").touch()
    assert tree.look(b"a") == {b"a"}
    assert tree.look(b"a/new") == {b"a/new"}
    tree.assert_complete()


def test_a_new_directory_is_scanned_with_all_below(root: Path) -> None:
    tree = Tree(root)
    (root / "n" / "m").mkdir(parents=True)
    (root / "n" / "m" / "f").touch()
    assert tree.look(b"n", b"") == {b"", b"n", b"n/m", b"n/m/f"}
    assert tree.entered == [b"n", b"n/m"]
    tree.assert_complete()


def test_a_hint_below_an_unknown_directory_finds_the_directory(root: Path) -> None:
    tree = Tree(root)
    (root / "n" / "m").mkdir(parents=True)
    (root / "n" / "m" / "f").touch()
    assert tree.look(b"n/m/f") == {b"n", b"n/m", b"n/m/f"}
    tree.look(b"")
    tree.assert_complete()


def test_a_fresh_directory_is_listed_even_where_its_inode_is_known(root: Path) -> None:
    tree = Tree(root)
    (root / "a" / "b" / "h").touch()
    assert tree.look(b"a/b") == {b"a/b"}
    assert tree.look(fresh=(b"a/b",)) == {b"a/b/h"}
    assert tree.entered == [b"a/b"]


def test_a_directory_that_is_gone_takes_everything_below_along(root: Path) -> None:
    tree = Tree(root)
    shutil.rmtree(root / "a")
    assert tree.look(b"a/b/f", b"a/b", b"a", b"") == {b"", b"a", b"a/b", b"a/b/f", b"a/g"}
    tree.assert_complete()


def test_the_nearest_existing_ancestor_decides(root: Path) -> None:
    tree = Tree(root)
    shutil.rmtree(root / "a")
    assert tree.look(b"a/b/f") == {b"a", b"a/b", b"a/b/f", b"a/g"}
    (root / "a").write_bytes(b"a file now")
    assert tree.look(b"a/b/f", b"") == {b"a", b""}
    tree.assert_complete()


def test_a_symlink_on_the_way_is_an_entry_and_not_followed(root: Path) -> None:
    tree = Tree(root)
    (root / "a").rename(root / "z")
    (root / "a").symlink_to("z")
    tree.look(b"a/b/f", b"", b"z")
    assert tree.memory.known[b"a"].entry.kind is Kind.SYMLINK
    tree.assert_complete()


def test_a_renamed_directory(root: Path) -> None:
    tree = Tree(root)
    (root / "a").rename(root / "c")
    tree.look(b"a", b"c", b"", fresh=(b"c",))
    assert tree.entered == [b"c", b"c/b"]
    tree.assert_complete()


def test_a_removed_directory_whose_inode_comes_back_elsewhere(root: Path) -> None:
    tree = Tree(root)
    for _ in range(20):
        shutil.rmtree(root / "a" / "b")
        (root / "a" / "b").mkdir()
        (root / "a" / "b" / "other").touch()
        tree.look(b"a", b"a/b", fresh=(b"a/b",))
        tree.assert_complete()


def test_a_file_that_is_to_be_read_again_is_told_in_any_case(root: Path) -> None:
    tree = Tree(root)
    assert tree.look(b"a/g", reread=(b"a/g",)) == {b"a/g"}
    assert tree.look(reread=(b"gone",)) == set()


def test_before_any_full_scan_a_hint_scans_everything(root: Path) -> None:
    memory = MemoryTree()
    memory.take(Scanner(root, EVERYTHING, memory).paths([b"a/g"]))
    assert memory.entries() == scanned(root)


def test_hints_outside_of_the_scope_find_nothing_and_forget_what_was_known(root: Path) -> None:
    tree = Tree(root)
    scope = Scope(Patterns(("**",), ("/a/", "*.swp")), [b"own"])
    limited = Scanner(root, scope, tree.memory, forget=tree.forgotten.append)
    (root / "own").mkdir()
    (root / "x.swp").touch()
    findings = {finding.path for finding in limited.paths([b"own/x", b"own", b"x.swp", b"a/g", b".syncer/x"])}
    assert findings == set()
    assert tree.forgotten == [b"a/g"]


def test_parents_come_along_with_included_files_and_leave_with_them(root: Path) -> None:
    scope = Scope(Patterns(("*.conf",)))
    tree = Tree(root, scope)
    assert tree.memory.known.keys() == {b""}
    (root / "a" / "b" / "x.conf").touch()
    assert tree.look(b"a/b/x.conf", b"a/b") == {b"a", b"a/b", b"a/b/x.conf"}
    tree.assert_complete()
    (root / "a" / "y.conf").touch()
    tree.look(b"a/y.conf", b"a")
    tree.assert_complete()
    (root / "a" / "b" / "x.conf").unlink()
    assert tree.look(b"a/b/x.conf", b"a/b") == {b"a/b/x.conf", b"a/b"}
    tree.look(b"a")
    tree.assert_complete()
    (root / "a" / "y.conf").unlink()
    tree.look(b"a/y.conf", b"a", b"")
    assert tree.memory.known.keys() == {b""}
    tree.assert_complete()


def test_a_new_directory_that_is_not_included_itself_is_still_entered(root: Path) -> None:
    tree = Tree(root, Scope(Patterns(("*.conf",))))
    (root / "n").mkdir()
    (root / "n" / "x.conf").touch()
    assert tree.look(b"n", b"", fresh=(b"n",)) == {b"", b"n", b"n/x.conf"}
    assert tree.entered == [b"n"]


def test_a_root_that_was_replaced_raises_before_anything_is_told(root: Path) -> None:
    tree = Tree(root)
    root.rename(root.with_name("away"))
    root.mkdir()
    with pytest.raises(UnavailableRootError, match="another directory"):
        tree.look(b"a")
    assert tree.memory.known.keys() > {b"a", b"a/g"}


@pytest.mark.parametrize("hints", [[b"a\xff/x", b"a\xff"], [b"a\xff/x"]])
def test_names_that_are_not_utf8(root: Path, hints: list[bytes]) -> None:
    tree = Tree(root)
    os.mkdir(os.fsencode(root) + b"/a\xff")
    with open(os.fsencode(root) + b"/a\xff/x", "wb"):
        pass
    tree.look(*hints, b"")
    tree.assert_complete()
