"""The kernel's own limits, lowered for the whole machine and put back; these run alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer.capture import capturer as capturer_module
from tests.unit.capture.trees import Running

LIMITS = Path("/proc/sys/fs/inotify")

pytestmark = [pytest.mark.serial, pytest.mark.needs_root]


@contextlib.contextmanager
def lowered(name: str, value: int) -> Iterator[None]:
    before = (LIMITS / name).read_text()
    try:
        (LIMITS / name).write_text(str(value))
        yield
    finally:
        (LIMITS / name).write_text(before)


def test_a_queue_that_overflows_is_heard_and_nothing_is_lost(tmp_path: Path) -> None:
    with lowered("max_queued_events", 16), Running(tmp_path, settle=0.01) as running:
        running.flush()
        for round_number in range(20):
            for number in range(300):
                directory = running.root / f"d{number % 10}"
                directory.mkdir(exist_ok=True)
                (directory / f"{round_number}-{number}").write_bytes(b"%d" % number)
            for number in range(0, 300, 2):
                (running.root / f"d{number % 10}" / f"{round_number}-{number}").unlink()
        running.assert_equal()
        assert running.state.overflows > 0
        (running.root / "d1" / "after").touch()
        running.wait(lambda: running.index.get("d", b"d1/after") is not None)


def test_where_the_watches_are_used_up_it_says_how_many_are_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capturer_module, "DEGRADED_SECONDS", 0.1)
    root = tmp_path / "root"
    for number in range(30):
        (root / str(number)).mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        # Before anything is watched, so that the first scan meets the limit.
        with lowered("max_user_watches", 10):
            running = stack.enter_context(Running(tmp_path))
            running.wait(lambda: bool(running.states) and running.state.state == "degraded")
            needed = 10 + running.state.directories - running.state.watched
            assert running.state.directories == 31
            assert f"max_user_watches to at least {needed}" in running.state.reason
            for number in range(30):
                (root / str(number) / "f").write_bytes(b"x")
            running.assert_equal()
        running.wait(lambda: running.state.state == "watching")
        assert running.state.watched == 31
        (root / "29" / "g").touch()
        running.wait(lambda: running.index.get("d", b"29/g") is not None)


def test_where_the_watches_are_used_up_later_all_is_scanned_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capturer_module, "DEGRADED_SECONDS", 0.1)
    (tmp_path / "root").mkdir()
    with Running(tmp_path) as running:
        running.wait(lambda: bool(running.states) and running.state.state == "watching")
        with lowered("max_user_watches", 1):
            for number in range(5):
                (running.root / str(number)).mkdir()
            running.wait(lambda: running.state.state == "degraded")
            (running.root / "4" / "late").write_bytes(b"x")
            running.wait(lambda: running.index.get("d", b"4/late") is not None)
