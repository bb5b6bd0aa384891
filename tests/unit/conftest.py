"""What many unit tests begin with: an empty root, and a node's state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer.state.store import StateStore


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty tree."""
    path = tmp_path / "root"
    path.mkdir()
    return path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    """The node.db of a new node, in `tmp_path`/state."""
    with StateStore.open(tmp_path / "state", create=True) as opened:
        yield opened
