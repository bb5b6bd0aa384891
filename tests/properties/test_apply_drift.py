"""A full synchronization makes any tree any other, whatever someone did here before; also after a stop."""

from __future__ import annotations

import contextlib
import os
import shutil

from hypothesis import given
from hypothesis import strategies as st

from syncer.errors import ApplyError
from syncer.files import Disk
from tests.properties.test_apply_trees import Node, apply, build, prepare, three_roots, ticks, trees
from tests.unit.apply.trees import MemoryBase, changes_between, read_tree


@given(trees, trees, trees, st.integers(0, 80))
def test_a_base_that_the_disk_left_behind_misleads_nobody(
    before: dict[bytes, Node], drifted: dict[bytes, Node], after: dict[bytes, Node], stop_at: int
) -> None:
    with three_roots() as (old, new, target):
        prepare(old, new, target, before, after)
        base = MemoryBase()
        first, first_contents = read_tree(target)
        shutil.rmtree(target)
        target.mkdir()
        apply(target, base, changes_between({}, first), first_contents, Disk())
        # Someone changes everything here; the base still tells of `before`.
        shutil.rmtree(target)
        target.mkdir()
        build(os.fsencode(target), drifted, ticks(12 * 10**17))  # type: ignore[arg-type]  # drawn trees
        wanted, contents = read_tree(new)
        changes = changes_between(read_tree(target)[0], wanted)
        left = stop_at

        def stop(operation: str, path: bytes) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(5, f"stopped at {operation}", path)

        with contextlib.suppress(ApplyError):
            apply(target, base, changes, contents, Disk(stop))
        applied = apply(target, base, changes, contents, Disk())
        assert applied.problems == []
        assert read_tree(target)[0] == wanted
