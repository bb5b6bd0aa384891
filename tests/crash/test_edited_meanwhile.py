"""Somebody changes the tree between crash and restart: recovery ends all the same, full synchronizations are exact."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from syncer.errors import SyncerError
from syncer.files import Disk
from tests.crash.receiver import Place, SyncerReceiver
from tests.crash.stops import Ending, Operation
from tests.crash.transactions import Transaction, catalogue
from tests.crash.trees import Tree, difference, read_tree
from tests.crash.ways import Bench

SEED = int(os.environ.get("CRASH_SEED", "1"))
SAMPLE = 8
EACH_POINT = 6
"""Different edits at each operation, in the soak."""

KINDS = list(catalogue(as_root=os.geteuid() == 0).values())


def _clear(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _to_file(path: Path) -> None:
    _clear(path)
    path.write_bytes(b"somebody's")


def _to_directory(path: Path) -> None:
    _clear(path)
    path.mkdir()
    (path / "strange").write_bytes(b"somebody's")


def _to_symlink(path: Path) -> None:
    _clear(path)
    path.symlink_to("/nowhere")


def _appended(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"somebody's")


def _another_name(path: Path) -> None:
    (path.parent / "another-name").hardlink_to(path)


def _moved(path: Path) -> None:
    path.rename(path.parent / "moved-away")


EDITS: list[Callable[[Path], None]] = [_clear, _to_file, _to_directory, _to_symlink, _appended, _another_name, _moved]


def edit(root: Path, chance: random.Random, transaction: Transaction) -> str:
    """Do one or two things to paths of the transaction; return what was done."""
    tops = transaction.before.entries.keys() | transaction.after.entries.keys()
    done = []
    for path in chance.sample(sorted(tops - {b""}), 2):
        act = chance.choice(EDITS)
        # What is not there, or no file, cannot be edited in every way.
        with contextlib.suppress(OSError):
            act(root / os.fsdecode(path))
            done.append(f"{act.__name__} {path!r}")
    return ", ".join(done)


def flaw_of(bench: Bench, transaction: Transaction, point: int, seed: str) -> str:
    """Kill at an operation, edit, restart; say what is wrong afterwards, "" where nothing is."""
    with bench.prepared(transaction) as place:
        bench.kill(place, transaction, Ending(point))
        done = edit(place.root, random.Random(seed), transaction)
        try:
            return _recovered(place, transaction.after, transaction.stopped().number + 1, done)
        except SyncerError as error:
            return f"after {done}: {error}"


def _recovered(place: Place, wanted: Tree, number: int, done: str) -> str:
    receiver = SyncerReceiver(place, Disk(), lambda name, path: None)
    try:
        if receiver.is_between():
            return f"after {done}: the transaction was not ended"
        receiver.fill(number, wanted)
        wrong = difference(read_tree(place.root)[0], wanted.entries)
        return wrong and f"after {done}: {wrong}"
    finally:
        receiver.close()


def points_of(bench: Bench, transaction: Transaction) -> list[tuple[int, Operation]]:
    """Return the operations from the intent on: before it, there is nothing to recover."""
    operations = list(enumerate(bench.operations(transaction)))
    [intent] = [point for point, operation in operations if operation.name == "intent"]
    return [(point, operation) for point, operation in operations if point >= intent]


def test_guarantee_5_edits_between_crash_and_restart_stop_no_recovery(fast_folder: Path) -> None:
    chance, bench = random.Random(SEED), Bench(fast_folder, SyncerReceiver)
    for number, transaction in enumerate(chance.choices(KINDS, k=SAMPLE)):
        point, operation = chance.choice(points_of(bench, transaction))
        flaw = flaw_of(bench, transaction, point, f"{SEED}-{number}")
        assert not flaw, f"CRASH_SEED={SEED}: {transaction.kind}, killed at {point} ({operation}): {flaw}"


@pytest.mark.soak
def test_guarantee_5_edits_between_every_crash_and_restart(
    fast_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench, wrong, count = Bench(fast_folder, SyncerReceiver), [], 0
    for transaction in KINDS:
        for point, operation in points_of(bench, transaction):
            for number in range(EACH_POINT):
                count += 1
                flaw = flaw_of(bench, transaction, point, f"{SEED}-{transaction.kind}-{point}-{number}")
                wrong += [f"{transaction.kind}, killed at {point} ({operation}): {flaw}"] if flaw else []
    with capsys.disabled():
        print(f"\n{count - len(wrong)} of {count} edits between crash and restart passed")  # noqa: T201
    assert not wrong, f"{len(wrong)} of {count} (CRASH_SEED={SEED}):\n" + "\n".join(wrong[:30])
