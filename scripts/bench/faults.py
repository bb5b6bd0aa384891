"""Produces every fault for real, and writes the seconds until it shows into docs/monitoring/faults.md."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "monitoring" / "faults.md"
SIGNS = ("exit", "line", "event", "metric")
Measured = dict[tuple[str, str], list[dict[str, float]]]


def measure(rounds: int, file: Path) -> None:
    """Run the tests of the faults, which append what they measure to `file`."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "tests/scenarios/test_faults.py"]
    for _ in range(rounds):
        subprocess.run(command, cwd=ROOT, env=os.environ | {"SYNCER_FAULTS": str(file)}, check=True)


def measured(file: Path) -> Measured:
    """Return what was measured, by fault and by the node that it was seen on."""
    found: Measured = defaultdict(list)
    for line in file.read_text("utf-8").splitlines():
        document = json.loads(line)
        found[document["fault"], document["seen on"]].append(document["seconds"])
    return dict(found)


def shown(runs: list[dict[str, float]]) -> str:
    """Return the cell of a row: for each sign its seconds, of several runs the least and the most."""
    cells = []
    for sign in (*SIGNS, "over"):
        values = sorted(round(run[sign], 1) for run in runs if sign in run)
        if not values and sign == "over":
            continue
        if not values:
            cells.append("none")
            continue
        cells.append(f"{values[0]:.1f}" if values[0] == values[-1] else f"{values[0]:.1f} to {values[-1]:.1f}")
        if sign == "over":
            cells[-1] = f"over after {cells[-1]}"
    return " · ".join(cells)


def rewritten(text: str, found: Measured) -> Iterator[str]:
    """Yield the page's lines with these figures; KeyError where a row was not measured."""
    fault = ""
    for line in text.splitlines():
        cells = line.split(" | ")
        if line.startswith("| ") and not line.startswith(("| fault |", "| --- ")):
            fault = cells[0].strip("| ") or fault
            yield " | ".join([*cells[:-1], f"{shown(found[fault, cells[1]])} |"])
        else:
            yield line


def main() -> None:
    """Measure, and rewrite the page's last column."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measured", type=Path, help="take what a run with SYNCER_FAULTS has written, and run nothing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = options.measured or Path(folder) / "faults.jsonl"
        if options.measured is None:
            measure(options.rounds, file)
        PAGE.write_text("\n".join(rewritten(PAGE.read_text("utf-8"), measured(file))) + "\n", "utf-8")


if __name__ == "__main__":
    main()
