"""One look at a receiver's tree for local edits: first beside the transactions, then, where it matters, between them.

A look beside a transaction may see what that is just placing. So it only says which paths seem to have changed;
those are looked at again on the domain's worker, where nothing moves, and only that counts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYetError
from itertools import islice
from typing import NamedTuple, Protocol, TypeVar

from syncer.capture.doubt import StoppedError
from syncer.model import Known
from syncer.replicate.destination import Destination
from syncer.replicate.drifted import to_confirm

Result = TypeVar("Result")

MOST_PATHS = 50_000
"""Edited paths that are remembered for each domain: someone may unpack a whole system below the root."""
BUSY_SECONDS = 0.1
"""How long to wait for a transaction that is open before looking whether it still is."""
STOP_SECONDS = 0.5


class OnWorker(Protocol):
    """Runs work on the domain's worker thread."""

    def __call__(self, work: Callable[[], Result], /) -> Future[Result]:
        """Return the future of the result; RuntimeError where the node is stopping."""


class Waits(Protocol):
    """Waits for a stop."""

    def __call__(self, seconds: float, /) -> bool:
        """Return whether to stop, after `seconds` at most."""


class Looked(NamedTuple):
    """What a look found: what was done to which paths, and what is to be looked at again."""

    found: dict[bytes, str]
    unsure: set[bytes]


def look(
    destination: Destination,
    recorded: dict[bytes, str],
    enter: Callable[[bytes, int], None],
    dirty: Collection[bytes] | None,
    fresh: Collection[bytes] = (),
) -> Looked:
    """Look at `dirty` paths, at `fresh` directories with all below, or at everything (`dirty` None).

    `enter` is called with each directory before it is listed. Raises UnavailableRootError.
    """
    scanner = destination.edits.scanner(enter=enter)
    findings = scanner.full() if dirty is None else scanner.paths(dirty, fresh=fresh)
    found: dict[bytes, Known | None] = {}
    for finding in findings:
        # To the end all the same: what is not entered is not watched.
        if len(found) < MOST_PATHS:
            found[finding.path] = finding.found
    looked = destination.edits.drifted(found)
    touched = None if dirty is None else {*dirty, *fresh, *(path for path, known in found.items() if known is None)}
    return Looked(looked, to_confirm(looked, recorded, touched))


def between_transactions(
    destination: Destination, on_worker: OnWorker, work: Callable[[], Result], stopped: Waits
) -> Result:
    """Run `work` on the worker while no transaction is open.

    Raises StoppedError where the node stops first, ApplyError where a transaction stands half applied.
    """
    while True:
        try:
            future = on_worker(lambda: _unless_busy(destination, work))
        except RuntimeError as error:
            raise StoppedError("the node is stopping") from error
        busy, result = _result(future, stopped)
        if not busy:
            return result  # type: ignore[return-value]  # None only where it is busy
        if stopped(BUSY_SECONDS):
            raise StoppedError("the node is stopping")


def _unless_busy(destination: Destination, work: Callable[[], Result]) -> tuple[bool, Result | None]:
    if destination.is_busy:
        return True, None
    # What stands half applied is no edit.
    destination.require_whole()
    return False, work()


def confirmed(destination: Destination, paths: Collection[bytes], *, reread: bool = False) -> dict[bytes, str]:
    """Return what was done to these paths; on the worker. With `reread` every one is read, whatever it looks like.

    Raises UnavailableRootError.
    """
    scanner = destination.edits.scanner()
    findings = scanner.paths(paths, reread=paths if reread else ())
    return destination.edits.drifted({finding.path: finding.found for finding in islice(findings, MOST_PATHS)})


def _result(future: Future[Result], stopped: Waits) -> Result:
    while True:
        try:
            return future.result(STOP_SECONDS)
        except NotYetError:
            if not future.done() and stopped(0.0):
                raise StoppedError("the node is stopping") from None
