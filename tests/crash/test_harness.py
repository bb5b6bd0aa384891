"""The crash harness itself: a receiver that keeps its promise passes, each way of breaking it is caught."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path

import pytest

from syncer.errors import ApplyError
from tests.crash.receiver import Opener
from tests.crash.stops import ERRNOS, MILESTONES
from tests.crash.toy import BREAKS, Toy
from tests.crash.transactions import Transaction
from tests.crash.trees import Tree
from tests.crash.ways import Bench
from tests.sampling import sampled


def transaction() -> Transaction:
    before = Tree().file(b"earlier", b"second").file(b"a", b"one").file(b"gone", b"goes")
    after = before.copy().file(b"a", b"another").file(b"new", b"new").remove(b"gone").mode(b"", 0o711)
    return Transaction("flat", before, after)


def flaws(folder: Path, opener: Opener, way: str) -> Iterator[str]:
    """Yield what each case of one way says, "" where it passed."""
    bench, flat = Bench(folder, opener), transaction()
    for point, operation in enumerate(bench.operations(flat)):
        if way == "dies":
            yield bench.dies(flat, point)
            yield bench.dies(flat, point, again=1)
        elif way == "power":
            yield from bench.loses_power(flat, point, 1, 4)
        elif operation.name not in MILESTONES:
            yield bench.fails(flat, point, ERRNOS["EIO"])
            yield bench.fails(flat, point, ERRNOS["EROFS"], "all")


@pytest.mark.parametrize("way", sampled(product(["fails", "dies", "power"]), ("dies",)))
def test_a_receiver_that_keeps_its_promise_passes(way: str, fast_folder: Path) -> None:
    found = list(flaws(fast_folder, Toy, way))
    assert len(found) > 15
    assert set(found) == {""}


@pytest.mark.parametrize(("broken", "way"), [(broken, way) for broken in BREAKS for way in sorted(BREAKS[broken])])
def test_a_receiver_that_breaks_it_is_caught(broken: str, way: str, fast_folder: Path) -> None:
    assert any(flaws(fast_folder, partial(Toy, broken=broken), way))


def test_a_recovery_that_fails_is_caught(fast_folder: Path) -> None:
    class Stubborn(Toy):
        def _recover(self) -> None:
            if self._row()[1] is not None:
                raise ApplyError("no")

    assert "recovery failed: no" in flaws(fast_folder, Stubborn, "power")
