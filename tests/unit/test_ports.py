"""The ports of tests: what one test process was given, no other one gets as long as the first lives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import ports

GIVE = "from tests.ports import free_port; print(free_port(), flush=True); input()"


def test_no_two_processes_get_the_same_port_although_nobody_has_bound_it(monkeypatch: pytest.MonkeyPatch) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", GIVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        text=True,
    )
    assert other.stdout is not None
    taken = int(other.stdout.readline())
    try:
        monkeypatch.setattr(ports, "FIRST", taken - 2)
        monkeypatch.setattr(ports, "LAST", taken + 2)
        mine = ports.free_port()
        assert ports.FIRST <= mine <= ports.LAST
        assert not ports._reserved(taken)
    finally:
        other.communicate("\n")
    assert ports.free_port() != mine
    assert ports._reserved(taken)
