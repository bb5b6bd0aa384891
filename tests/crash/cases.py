"""Which cases there are: every way of stopping at every operation of a transaction, or a seeded sample of them."""

from __future__ import annotations

import ctypes
import os
import pickle
import random
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from tests.crash.stops import ERRNOS, GROWING, MILESTONES, Operation
from tests.crash.transactions import Transaction
from tests.crash.ways import Bench

Result = TypeVar("Result")

WAYS = ("fails", "full disk", "dead disk", "dies", "dies again", "power")
"""One failing operation; no space from there on; nothing works from there on; kill -9; another one while it
recovers; the power fails."""

WRECKS = 4
"""States after a power failure that are tried for each operation."""

_CLONE_NEWNS = 0x00020000


class Verdict(NamedTuple):
    """One case and what was wrong, "" where it passed."""

    kind: str
    way: str
    case: str
    flaw: str


def verdicts(bench: Bench, transaction: Transaction, way: str, *, points: int = 0, seed: int = 0) -> Iterator[Verdict]:
    """Run the cases of one way: at every operation, or at `points` of them chosen by `seed`."""
    operations = list(enumerate(bench.operations(transaction)))
    chance = random.Random(f"{seed}-{transaction.kind}-{way}")
    suited = [(point, operation) for point, operation in operations if _suits(way, operation)]
    for point, operation in chance.sample(suited, min(points, len(suited))) if points else suited:
        where = f"at {point} ({operation.name} {operation.path!r})"
        for detail, flaw in _run(bench, transaction, way, point, chance, is_sample=bool(points)):
            yield Verdict(transaction.kind, way, f"{where}{detail}", flaw)


def summary(way: str, found: list[Verdict]) -> str:
    """Return how many cases of a way passed, altogether and for each kind, for docs/soak.md."""
    counts = Counter(verdict.kind for verdict in found)
    passed = Counter(verdict.kind for verdict in found if not verdict.flaw)
    kinds = ", ".join(f"{kind} {passed[kind]}/{count}" for kind, count in counts.items())
    return f"{way}: {passed.total()} of {counts.total()} cases passed ({kinds})"


def in_private_mounts(body: Callable[[], Result]) -> Result:
    """Run `body` in a process of its own whose mounts nobody else sees, and return what it returned."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        code = 1
        try:
            _unshare_mounts()
            with os.fdopen(writing, "wb") as pipe:
                pickle.dump(body(), pipe)
            code = 0
        except BaseException:  # noqa: BLE001 - a child must not run on as its parent
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    assert os.waitpid(pid, 0)[1] == 0, "what ran with its own mounts failed: see above"
    result: Result = pickle.loads(data)
    return result


def _unshare_mounts() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "mounts cannot be unshared")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def _suits(way: str, operation: Operation) -> bool:
    if way == "full disk":
        return operation.name in GROWING
    return way not in ("fails", "dead disk") or operation.name not in MILESTONES


def _run(
    bench: Bench, transaction: Transaction, way: str, point: int, chance: random.Random, *, is_sample: bool
) -> Iterator[tuple[str, str]]:
    if way == "fails":
        for name in [chance.choice(list(ERRNOS))] if is_sample else ERRNOS:
            yield f" with {name}", bench.fails(transaction, point, ERRNOS[name])
    elif way == "full disk":
        # Out of quota, since no free space is to be seen elsewhere that says otherwise.
        yield "", bench.fails(transaction, point, ERRNOS["EDQUOT"], "growing")
    elif way == "dead disk":
        yield "", bench.fails(transaction, point, ERRNOS["EROFS"], "all")
    elif way == "dies":
        yield "", bench.dies(transaction, point)
    elif way == "dies again":
        again = chance.randrange(12)
        yield f", again at {again}", bench.dies(transaction, point, again)
    else:
        seed = chance.randrange(1 << 30)
        flaws = bench.loses_power(transaction, point, seed, 3 if is_sample else WRECKS)
        for number, flaw in enumerate(flaws):
            yield f", wreck {number} of seed {seed}", flaw
