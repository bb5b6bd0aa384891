"""Reading everything again: at a pace, until told to stop, and past what the file system says."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.capture.doubt import DoubtedTree, FreshReads, StoppedError
from syncer.capture.ignore import Scope
from syncer.capture.pace import TokenBucket
from syncer.capture.scan import Finding, Scanner
from syncer.model import Known, Patterns, name_of, parent_of


class Tree:
    """What was scanned last, in memory."""

    def __init__(self) -> None:
        self.rows: dict[bytes, Known] = {}

    def children(self, directory: bytes) -> dict[bytes, Known]:
        return {name_of(path): row for path, row in self.rows.items() if path and parent_of(path) == directory}

    def get(self, path: bytes) -> Known | None:
        return self.rows.get(path)


class RottenReads(FreshReads):
    """A disk that gives other bytes than were written, and says nothing of it."""

    def read(self, descriptor: int, size: int) -> bytes:  # type: ignore[override]
        return super().read(descriptor, size).replace(b"good", b"evil")

    def read_into(self, descriptor: int, buffer: memoryview) -> int:  # type: ignore[override]
        count = super().read_into(descriptor, buffer)
        buffer[:1] = b"!"
        return count


def scanned(root: Path) -> Tree:
    tree = Tree()
    for finding in Scanner(root, Scope(Patterns()), tree).full():
        assert finding.found is not None
        tree.rows[finding.path] = finding.found._replace(racy=False)
    return tree


def differing(root: Path, tree: Tree, reads: FreshReads) -> list[bytes]:
    def differs(finding: Finding) -> bool:
        known = tree.get(finding.path)
        return known is None or finding.found is None or known.entry != finding.found.entry

    return [
        found.path
        for found in Scanner(root, Scope(Patterns()), DoubtedTree(tree), reads=reads).full()
        if differs(found)
    ]


def test_rot_is_found_though_size_and_all_times_are_equal(tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"good")
    (tmp_path / "large").write_bytes(b"x" * (2 << 20))
    (tmp_path / "same").write_bytes(b"same")
    tree = scanned(tmp_path)
    assert differing(tmp_path, tree, FreshReads(0, threading.Event())) == []
    rotten = RottenReads(0, threading.Event())
    assert sorted(differing(tmp_path, tree, rotten)) == [b"large", b"small"]
    # An ordinary scan reads nothing, and so finds nothing.
    assert list(Scanner(tmp_path, Scope(Patterns()), tree, reads=rotten).full()) == []


def test_every_byte_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 1000)
    (tmp_path / "b").write_bytes(b"x" * (3 << 20))
    reads = FreshReads(0, threading.Event())
    differing(tmp_path, scanned(tmp_path), reads)
    assert reads.bytes == 1000 + (3 << 20)


def test_a_stop_ends_the_reading(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    stopping = threading.Event()
    tree = scanned(tmp_path)
    stopping.set()
    with pytest.raises(StoppedError):
        differing(tmp_path, tree, FreshReads(1, stopping))


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 3000)), min_size=1, max_size=30), st.integers(1, 2000))
def test_a_bucket_lets_through_its_rate_and_a_seconds_worth(steps: list[tuple[float, int]], rate: int) -> None:
    bucket = TokenBucket(rate)
    now, spent = 0.0, 0
    for pause, units in steps:
        now += pause
        spent += units
        now += bucket.spend(units, now)
        assert spent <= rate * (now + 1) + 1e-3
