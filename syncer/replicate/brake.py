"""Whether deletions wait for a person: what is lost within a window of time, net of renames (pure).

The same rules hold at the sender, before anything leaves, and at the receiver, before anything is staged.
What came into being within the window and goes again is no loss: temporary files never brake.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from syncer.config.settings import BrakeSettings
from syncer.model import Entry, Kind, shown

ARRIVALS_KEPT = 20_000
"""Newest arrivals that a window remembers. Moving more than these in several groups counts as deleting."""
SAMPLE = 20
"""Paths of a plan that are shown."""
PREFIX = "brake-"
"""How the ids of the brake's approvals begin: unlike other plans, these are tried again when news arrive."""


class Trace(NamedTuple):
    """One path that comes or goes, with what a rename keeps of it."""

    path: bytes
    kind: Kind
    content: bytes
    """Digest of a file, target of a symlink, b"" for others."""


class Braking(NamedTuple):
    """Why the brake engages: `deletions` of `paths` within the window, where `limit` may go unasked."""

    deletions: int
    paths: int
    limit: int


def trace_of(entry: Entry) -> Trace:
    """Return what the brake needs to know of an entry."""
    return Trace(entry.path, entry.kind, entry.digest if entry.kind is Kind.FILE else entry.link_target)


class _Arrival(NamedTuple):
    """A path that came where nothing stood at the window's beginning; `origin`: the loss that it makes up for."""

    trace: Trace
    at: float
    origin: bytes | None = None


class _Moved(NamedTuple):
    """What stood somewhere at the window's beginning, and now stands at `to`."""

    trace: Trace
    to: bytes


class Window:
    """What was lost, and what came, within the last while; times are seconds of one clock.

    Each path that stood at the window's beginning and was deleted since is in one place: lost; moved, while an arrival
    of the same content stands; or filled, while something else stands there. It comes back out of the last two as it
    was at the beginning: what happened in between makes up for nothing.
    """

    def __init__(self, lost: Iterable[tuple[Trace, float]] = (), passed: Iterable[bytes] = ()) -> None:
        """Begin with what is remembered of losses; arrivals that are forgotten only make the brake stricter.

        `passed` are paths whose deletion a person let pass: one that is put back counts as if it had always stood.
        """
        self._passed = set(passed)
        self._lost = {trace.path: (trace, at) for trace, at in lost}
        self._came: dict[bytes, _Arrival] = {}
        self._moved: dict[bytes, _Moved] = {}
        self._filled: dict[bytes, tuple[Trace, float]] = {}

    @property
    def lost(self) -> dict[bytes, tuple[Trace, float]]:
        """Return path → what was lost there and when, net of renames; of what was moved first, where it was before."""
        return self._lost

    def copy(self) -> Window:
        """Return a window that may be tried without changing this one."""
        other = Window(passed=self._passed)
        other._lost = dict(self._lost)
        other._came = dict(self._came)
        other._moved = dict(self._moved)
        other._filled = dict(self._filled)
        return other

    def expire(self, before: float) -> None:
        """Forget what happened before that time."""
        if self._lost:
            self._lost = {path: item for path, item in self._lost.items() if item[1] >= before}
        # Both are kept in the order of their times.
        while self._came:
            path, oldest = next(iter(self._came.items()))
            if oldest.at >= before and len(self._came) <= ARRIVALS_KEPT:
                break
            del self._came[path]
            if oldest.origin is not None:
                # The path counts from now on as one that always stood there.
                del self._moved[oldest.origin]
        while self._filled:
            path, (_, at) = next(iter(self._filled.items()))
            if at >= before and len(self._filled) <= ARRIVALS_KEPT:
                return
            del self._filled[path]

    def note(self, deleted: Iterable[Trace], created: Iterable[Trace], at: float) -> None:
        """Take in one transaction: paths that went, and paths that came where nothing was."""
        for trace in deleted:
            self._goes(trace, at)
        for trace in created:
            self._comes(trace, at)
        self._match()

    def _goes(self, trace: Trace, at: float) -> None:
        came = self._came.pop(trace.path, None)
        if came is None:
            stood, _ = self._filled.pop(trace.path, (trace, at))
            self._lost[trace.path] = (stood, at)
        elif came.origin is not None:
            self._lost[came.origin] = (self._moved.pop(came.origin).trace, at)

    def _comes(self, trace: Trace, at: float) -> None:
        path = trace.path
        if path in self._came:
            self._goes(self._came[path].trace, at)
        stood, _ = self._lost.pop(path, (None, at))
        moved = self._moved.pop(path, None)
        if moved is not None:
            stood = moved.trace
            self._came[moved.to] = self._came[moved.to]._replace(origin=None)
        if stood is None and path in self._passed:
            self._passed.discard(path)
        elif stood is None:
            self._came[path] = _Arrival(trace, at)
        elif stood != trace:
            self._filled[path] = (stood, at)

    def _match(self) -> None:
        """Pair each loss with one arrival of the same content: a rename, however many groups it took."""
        if not self._lost or not self._came:
            return
        lost: defaultdict[tuple[Kind, bytes], list[bytes]] = defaultdict(list)
        for path, (trace, _) in self._lost.items():
            if trace.kind is not Kind.UNKNOWN:
                lost[trace.kind, trace.content].append(path)
        for path, arrival in self._came.items():
            key = (arrival.trace.kind, arrival.trace.content)
            if arrival.origin is None and (losses := lost.get(key)):
                origin = losses.pop()
                self._moved[origin] = _Moved(self._lost.pop(origin)[0], path)
                self._came[path] = arrival._replace(origin=origin)


def engages(deletions: int, paths: int, settings: BrakeSettings) -> Braking | None:
    """Tell whether `deletions` within the window, of `paths` at its beginning, wait for a person."""
    share = isinstance(settings.most, float)
    limit = int(settings.most * paths) if share else int(settings.most)
    if deletions <= limit or deletions < settings.minimum:
        return None
    return Braking(deletions, paths, limit)


def approval_id(paths: Iterable[bytes], what: str = "") -> str:
    """Return the id of a set of deletions: equal for equal sets, so that a person's yes fits what was shown."""
    digest = hashlib.blake2b(what.encode("utf-8", "surrogateescape"), digest_size=8)
    for path in sorted(paths):
        digest.update(b"\0" + path)
    return PREFIX + digest.hexdigest()


def brake_sentence(braking: Braking, paths: Sequence[bytes], domain: str, target: str, where: str) -> str:
    """Say what waits, and the cures; `where` is the node whose max_delete it is."""
    sample = ", ".join(shown(path) for path in paths[:3])
    return (
        f"{braking.deletions} of {braking.paths} paths of domain {domain} would be deleted on {target} (such as "
        f"{sample}), and max_delete on {where} lets {braking.limit} pass: look with `syncer diff {target}`, then "
        f"restore the files, or allow it with `syncer approve {target}`"
    )
