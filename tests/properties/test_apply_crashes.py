"""Any transaction, stopped at any operation: the tree is wholly old or wholly new, as node.db says."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.errors import ApplyError, HalfAppliedError
from syncer.files import Disk
from syncer.model import Change, Cursor, Patterns, Term
from syncer.replicate.destination import Destination
from syncer.replicate.messages import PROTOCOL, Begin, Hello
from syncer.state.store import StateStore
from tests.properties.test_apply_trees import Node, build, ticks, trees
from tests.unit.apply.trees import changes_between, read_tree


class Crash(BaseException):
    """The process is gone: nothing may be tidied up."""


@contextmanager
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def hello() -> Hello:
    head = Cursor("index", "run", 9)
    return Hello(PROTOCOL, "1", "node-p", "prod-a", Term(1, "node-p"), "nginx", head, Patterns(), b"", b"", ())


class Receiver:
    """A destination on a state that outlives it, as a node has them."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self._state = folder / "state"
        self.store = StateStore.open(self._state, create=True)
        self._opened: list[Destination] = []

    def open(self, disk: Disk) -> Destination:
        destination = Destination("nginx", self.root, Patterns(), self.store, [], disk)
        self._opened.append(destination)
        return destination

    def close(self) -> None:
        for destination in self._opened:
            destination.close()
        self.store.close()

    def apply(self, destination: Destination, changes: list[Change], contents: dict[bytes, bytes]) -> None:
        seq = self.cursor() + 1
        begin = Begin(False, None, Cursor("index", "run", seq))
        destination.require_whole()
        attempt = destination.attempt(changes, Term(1, "node-p"))
        for digest in attempt.wanted():
            attempt.write(digest, contents[digest], 0, False)
        opening = destination.opening(hello(), begin)
        destination.commit(destination.finish(attempt, opening), opening, 0.0, 1)

    def cursor(self) -> int:
        with self.store.read() as reader:
            row = reader.execute("SELECT seq FROM standing WHERE domain = 'nginx'").fetchone()
        return row[0] if row else 0


def between(folder: Path, before: dict[bytes, Node], after: dict[bytes, Node]) -> tuple[Receiver, list[Change], dict]:  # type: ignore[type-arg]
    """Make a receiver that stands at `before` by its own doing, and the changes that lead to `after`."""
    receiver = Receiver(folder)
    for name, nodes, start in (("old", before, 10**18), ("new", after, 11 * 10**17)):
        (folder / name).mkdir()
        build(os.fsencode(folder / name), nodes, ticks(start))  # type: ignore[arg-type]  # drawn trees
    receiver.root.mkdir()
    old, contents = read_tree(folder / "old")
    destination = receiver.open(Disk())
    empty, _ = read_tree(receiver.root)
    receiver.apply(destination, changes_between(empty, old), contents)
    destination.tidy()
    new, more = read_tree(folder / "new")
    return receiver, changes_between(old, new), {**contents, **more}


@given(trees, trees, st.integers(0, 90))
def test_guarantee_5_a_crash_at_any_operation_leaves_the_old_tree_or_the_new_one(
    before: dict[bytes, Node], after: dict[bytes, Node], stop_at: int
) -> None:
    with place() as folder:
        receiver, changes, contents = between(folder, before, after)
        old, new = read_tree(folder / "old")[0], read_tree(folder / "new")[0]
        left = stop_at

        def stop(operation: str, path: bytes) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Crash

        start = receiver.cursor()
        with suppress(Crash):
            receiver.apply(receiver.open(Disk(stop)), changes, contents)
        again = receiver.open(Disk())
        found = read_tree(receiver.root)[0]
        assert found == (new if receiver.cursor() > start else old)
        assert not again.half_applied
        receiver.open(Disk())
        assert read_tree(receiver.root)[0] == found
        if found == old:
            receiver.apply(receiver.open(Disk()), changes, contents)
            assert read_tree(receiver.root)[0] == new
        left = 10**9
        receiver.close()


@given(trees, trees, st.integers(0, 90), st.booleans())
def test_guarantee_5_a_refusing_disk_leaves_the_old_tree_or_the_new_one(
    before: dict[bytes, Node], after: dict[bytes, Node], fail_at: int, for_good: bool
) -> None:
    with place() as folder:
        receiver, changes, contents = between(folder, before, after)
        old, new = read_tree(folder / "old")[0], read_tree(folder / "new")[0]
        left = fail_at

        def refuse(operation: str, path: bytes) -> None:
            nonlocal left
            left -= 1
            if left == -1 or (left < 0 and for_good):
                raise OSError(28, os.strerror(28), path)

        start = receiver.cursor()
        failing = receiver.open(Disk(refuse))
        try:
            receiver.apply(failing, changes, contents)
        except HalfAppliedError:
            assert for_good
            with pytest.raises(ApplyError):
                receiver.apply(failing, changes, contents)
        except ApplyError:
            assert read_tree(receiver.root)[0] == old
            assert receiver.cursor() == start
        left = 10**9
        for_good = False
        failing.recover()
        found = read_tree(receiver.root)[0]
        assert found == (new if receiver.cursor() > start else old)
        if found == old:
            receiver.apply(failing, changes, contents)
            assert read_tree(receiver.root)[0] == new
        left = 10**9
        receiver.close()
