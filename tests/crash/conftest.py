"""A folder for thousands of small cases, in memory where the machine has room there: what is durable is modelled."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")


@pytest.fixture
def fast_folder(tmp_path: Path) -> Iterator[Path]:
    """Return an empty folder."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="syncer-crash-", dir=MEMORY) as folder:
        yield Path(folder)
