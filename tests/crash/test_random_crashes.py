"""Guarantee 5 for transactions that nobody thought of: random edits, stopped anywhere in any way."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from syncer.model import Kind, is_beneath
from tests.conftest import MEMORY
from tests.crash.cases import WAYS, verdicts
from tests.crash.receiver import SyncerReceiver
from tests.crash.transactions import Transaction, start
from tests.crash.trees import Tree
from tests.crash.ways import Bench

PATHS = [b"plain", b"conf", b"conf/a", b"conf/b", b"conf/sub", b"conf/sub/deep", b"void", b"away", b"new", b"new/x"]
Edit = Callable[[Tree], object]

paths = st.sampled_from(PATHS)
edits: st.SearchStrategy[Edit] = st.one_of(
    st.builds(lambda path, data: lambda tree: tree.file(path, data), paths, st.sampled_from([b"", b"1", b"x" * 9000])),
    st.builds(lambda path, mode: lambda tree: tree.directory(path, mode), paths, st.sampled_from([0o755, 0o700])),
    st.builds(lambda path: lambda tree: tree.link(path, b"anywhere"), paths),
    st.builds(lambda path: lambda tree: tree.remove(path), paths),
    st.builds(lambda path, mode: lambda tree: tree.mode(path, mode), paths, st.sampled_from([0o600, 0o755, 0o4711])),
    st.builds(lambda path: lambda tree: tree.touch(path), paths),
    st.builds(lambda old, new: lambda tree: tree.move(old, new), paths, paths),
)


def edited(choices: list[Edit]) -> Tree:
    """Return a tree after those of the edits that a real tree allows."""
    tree = start().copy()
    for edit in choices:
        tried = tree.copy()
        try:
            edit(tried)
        except KeyError:
            continue
        if _is_possible(tried):
            tree = tried
    return tree


def _is_possible(tree: Tree) -> bool:
    for path, entry in tree.entries.items():
        parent = tree.entries.get(path.rpartition(b"/")[0])
        if parent is None or parent.kind is not Kind.DIRECTORY:
            return False
        if entry.kind is Kind.SYMLINK and entry.mode:
            return False
        if entry.kind is not Kind.DIRECTORY and any(is_beneath(other, path) for other in tree.entries if other != path):
            return False
    return True


def stop(choices: list[Edit], way: str, seed: int) -> None:
    transaction = Transaction("random", start(), edited(choices))
    if transaction.before.entries == transaction.after.entries:
        return
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder:
        for verdict in verdicts(Bench(Path(folder), SyncerReceiver), transaction, way, points=1, seed=seed):
            assert not verdict.flaw, f"{verdict.case}: {verdict.flaw}"


cases = given(st.lists(edits, min_size=1, max_size=8), st.sampled_from(WAYS), st.integers(0, 10**6))
BRIEF = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(BRIEF, max_examples=3000, phases=[Phase.generate, Phase.shrink])


@BRIEF
@cases
def test_guarantee_5_random_transactions(choices: list[Edit], way: str, seed: int) -> None:
    stop(choices, way, seed)


@pytest.mark.soak
@LONG
@cases
def test_guarantee_5_many_random_transactions(choices: list[Edit], way: str, seed: int) -> None:
    stop(choices, way, seed)
