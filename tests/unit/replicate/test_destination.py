"""What an agent does at its start with what a killed one has left beside the root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer.model import Patterns
from syncer.replicate.destination import Destination
from tests.unit.apply.displacing import DOMAIN, AppliedCore


@pytest.fixture
def core(tmp_path: Path) -> Iterator[AppliedCore]:
    found = AppliedCore(tmp_path)
    yield found
    found.close()


def started(core: AppliedCore) -> Destination:
    destination = Destination(DOMAIN, core.root, Patterns(), core.store, ())
    destination.begin_agent()
    return destination


def test_the_stage_that_a_killed_agent_had_made_ready_goes_at_the_next_start(core: AppliedCore) -> None:
    core.write({"a": b"1"})
    before = core.root.stat().st_mtime_ns
    killed = started(core)
    killed.tidy()
    # It is not closed: the agent died here.
    [ready] = core.area.iterdir()
    assert ready.name.startswith("stage-")
    half = core.area / "stage-half"
    half.mkdir()
    (half / "0").write_bytes(b"half")
    started(core)
    # Contents that were staged already are used again, or go with the next transaction.
    assert os.listdir(core.area) == ["stage-half"]
    assert (half / "0").read_bytes() == b"half"
    (half / "0").unlink()
    started(core)
    assert not core.area.parent.exists()
    assert (os.listdir(core.root), core.root.stat().st_mtime_ns) == (["a"], before)
