"""Every step of every procedure is interrupted in every way, and is resumed to the end or undone to the beginning."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.scenarios.interruptions import HOME, KINDS, NONE, WAYS, Step, case

SAMPLE = [
    ("promote", Step("hand_over", "", on_lead=False, is_return=False), "kill second"),
    ("promote", Step("take_over", "", on_lead=True, is_return=False), "kill lead"),
    ("reverse", Step("freeze", "", on_lead=False, is_return=False), "cut"),
]


def ways_of(kind: str, step: Step) -> list[str]:
    """Return in which ways a step can be interrupted."""
    alone = kind == "promote_forced"
    found = [way for way in WAYS if not (alone and way in ("kill second", "cut"))]
    return [way for way in found if not (step.name == "agree" and way == "timeout")]


def interrupted(folder: Path, kind: str, steps: list[Step], step: Step, way: str) -> str:
    """Interrupt one step in one way on nodes of its own."""
    at = steps.index(step)
    is_past = any(found.is_return for found in steps[: at + 1])
    is_home = kind == "reverse" and any(found.name == HOME for found in steps[: at + 1])
    with case(folder, kind) as ready:
        return ready.interrupt(step, way, is_past=is_past, is_home=is_home, by_second=at % 2 == 1)


def steps_of(folder: Path, kind: str) -> list[Step]:
    with case(folder, kind) as ready:
        return ready.steps()


def table_of(steps: list[Step], cells: dict[tuple[str, str], str]) -> list[str]:
    """Return the lines of a table of what came of each interruption."""
    lines = [f"| step | on | {' | '.join(WAYS)} |", f"| --- | --- |{' --- |' * len(WAYS)}"]
    for step in steps:
        mark = " (no return)" if step.is_return else ""
        found = " | ".join(cells.get((step.name, way), NONE) for way in WAYS)
        lines.append(f"| {step.title}{mark} | {'lead' if step.on_lead else 'second'} | {found} |")
    return lines


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "step", "way"), SAMPLE)
def test_guarantee_16_an_interrupted_procedure_is_resumed_or_undone(
    tmp_path: Path, kind: str, step: Step, way: str
) -> None:
    assert interrupted(tmp_path, kind, [step], step, way) == "resumed"


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
def test_guarantee_16_every_step_interrupted_in_every_way_is_resumed_or_undone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    steps = steps_of(tmp_path / "whole", kind)
    cells: dict[tuple[str, str], str] = {}
    failures = []
    for number, step in enumerate(steps):
        for way in ways_of(kind, step):
            try:
                found = interrupted(tmp_path / f"{number}-{way.replace(' ', '-')}", kind, steps, step, way)
            except Exception as error:  # noqa: BLE001 - the table is to be whole, whatever happens to one of its cells
                found = "failed"
                failures.append(f"{kind}, {step.name}, {way}: {error!s:.2000}")
            cells[step.name, way] = found
    lines = table_of(steps, cells)
    with capsys.disabled():
        print("", *lines, *failures, sep="\n")  # noqa: T201 - this is what it is run for
    if out := os.environ.get("INTERRUPTIONS"):
        with Path(out).open("a", encoding="utf-8") as writer:
            writer.write(json.dumps({"kind": kind, "lines": lines}) + "\n")
    assert failures == []
