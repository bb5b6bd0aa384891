"""What substitution does is seen before and after it is done: previews, diffs, and what is left over; real agents."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.documented import deviations, examples
from tests.e2e.harness import DOMAIN, TARGET, Pair, paired, wait_until
from tests.e2e.test_substitution import LARGE, RULES, TREE, fill, synchronized

LIMITED = """
[[failover.substitute]]
from = "198.51.100.7"
to = "198.51.100.8"
paths = ["*.conf"]
"""
MISSING = "172.16.0.1"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with paired(tmp_path, rules=RULES + LIMITED, start=False) as found:
        fill(found.production.root, TREE)
        found.start()
        synchronized(found)
        yield found


def standing(result: dict[str, Any]) -> dict[str, list[tuple[int, str]]]:
    """Return what stands on the one target, by path; what this machine itself is called is not looked at."""
    [target] = result["targets"]
    found: dict[str, list[tuple[int, str]]] = {}
    for item in target["found"]:
        found.setdefault(item["path"], []).append((item["line"], item["text"]))
    return found


def reasons(result: dict[str, Any]) -> dict[str, str]:
    return {item["path"]: item["why"] for item in result["targets"][0]["found"]}


def test_leftovers_names_place_reason_and_the_rule_that_is_missing(pair: Pair) -> None:
    production = pair.production
    (production.root / "notes.txt").write_bytes(b"one\ntwo 198.51.100.7\n")
    synchronized(pair)
    before = production.json("leftovers", TARGET, expected=(3,))
    assert deviations(examples()["leftovers"], before) == []
    assert standing(before) == {"binary": [(0, "10.0.1.10")], "notes.txt": [(2, "198.51.100.7")]}
    assert reasons(before) == {
        "binary": "the file is binary, which is left alone",
        "notes.txt": "the rule 198.51.100.7 → 198.51.100.8 is limited to other paths",
    }
    found = production.json("leftovers", TARGET, "--address", MISSING, "--domain", DOMAIN, expected=(3,))
    assert standing(found)["sub/deep/only.conf"] == [(1, MISSING)]
    assert reasons(found)["sub/deep/only.conf"] == "no rule names it"
    [missing] = found["targets"][0]["missing"]
    assert missing["from"] == MISSING
    # The table that is suggested is what the configuration takes, once a person has said what it becomes.
    pair.production.stop()
    pair.rules = RULES + LIMITED + "\n" + missing["table"].replace("…", "172.16.0.2")
    production.write_configuration(pair.tables_of(production))
    production.start()
    synchronized(pair)
    wait_until(
        lambda: (pair.failover.root / "sub/deep/only.conf").read_bytes() == b"172.16.0.2", 20, "the new rule applied"
    )
    assert "sub/deep/only.conf" not in standing(production.json("leftovers", "--address", MISSING, expected=(3,)))
