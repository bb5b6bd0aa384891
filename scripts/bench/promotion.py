"""Measures promotions of a pair at rest: seconds from their beginning until the new production serves."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from datetime import datetime
from pathlib import Path

from scripts.bench.pair import Agent, Pair

GOAL_SECONDS = 1.0


def fill(root: Path, files: int) -> None:
    """Put so many small files into a root."""
    for number in range(files):
        folder = root / f"{number // 100:04}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number:06}").write_text(f"setting = {number}\n" * 10, "utf-8")


def serving_seconds(agent: Agent) -> float:
    """Return how long the latest promotion took until its last step on the new production, by its own events."""
    events = [
        event
        for name in ("procedure.started", "procedure.step")
        for event in json.loads(agent.run("events", "--event", name, "--json"))["events"]
    ]
    latest = max((event for event in events if event["event"] == "procedure.started"), key=lambda event: event["time"])
    procedure = latest["variables"]["procedure"]
    done = next(
        event
        for event in events
        if event["variables"]["procedure"] == procedure
        and (event["variables"].get("step"), event["variables"].get("state")) == ("after_promote", "done")
    )
    return (datetime.fromisoformat(done["time"]) - datetime.fromisoformat(latest["time"])).total_seconds()


def main() -> int:
    """Print a line for each promotion; exit code 1 where one takes longer than the goal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=20_000)
    given = parser.parse_args()
    seconds = {}
    with tempfile.TemporaryDirectory(prefix="syncer-promotion-") as folder:
        pair = Pair(Path(folder))
        try:
            fill(pair.production.root, given.files)
            pair.start()
            pair.production.run("wait", "--synced", "--timeout", "120s")
            pair.failover.run("promote", "--yes")
            seconds["planned"] = serving_seconds(pair.failover)
            # By now the two have changed their roles.
            pair.failover.stop()
            pair.production.run("promote", "--force", "--yes")
            seconds["forced"] = serving_seconds(pair.production)
        finally:
            pair.stop()
    for kind, taken in seconds.items():
        print(f"{kind} promotion, {given.files:,} files: {taken:.3f} s until the new production serves")
    return 0 if max(seconds.values()) <= GOAL_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
