"""Stops a real agent at a named moment of a procedure, for as long as a test wants: between two durable steps."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from syncer.procedures import performing
from syncer.procedures.keeper import Procedures
from syncer.procedures.kinds import Run, Step
from syncer.procedures.messages import Ending
from syncer.procedures.steps import StepRecord, StepSpec
from syncer.procedures.voice import Limits
from tests.waiting import wait_until

VARIABLE = "SYNCER_TEST_GATE"
"""Names the folder of a node's gate; the agent that is forked with it passes through the gate."""
LIMITS = Limits(answer=3.0, silence=3.0, beat=0.3, shortest=0.02, longest=0.5, ask=1.0)
"""A cut is noticed, and an attempt repeated, within the patience of a test."""
SLOW_SECONDS = 0.2
"""The limit of a step that is made to take too long."""
SECONDS = 60.0


class Gate:
    """The test's side: which moment the agent of one node stops at.

    Moments are "running STEP" (journalled as begun, nothing done), "acted STEP" (done, and nobody knows), "done STEP",
    "undoing STEP", "undone STEP", "open KIND", "finished", "aborted" and "told".
    """

    def __init__(self, folder: Path) -> None:
        """Keep it in `folder`, which is made."""
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def environ(self) -> dict[str, str]:
        """What an agent is started with that passes through it."""
        return {VARIABLE: str(self._folder)}

    def hold(self, moment: str) -> None:
        """Have the agent stop where it comes to this moment next."""
        fresh = self._folder / "fresh"
        fresh.write_text(moment, "utf-8")
        fresh.replace(self._folder / "hold")

    @property
    def is_held(self) -> bool:
        """Tell whether it stands there."""
        return (self._folder / "held").exists()

    def wait_held(self, seconds: float = SECONDS) -> None:
        """Return once it stands there."""
        wait_until(lambda: self.is_held, seconds, f"{self._folder} was reached")

    def open(self) -> None:
        """Let it go on, and stop nowhere any more."""
        for name in ("hold", "slow", "held"):
            (self._folder / name).unlink(missing_ok=True)

    def make_slow(self, step: str) -> None:
        """Have a step take longer than it may, once, after it was done."""
        (self._folder / "slow").write_text(step, "utf-8")

    @property
    def passed(self) -> list[str]:
        """Return every moment that was come to, the first first."""
        log = self._folder / "passed"
        return log.read_text("utf-8").splitlines() if log.exists() else []


class _Stopping:
    """The agent's side."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def pass_by(self, moment: str) -> None:
        """Come to a moment; blocks for as long as the test wants."""
        with (self._folder / "passed").open("a", encoding="utf-8") as log:
            log.write(f"{moment}\n")
        hold, held = self._folder / "hold", self._folder / "held"
        if self._read("hold") != moment:
            return
        os.replace(hold, held)
        # No wait of a test's own: this is the agent's thread, and stands where a kill or a cut is to find it.
        while held.exists():
            time.sleep(0.001)

    def is_slow(self, step: str) -> bool:
        """Tell once whether this step is to take too long."""
        if self._read("slow") != step:
            return False
        (self._folder / "slow").unlink()
        return True

    def _read(self, name: str) -> str:
        with contextlib.suppress(FileNotFoundError):
            return (self._folder / name).read_text("utf-8")
        return ""


class _Gated:
    """A step that stops once it is done, or that then takes for ever."""

    def __init__(self, name: str, step: Step, stopping: _Stopping, *, is_slow: bool) -> None:
        self._name, self._step, self._stopping, self._is_slow = name, step, stopping, is_slow

    async def require(self, run: Run) -> None:
        await self._step.require(run)

    async def do(self, run: Run) -> Mapping[str, Any]:
        result = await self._step.do(run)
        if self._is_slow:
            await asyncio.Event().wait()
        await asyncio.to_thread(self._stopping.pass_by, f"acted {self._name}")
        return result

    async def verify(self, run: Run) -> None:
        await self._step.verify(run)

    async def undo(self, run: Run) -> None:
        await self._step.undo(run)


def install(folder: Path) -> None:
    """Make this process, an agent to be, pass through the gate in `folder`."""
    stopping = _Stopping(folder)
    # The journal's own seam: the keeper of a node takes what it is given by default.
    Procedures.__init__.__defaults__ = (LIMITS, stopping.pass_by)
    do = performing.do

    async def gated(spec: StepSpec, step: Step, run: Run, record: StepRecord, begin: performing.Begin) -> Ending | None:
        is_slow = stopping.is_slow(spec.name)
        bounded = spec._replace(limit=SLOW_SECONDS) if is_slow else spec
        return await do(bounded, _Gated(spec.name, step, stopping, is_slow=is_slow), run, record, begin)

    performing.do = gated
