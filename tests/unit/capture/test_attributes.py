"""Capture of attributes and of files with several names: what is found, when, and what could not be read."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from syncer.attributes import decode
from syncer.capture.reader import Reads
from syncer.capture.scan import Scanner
from syncer.files import Attributes, Names, read_attributes
from tests.unit.capture.trees import EVERYTHING, MemoryTree, Running, scanned


def attributes_of(running: Running, path: bytes) -> dict[bytes, bytes]:
    return decode(running.entries()[path].attributes)


def test_attributes_of_files_and_directories_are_found(root: Path) -> None:
    (root / "d").mkdir()
    (root / "f").write_bytes(b"x")
    os.setxattr(root / "f", "user.b", b"\0\xff")
    os.setxattr(root / "f", "user.a", b"")
    os.setxattr(root / "d", "user.d", b"1")
    os.setxattr(root, "user.root", b"2")
    found = scanned(root)
    assert decode(found[b"f"].attributes) == {b"user.a": b"", b"user.b": b"\0\xff"}
    assert decode(found[b"d"].attributes) == {b"user.d": b"1"}
    assert decode(found[b""].attributes) == {b"user.root": b"2"}


@pytest.mark.needs_root
def test_attributes_of_a_link_are_its_own(root: Path) -> None:
    (root / "f").write_bytes(b"x")
    (root / "l").symlink_to("f")
    os.setxattr(root / "l", "trusted.own", b"link", follow_symlinks=False)
    found = scanned(root)
    assert decode(found[b"l"].attributes) == {b"trusted.own": b"link"}
    assert found[b"f"].attributes == b""


def test_a_change_of_an_attribute_alone_is_noticed(tmp_path: Path) -> None:
    with Running(tmp_path) as running:
        (running.root / "d").mkdir()
        (running.root / "f").write_bytes(b"x")
        running.flush()
        os.setxattr(running.root / "f", "user.a", b"1")
        os.setxattr(running.root / "d", "user.a", b"2")
        running.assert_equal()
        assert attributes_of(running, b"f") == {b"user.a": b"1"}
        assert attributes_of(running, b"d") == {b"user.a": b"2"}
        os.removexattr(running.root / "f", "user.a")
        running.assert_equal()
        assert attributes_of(running, b"f") == {}


class Flawed(Reads):
    """Says of a file that one of its attributes cannot be read."""

    @staticmethod
    def attributes(descriptor: int, names: Names) -> Attributes:
        if os.fstat(descriptor).st_size == 3:
            return Attributes(
                b"", "its attribute user.a cannot be read (Input/output error): it is synchronized without"
            )
        return read_attributes(descriptor, names)


def test_what_cannot_be_read_is_a_problem_and_the_content_is_captured(tmp_path: Path) -> None:
    with Running(tmp_path, reads=Flawed()) as running:
        (running.root / "bad").write_bytes(b"bad")
        (running.root / "fine").write_bytes(b"fine")
        running.flush()
        assert len(running.entries()[b"bad"].digest) == 32
        running.wait(lambda: len(running.state.problems) == 1)
        [problem] = running.state.problems
        assert problem.path == b"bad"
        assert "user.a cannot be read" in problem.reason
        (running.root / "bad").write_bytes(b"better")
        running.flush()
        running.wait(lambda: not running.state.problems)


def test_a_name_that_cannot_be_carried_is_a_problem(root: Path) -> None:
    (root / "f").write_bytes(b"x")
    os.setxattr(root / "f", b"user.caf\xe9", b"1")
    os.setxattr(root / "f", "user.good", b"2")
    entry = scanned(root)[b"f"]
    assert decode(entry.attributes) == {b"user.good": b"2"}
    assert "user.caf" in entry.note
    assert "not printable" in entry.note


def test_a_file_system_without_attributes_has_none(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object, **__: object) -> list[str]:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    (root / "f").write_bytes(b"x")
    monkeypatch.setattr(os, "listxattr", unsupported)
    assert scanned(root)[b"f"].attributes == b""
    assert scanned(root)[b"f"].note == ""


def test_names_of_one_file_share_a_number_and_others_have_none(root: Path) -> None:
    for name in ("a", "c"):
        (root / name).write_bytes(b"same")
    os.link(root / "a", root / "b")
    found = scanned(root)
    assert found[b"a"].link == found[b"b"].link != 0
    assert found[b"c"].link == found[b""].link == 0


def test_the_last_name_has_no_number_any_more(tmp_path: Path) -> None:
    with Running(tmp_path) as running:
        (running.root / "a").write_bytes(b"1")
        os.link(running.root / "a", running.root / "b")
        os.link(running.root / "a", running.root / "c")
        running.assert_equal()
        (running.root / "b").unlink()
        running.assert_equal()
        # Replaced, not unlinked: no event names the file that stays behind.
        (running.root / "new").write_bytes(b"2")
        (running.root / "new").replace(running.root / "c")
        running.assert_equal()
        assert {path: entry.link for path, entry in running.entries().items()} == {b"": 0, b"a": 0, b"c": 0}


def test_an_index_that_knows_all_reads_no_attribute_of_a_file(root: Path) -> None:
    for name in ("a", "b"):
        (root / name).write_bytes(b"x")
    tree = MemoryTree()
    looked: list[int] = []

    class Counting(Reads):
        @staticmethod
        def attributes(descriptor: int, names: Names) -> Attributes:
            looked.append(descriptor)
            return read_attributes(descriptor, names)

    tree.take(Scanner(root, EVERYTHING, tree, reads=Counting()).full())
    assert len(looked) == 3
    tree.known = {path: known._replace(racy=False) for path, known in tree.known.items()}
    looked.clear()
    assert list(Scanner(root, EVERYTHING, tree, reads=Counting()).full()) == []
    assert len(looked) == 1  # the root directory
