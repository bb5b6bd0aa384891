"""The demo is the first thing a newcomer sees: it must end by itself, with equal trees, and leave nothing."""

from __future__ import annotations

import json
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
        timeout=100,
        check=False,
        env=environment() | {"TMPDIR": str(folder)},
    )


@pytest.mark.slow
def test_the_demo_ends_with_equal_trees_and_cleans_up(tmp_path: Path) -> None:
    done = demo(tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert deviations(examples()["demo"], result) == []
    assert result["differences"] == []
    assert result["seconds"] < 60
    assert list(tmp_path.iterdir()) == []
