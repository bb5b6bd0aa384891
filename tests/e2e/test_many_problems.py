"""Many problems at once on a real node: what its triggers believe is what is there, also over a kill."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from syncer.events.problems import NAMED_AT_ONCE
from tests.e2e.harness import DOMAIN, Node, paired, wait_until

TRIGGER = '\n[[triggers]]\nname = "problems"\nevent = "problem"\nafter = "1h"\nexec = ["/bin/true"]\n'


def lasting(node: Node) -> dict[str, Any]:
    [trigger] = node.json("trigger", "list")["triggers"]
    return {state["subject"]: state["since"] for state in trigger["lasting"]} | {"count": trigger["lasting_count"]}


@pytest.mark.soak
def test_three_hundred_fifos_leave_no_state_behind(tmp_path: Path) -> None:
    with paired(tmp_path, start=False) as pair:
        node = pair.production
        with node.config.open("a", encoding="utf-8") as writer:
            writer.write(TRIGGER)
        pair.start()
        pair.wait_synced()
        fifos = [node.root / f"p{number}" for number in range(300)]
        for fifo in fifos:
            os.mkfifo(fifo)
        wait_until(
            lambda: len(node.json("status", expected=(0, 3))["domains"][0]["problems"]) == len(fifos),
            60,
            "all of them were found",
        )
        wait_until(lambda: lasting(node)["count"] == NAMED_AT_ONCE + 1, 60, "the names and the rest were told")
        before = lasting(node)
        node.kill()
        # While none ran, most went.
        for fifo in fifos[:-1]:
            fifo.unlink()
        node.start()
        wait_until(lambda: lasting(node)["count"] == 1, 60, "what was none any more had ended")
        assert before.keys() >= lasting(node).keys()
        fifos[-1].unlink()
        wait_until(lambda: lasting(node)["count"] == 0, 60, "nothing lasted any more")
        assert DOMAIN in before
