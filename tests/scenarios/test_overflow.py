"""A flood that overflows the kernel's event queue loses nothing, and is said aloud."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Pair, paired

LIMIT = Path("/proc/sys/fs/inotify/max_queued_events")
FILES = 50_000 if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else 12_000


@pytest.fixture
def short_queue() -> Iterator[None]:
    """Lower the queue for new watchers of this machine; it is global, so the test runs alone."""
    before = LIMIT.read_text()
    try:
        LIMIT.write_text("200")
        yield
    finally:
        LIMIT.write_text(before)


def flood(root: Path) -> None:
    for number in range(FILES):
        folder = root / f"d{number % 50}"
        if number < 50:
            folder.mkdir()
        file = folder / f"f{number}"
        file.write_bytes(b"%d" % number)
        if number % 3 == 0:
            file.unlink()


def check(pair: Pair) -> None:
    (pair.production.root / "first").write_text("x")
    pair.start()
    pair.wait_equal()
    flood(pair.production.root)
    pair.wait_equal(60.0)
    [domain] = pair.production.status()["domains"]
    assert domain["overflows"] > 0, "the queue did not overflow: the test proves nothing"


@pytest.mark.serial
@pytest.mark.needs_root
@pytest.mark.timeout(150)
@pytest.mark.usefixtures("short_queue")
def test_an_overflowing_queue_loses_nothing(tmp_path: Path) -> None:
    with paired(tmp_path, start=False) as pair:
        check(pair)


@pytest.mark.soak
@pytest.mark.serial
@pytest.mark.needs_root
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("short_queue")
def test_fifty_thousand_creates_and_deletes(tmp_path: Path) -> None:
    with paired(tmp_path, start=False) as pair:
        check(pair)
