"""Whatever the old tree and the new one are: applying the changes makes them equal, in one go or after a stop."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.apply.applier import Applied, Applier
from syncer.apply.owners import Owners
from syncer.errors import ApplyError
from syncer.files import Disk
from syncer.model import Change
from tests.unit.apply.trees import OPENING, MemoryBase, MemoryJournal, WholeReach, changes_between, read_tree

NAMES = [b"a", b"b", b"c\xff", b"d e"]
Node = object
files = st.tuples(
    st.just("file"), st.sampled_from([b"", b"one", b"two", b"x" * 3000]), st.sampled_from([0o644, 0o600, 0o4755])
)
links = st.tuples(st.just("link"), st.sampled_from([b"a", b"../away", b"/etc/passwd"]))
nodes = st.recursive(
    files | links,
    lambda children: st.tuples(
        st.just("dir"),
        st.dictionaries(st.sampled_from(NAMES), children, max_size=3),
        st.sampled_from([0o755, 0o700, 0o2750]),
    ),
    max_leaves=12,
)
trees = st.dictionaries(st.sampled_from(NAMES), nodes, max_size=4)


def build(where: bytes, tree: dict[bytes, tuple[object, ...]], clock: Iterator[int]) -> None:
    for name, node in tree.items():
        path = os.path.join(where, name)
        if node[0] == "file":
            with open(path, "wb") as file:
                file.write(node[1])  # type: ignore[arg-type]  # a drawn tuple
            os.chmod(path, node[2])  # type: ignore[arg-type]  # a drawn tuple
        elif node[0] == "link":
            os.symlink(node[1], path)  # type: ignore[arg-type]  # a drawn tuple
        else:
            os.mkdir(path)
            build(path, node[1], clock)  # type: ignore[arg-type]  # a drawn tuple
            os.chmod(path, node[2])  # type: ignore[arg-type]  # a drawn tuple
        moment = next(clock)
        os.utime(path, ns=(moment, moment), follow_symlinks=False)


def ticks(start: int) -> Iterator[int]:
    while True:
        start += 1_000_000_007
        yield start


@contextmanager
def three_roots() -> Iterator[tuple[Path, Path, Path]]:
    with tempfile.TemporaryDirectory() as folder:
        roots = tuple(Path(folder) / name for name in ("old", "new", "target"))
        for root in roots:
            root.mkdir()
        yield roots  # type: ignore[misc]  # a tuple of three


def apply(root: Path, base: MemoryBase, changes: list[Change], contents: dict[bytes, bytes], disk: Disk) -> Applied:
    applier = Applier("nginx", root, "0123456789", base, disk, Owners(), MemoryJournal())
    attempt = applier.begin(changes, WholeReach())
    for digest in attempt.wanted():
        data = contents[digest]
        half = len(data) // 2
        if len(data) > 1000:
            attempt.write(digest, data[:half], 0, True)
            attempt.write(digest, data[half:], half, False)
        else:
            attempt.write(digest, data, 0, False)
    applied = attempt.finish(OPENING)
    base.commit(applied)
    applier.close()
    return applied


def prepare(old: Path, new: Path, target: Path, before: object, after: object) -> None:
    build(os.fsencode(old), before, ticks(10**18))  # type: ignore[arg-type]  # drawn trees
    build(os.fsencode(new), after, ticks(11 * 10**17))  # type: ignore[arg-type]  # drawn trees
    shutil.rmtree(target)
    shutil.copytree(old, target, symlinks=True)


@given(trees, trees)
def test_any_tree_becomes_any_other(before: dict[bytes, Node], after: dict[bytes, Node]) -> None:
    with three_roots() as (old, new, target):
        prepare(old, new, target, before, after)
        base = MemoryBase()
        wanted, contents = read_tree(new)
        applied = apply(target, base, changes_between(read_tree(target)[0], wanted), contents, Disk())
        assert applied.problems == []
        assert read_tree(target)[0] == wanted
        # Again, from a base that knows it all, with nothing to fetch and nothing to do.
        again = apply(target, base, [Change(1, path, entry) for path, entry in wanted.items()], {}, Disk())
        assert again.changed == 0
        assert read_tree(target)[0] == wanted


@given(trees, trees, st.integers(0, 60))
def test_the_same_changes_after_a_stop_at_any_operation_end_the_same(
    before: dict[bytes, Node], after: dict[bytes, Node], stop_at: int
) -> None:
    with three_roots() as (old, new, target):
        prepare(old, new, target, before, after)
        base = MemoryBase()
        wanted, contents = read_tree(new)
        changes = changes_between(read_tree(target)[0], wanted)
        left = stop_at

        def stop(operation: str, name: bytes) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(5, f"stopped at {operation}", name)

        try:
            apply(target, base, changes, contents, Disk(stop))
        except ApplyError:
            pass
        except OSError:
            pytest.fail("an OSError left the applier unexplained")
        apply(target, base, changes, contents, Disk())
        assert read_tree(target)[0] == wanted
