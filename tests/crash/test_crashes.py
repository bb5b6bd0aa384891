"""Guarantee 5 enumerated: whatever stops a transaction wherever, the tree is wholly old or wholly new afterwards."""

from __future__ import annotations

import os
import random
from functools import partial
from pathlib import Path

import pytest

from syncer.config.settings import HistorySettings
from tests.crash.cases import WAYS, Verdict, in_private_mounts, summary, verdicts
from tests.crash.receiver import SyncerReceiver
from tests.crash.transactions import Transaction, across_mounts, catalogue, history_kinds, pruning
from tests.crash.ways import Bench

SEED = int(os.environ.get("CRASH_SEED", "1"))
SAMPLES = {"fails": 20, "full disk": 8, "dead disk": 8, "dies": 10, "dies again": 6, "power": 5}
"""Kinds that the sample stops in each way, at one operation each."""

ONE_GENERATION = HistorySettings(generations=1)
KINDS = list((catalogue(as_root=os.geteuid() == 0) | history_kinds()).values())


def judge(found: list[Verdict]) -> None:
    wrong = [verdict for verdict in found if verdict.flaw]
    said = "\n".join(f"{v.kind}, {v.way} {v.case}: {v.flaw}" for v in wrong[:30])
    assert not wrong, f"{len(wrong)} of {len(found)} cases (CRASH_SEED={SEED}):\n{said}"


def run_all(folder: Path, kinds: list[Transaction], way: str, limits: HistorySettings | None = None) -> list[Verdict]:
    """Run every case of a way."""
    bench = Bench(folder, partial(SyncerReceiver, limits=limits))
    return [verdict for transaction in kinds for verdict in verdicts(bench, transaction, way, seed=SEED)]


def test_guarantee_5_a_sample_of_all_stops(fast_folder: Path) -> None:
    bench = Bench(fast_folder, SyncerReceiver)
    found: list[Verdict] = []
    for way, count in SAMPLES.items():
        for transaction in random.Random(f"{SEED}-{way}").sample(KINDS, count):
            found += verdicts(bench, transaction, way, points=1, seed=SEED)
    judge(found)


@pytest.mark.needs_root
@pytest.mark.needs("mount", "umount")
def test_guarantee_5_a_sample_of_all_stops_across_mounts(fast_folder: Path) -> None:
    def sample() -> list[Verdict]:
        bench = Bench(fast_folder, SyncerReceiver)
        return [verdict for way in WAYS for verdict in verdicts(bench, across_mounts(), way, points=1, seed=SEED)]

    judge(in_private_mounts(sample))


def test_guarantee_6_a_sample_of_stops_while_generations_are_forgotten(fast_folder: Path) -> None:
    bench = Bench(fast_folder, partial(SyncerReceiver, limits=ONE_GENERATION))
    judge([verdict for way in WAYS for verdict in verdicts(bench, pruning(), way, points=1, seed=SEED)])


@pytest.mark.soak
@pytest.mark.parametrize("way", WAYS)
def test_guarantee_5_every_stop_of_every_transaction(
    way: str, fast_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run_all(fast_folder, KINDS, way)
    found += run_all(fast_folder, [pruning()], way, ONE_GENERATION)
    if os.geteuid() == 0:
        found += in_private_mounts(lambda: run_all(fast_folder, [across_mounts()], way))
    with capsys.disabled():
        print(f"\n{summary(way, found)}")  # noqa: T201 - for docs/soak.md
    judge(found)
