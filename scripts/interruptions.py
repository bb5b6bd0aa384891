"""Interrupts every step of every procedure, and writes what came of it into docs/interruptions.md."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).parents[1]
PAGE = PROJECT / "docs" / "interruptions.md"
BEGIN, END = "<!-- tables: begin -->\n", "<!-- tables: end -->\n"
TEST = "tests/scenarios/test_interrupted_procedures.py"


def main() -> int:
    """Run the tests, and write the page where all of them passed; or write it from the results in a given file."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "results"
        if len(sys.argv) == 1:
            line = [sys.executable, "-m", "pytest", "-q", "-n", "0", "--timeout=0", "-m", "soak", TEST]
            done = subprocess.run(line, cwd=PROJECT, env={**os.environ, "INTERRUPTIONS": str(results)}, check=False)
            if done.returncode:
                return done.returncode
        found = [json.loads(line) for line in results.read_text("utf-8").splitlines()]
    tables = "\n".join("\n".join([f"## {one['kind']}", "", *one["lines"], ""]) for one in found)
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{tables}\n{END}{rest.partition(END)[2]}", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
