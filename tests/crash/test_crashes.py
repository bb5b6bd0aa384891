"""Guarantee 5 enumerated: whatever stops a transaction wherever, the tree is wholly old or wholly new afterwards."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from tests.crash.cases import WAYS, Verdict, in_private_mounts, table, verdicts
from tests.crash.receiver import SyncerReceiver
from tests.crash.transactions import Transaction, across_mounts, catalogue
from tests.crash.ways import Bench

SEED = int(os.environ.get("CRASH_SEED", "1"))
POINTS = {"fails": 3, "full disk": 1, "dead disk": 1, "dies": 2, "dies again": 1, "power": 1}
"""Operations of each kind at which the sample stops, for each way: all ways together stay below 15 s."""

KINDS = catalogue(as_root=os.geteuid() == 0)


def judge(found: list[Verdict]) -> None:
    wrong = [verdict for verdict in found if verdict.flaw]
    said = "\n".join(f"{v.kind}, {v.way} {v.case}: {v.flaw}" for v in wrong[:30])
    assert not wrong, f"{len(wrong)} of {len(found)} cases (CRASH_SEED={SEED}):\n{said}"


def run_all(folder: Path, kinds: list[Transaction], *, sample: bool, ways: tuple[str, ...] = WAYS) -> list[Verdict]:
    bench = Bench(folder, SyncerReceiver)
    return [
        verdict
        for transaction in kinds
        for way in ways
        for verdict in verdicts(bench, transaction, way, points=POINTS[way] if sample else 0, seed=SEED)
    ]


@pytest.mark.parametrize("way", WAYS)
def test_guarantee_5_a_sample_of_all_stops(way: str, fast_folder: Path) -> None:
    judge(run_all(fast_folder, list(KINDS.values()), sample=True, ways=(way,)))


@pytest.mark.needs_root
@pytest.mark.needs("mount", "umount")
def test_guarantee_5_a_sample_of_all_stops_across_mounts(fast_folder: Path) -> None:
    judge(in_private_mounts(lambda: run_all(fast_folder, [across_mounts()], sample=True)))


@pytest.mark.soak
def test_guarantee_5_every_stop_of_every_transaction(fast_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run_all(fast_folder, list(KINDS.values()), sample=False)
    if os.geteuid() == 0:
        found += in_private_mounts(lambda: run_all(fast_folder, [across_mounts()], sample=False))
    counts = Counter((verdict.kind, verdict.way) for verdict in found)
    failed = Counter((verdict.kind, verdict.way) for verdict in found if verdict.flaw)
    with capsys.disabled():
        print(f"\n{table(counts, failed)}")  # noqa: T201 - for docs/soak.md
    judge(found)
