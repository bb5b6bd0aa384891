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
    """A path that came; `fresh`: it was not there at the window's beginning; `moved`: it makes up for a loss."""

    trace: Trace
    at: float
    fresh: bool
    moved: bool = False


class Window:
    """What was lost, and what came, within the last while; times are seconds of one clock."""

    def __init__(self, lost: Iterable[tuple[Trace, float]] = ()) -> None:
        """Begin with what is remembered of losses; arrivals that are forgotten only make the brake stricter."""
        self._lost = {trace.path: (trace, at) for trace, at in lost}
        self._came: dict[bytes, _Arrival] = {}

    @property
    def lost(self) -> dict[bytes, tuple[Trace, float]]:
        """Return path → what was lost there and when, net of renames."""
        return self._lost

    def copy(self) -> Window:
        """Return a window that may be tried without changing this one."""
        other = Window()
        other._lost = dict(self._lost)
        other._came = dict(self._came)
        return other

    def expire(self, before: float) -> None:
        """Forget what happened before that time."""
        if self._lost:
            self._lost = {path: item for path, item in self._lost.items() if item[1] >= before}
        # Arrivals are kept in the order of their times.
        while self._came:
            path, oldest = next(iter(self._came.items()))
            if oldest.at >= before and len(self._came) <= ARRIVALS_KEPT:
                return
            del self._came[path]

    def note(self, deleted: Iterable[Trace], created: Iterable[Trace], at: float) -> None:
        """Take in one transaction: paths that went, and paths that came where nothing was."""
        for trace in deleted:
            came = self._came.pop(trace.path, None)
            # Born within the window, and not by a move: what stood at its beginning lost nothing.
            if came is None or not came.fresh or came.moved:
                self._lost[trace.path] = (trace, at)
        for trace in created:
            back = self._lost.pop(trace.path, None)
            self._came.pop(trace.path, None)
            self._came[trace.path] = _Arrival(trace, at, fresh=back is None)
        self._match()

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
            if arrival.fresh and not arrival.moved and (losses := lost.get(key)):
                del self._lost[losses.pop()]
                self._came[path] = arrival._replace(moved=True)


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
