"""A target that answers on one stream is tried at once on its others, however long they would have waited."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.e2e.harness import DOMAIN, RETRY, TARGET, Pair, paired, wait_until

NEVER = 'on_failure = { retry = "1h..1h" }\n'
"""No stream tries again by itself while a test runs."""


def is_unreachable(pair: Pair, domain: str) -> bool:
    return bool(pair.production.stream(TARGET, domain)["state"] == "unreachable")


@pytest.mark.soak
def test_a_target_that_answers_on_one_stream_is_tried_on_the_others(tmp_path: Path) -> None:
    with paired(tmp_path, start=False) as pair:
        others = [node.folder / "other" for node in (pair.production, pair.failover)]
        for node, other in zip((pair.production, pair.failover), others, strict=True):
            other.mkdir()
            text = node.config.read_text("utf-8").replace(RETRY, NEVER)
            node.config.write_text(f'{text}\n[domains.other]\npath = "{other}"\n', "utf-8")
        (others[0] / "late.conf").write_text("one\n")
        pair.failover.stop()
        pair.production.start()
        for domain in (DOMAIN, "other"):
            wait_until(partial(is_unreachable, pair, domain), 60, f"{domain} could not be sent")
        pair.failover.start()
        assert not (others[1] / "late.conf").exists()
        pair.production.cli("snapshot", "--domain", DOMAIN)
        wait_until((others[1] / "late.conf").exists, 60, "the other domain arrived as well")
