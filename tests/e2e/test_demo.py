"""The demo is the first thing a newcomer sees: it must end by itself, with equal trees, and leave nothing."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from syncer.demo.node import environment
from tests.documented import deviations, examples


def demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "syncer", "demo", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=environment() | {"TMPDIR": str(folder)},
    )


def processor_seconds() -> float:
    """Return what the processes that have ended below this one have worked, with those that they have started."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.slow
@pytest.mark.timeout(330)
def test_the_demo_ends_with_equal_trees_and_cleans_up(tmp_path: Path) -> None:
    before = processor_seconds()
    done = demo(tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert deviations(examples()["demo"], result) == []
    assert result["differences"] == []
    # A newcomer waits for less than a minute; how long a busy machine takes for that work says nothing.
    assert processor_seconds() - before < 60
    assert result["seconds"] > 0
    assert list(tmp_path.iterdir()) == []
