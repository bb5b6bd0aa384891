"""Whatever was applied in whatever order: a rollback to any generation brings back exactly that tree."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from syncer.model import Kind, is_beneath
from tests.properties.test_apply_trees import build, ticks, trees
from tests.unit.apply.displacing import AppliedCore, Core, LackingError, Tree
from tests.unit.apply.trees import read_tree

moves = st.lists(
    st.one_of(
        st.tuples(st.just("apply"), trees),
        st.tuples(st.just("edit"), st.binary(max_size=40)),
        st.tuples(st.just("take in"), st.integers(1, 4)),
        st.tuples(st.just("restart"), st.none()),
        st.tuples(st.just("roll back"), st.integers(0, 100)),
    ),
    min_size=2,
    max_size=9,
)


def edit(root: Path, data: bytes) -> None:
    """Change what the first file holds, and add one, as a person on failover does."""
    for folder, _, names in sorted(os.walk(root)):
        for name in sorted(names):
            path = Path(folder, name)
            if not path.is_symlink():
                path.write_bytes(data)
                break
    (root / "e").mkdir(exist_ok=True)
    (root / "e" / "local").write_bytes(data)


def other_tree(tree: object, moment: int) -> tuple[Tree, dict[bytes, bytes]]:
    folder = Path(tempfile.mkdtemp())
    try:
        build(os.fsencode(folder), tree, ticks(moment))  # type: ignore[arg-type]  # a drawn tree
        entries, contents = read_tree(folder)
    finally:
        shutil.rmtree(folder)
    return entries, contents


def without_moments_of_directories(tree: Tree) -> Tree:
    """A directory's mtime moves when somebody edits in it, which is no transaction."""
    return {
        path: entry if entry.kind is not Kind.DIRECTORY else entry._replace(mtime_ns=0) for path, entry in tree.items()
    }


def brought_back(core: Core, states: list[Tree], target: int) -> Tree:
    """Return what a rollback must make: at each path what the earliest later generation found there."""
    expected = core.tree()
    for number in range(len(states) - 1, target, -1):
        for path in core.rows(number):
            before = states[number - 1].get(path)
            if before is None:
                expected = {other: entry for other, entry in expected.items() if not is_beneath(other, path)}
            else:
                expected[path] = before
    return expected


@given(moves)
def test_guarantee_6_every_generation_comes_back_exactly(drawn: list[tuple[str, object]]) -> None:
    edited = any(what == "edit" for what, _ in drawn)
    with tempfile.TemporaryDirectory() as folder:
        core = AppliedCore(Path(folder))
        try:
            # As it stood when the next transaction began, which is what that one displaced.
            states: list[Tree] = [core.tree()]
            destroyed: set[bytes] = set()
            for number, (what, how) in enumerate(drawn):
                if what == "apply":
                    wanted, contents = other_tree(how, 10**18 + number * 10**15)
                    states[-1] = core.tree()
                    # Moments of directories alone make no generation: they belong to the one that stands.
                    if core.apply(wanted, contents) == len(states):
                        states.append(core.tree())
                elif what == "edit":
                    assert isinstance(how, bytes)
                    destroyed |= {entry.digest for entry in core.tree().values()}
                    edit(core.root, how)
                elif what == "take in":
                    assert isinstance(how, int)
                    core.history.take_in(how)
                elif what == "restart":
                    core.new_history().tend()
                elif len(states) > 1:
                    assert isinstance(how, int)
                    target = how % (len(states) - 1)
                    states[-1] = core.tree()
                    expected = brought_back(core, states, target)
                    try:
                        core.roll_back(target)
                    except LackingError as lacking:
                        if lacking.args[0] in destroyed:
                            # Somebody overwrote the only file that held it, in its place.
                            continue
                        raise
                    found = core.tree()
                    if edited:
                        assert without_moments_of_directories(found) == without_moments_of_directories(expected)
                    else:
                        assert found == states[target]
                    if core.generation == len(states):
                        states.append(found)
        finally:
            core.close()
