"""What is read ahead: only what is going to be read, and never what does not belong to the scope."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer.capture.doubt import FreshReads
from syncer.capture.ignore import Scope
from syncer.capture.read_ahead import FILES_AHEAD, ReadAhead
from syncer.capture.scan import Scanner
from syncer.model import Known, Patterns


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    for number in range(FILES_AHEAD + 10):
        (tmp_path / f"{number:03}").write_bytes(b"x")
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def begun(ahead: ReadAhead, folder: Path) -> set[str]:
    found = set()
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            if ahead.has_begun(file.fileno()):
                found.add(path.name)
    return found


def test_the_next_files_are_begun_and_each_once(tmp_path: Path, directory: int) -> None:
    ahead = ReadAhead()
    names = sorted(os.listdir(directory))
    ahead.expect(directory, names, lambda name, status: True)
    ahead.begin(directory, names[0])
    assert begun(ahead, tmp_path) == set(names[1 : FILES_AHEAD + 1])
    assert begun(ahead, tmp_path) == set()
    ahead.begin(directory, names[1])
    assert begun(ahead, tmp_path) == {names[FILES_AHEAD + 1]}


def test_what_does_not_belong_is_not_opened(tmp_path: Path, directory: int) -> None:
    ahead = ReadAhead()
    names = sorted(os.listdir(directory))
    (tmp_path / "002").unlink()
    (tmp_path / "003").unlink()
    os.mkfifo(tmp_path / "003")
    ahead.expect(directory, names, lambda name, status: name != "001")
    ahead.begin(directory, names[0])
    (tmp_path / "003").unlink()
    assert begun(ahead, tmp_path) == set(names[4 : FILES_AHEAD + 1])


def test_another_directory_with_the_same_number_is_not_taken_for_it(tmp_path: Path, directory: int) -> None:
    ahead = ReadAhead()
    names = sorted(os.listdir(directory))
    ahead.expect(directory, names, lambda name, status: True)
    ahead.forget(directory)
    ahead.begin(directory, names[0])
    assert begun(ahead, tmp_path) == set()


class Nothing:
    """Nothing is known."""

    def children(self, directory: bytes) -> dict[bytes, Known]:
        return {}

    def get(self, path: bytes) -> Known | None:
        return None


class Counting(FreshReads):
    """Remembers what was opened."""

    def __init__(self) -> None:
        super().__init__(0, threading.Event())
        self.expected: list[str] = []

    def expect(self, descriptor: int, names: list[str], belongs: object) -> None:
        assert callable(belongs)
        for name in names:
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if belongs(name, status):
                self.expected.append(name)


def test_a_scan_expects_what_its_scope_holds(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for name in ("kept", "left.log", "below/kept too", "below/left.log"):
        (tmp_path / name).write_bytes(b"x")
    reads = Counting()
    found = list(Scanner(tmp_path, Scope(Patterns(exclude=("*.log",))), Nothing(), reads=reads).full())
    assert sorted(reads.expected) == ["below", "kept", "kept too"]
    assert len(found) == 4
