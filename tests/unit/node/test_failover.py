"""The failover side tends the history of each domain, at once where it is quiet and now and then where it is not."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncer.config import load
from syncer.node import failover
from syncer.node.failover import FailoverSide
from syncer.state.store import StateStore

AT_LEAST = 0.3


class LookedAt:
    """A destination that is looked at often, and notes when its history is tended; it is quiet or never is."""

    def __init__(self, *, quiet: bool, tended: int) -> None:
        self.looks = 0
        self.tended: list[float] = []
        self._quiet = quiet
        self._enough = tended
        self._loop = asyncio.get_running_loop()
        self.seen = asyncio.Event()

    def is_quiet(self, seconds: float) -> bool:
        assert seconds == failover.QUIET_SECONDS
        self.looks += 1
        return self._quiet

    def tend_history(self) -> bool:
        """On the domain's worker."""
        self.tended.append(time.monotonic())
        if len(self.tended) >= self._enough:
            self._loop.call_soon_threadsafe(self.seen.set)
        return False

    def close(self) -> None:
        """Nothing was opened."""


@pytest.fixture
def side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FailoverSide]:
    monkeypatch.setattr(failover, "TEND_EVERY", 0.01)
    monkeypatch.setattr(failover, "TEND_AT_LEAST_EVERY", AT_LEAST)
    (tmp_path / "root").mkdir()
    config = tmp_path / "syncer.toml"
    node = f'[node]\nname = "dr-a"\nmode = "failover"\nstate = "{tmp_path / "state"}"\n'
    config.write_text(f'{node}[domains.nginx]\npath = "{tmp_path / "root"}"\n')
    with StateStore.open(tmp_path / "state", create=True) as store:
        found = FailoverSide(load(config), store, lambda name, variables: None)
        yield found
        found.close()


def tended(side: FailoverSide, *, quiet: bool, times: int) -> LookedAt:
    """Run the side until the history of its domain was tended so often."""

    async def run() -> LookedAt:
        found: Any = LookedAt(quiet=quiet, tended=times)
        side.destinations["nginx"].close()
        side.destinations["nginx"] = found
        running = asyncio.create_task(side.run())
        async with asyncio.timeout(60):
            await found.seen.wait()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        assert isinstance(found, LookedAt)
        return found

    return asyncio.run(run())


def test_the_history_of_a_busy_domain_is_tended_now_and_then(side: FailoverSide) -> None:
    found = tended(side, quiet=False, times=4)
    # Not at every look, so that a burst is not held up.
    assert found.looks > len(found.tended)
    assert all(later - earlier >= AT_LEAST * 0.9 for earlier, later in itertools.pairwise(found.tended))


def test_the_history_of_a_quiet_domain_is_tended_at_every_look(side: FailoverSide) -> None:
    found = tended(side, quiet=True, times=4)
    assert found.looks - len(found.tended) in (0, 1)
