"""Failover's side of the brake for one domain: it trusts no other node's settings with its files.

What was deleted within the window is kept in node.db, in the commit that deletes it, so a restart forgets nothing.
What came is kept in memory: forgetting it can only make the brake stricter. All calls come from the domain's thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from syncer.config.settings import BrakeSettings
from syncer.errors import BeneathRootError
from syncer.files import Root
from syncer.model import Change, Kind
from syncer.replicate.brake import SAMPLE, Trace, Window, approval_id, brake_sentence, engages, trace_of
from syncer.replicate.compare import Difference
from syncer.replicate.messages import Approval, Begin, PlanItem
from syncer.state.base import Base
from syncer.state.brake import BrakeStore


class Question(NamedTuple):
    """What a person must agree to first, and the sentence that says so."""

    approval: Approval
    sentence: str


class ReceivingBrake:
    """Judges the transactions of one domain."""

    def __init__(
        self, domain: str, root: Path, settings: BrakeSettings, base: Base, store: BrakeStore, name: str
    ) -> None:
        """Guard what lies below `root` on the node called `name`."""
        self._domain = domain
        self._root = root
        self._settings = settings
        self._base = base
        self._store = store
        self._name = name
        now = time.time()
        # A clock that was set back must not keep a loss for longer than the window.
        losses = ((Trace(path, kind, content), min(at, now)) for path, kind, content, at in store.losses())
        self._window = Window(losses)
        self._trial: Window | None = None
        self._arrived: tuple[list[Trace], float] = ([], 0.0)

    def begin(self) -> None:
        """A transaction opens: what was judged of an earlier one, and never committed, counts for nothing."""
        self._trial = None
        self._arrived = ([], 0.0)

    def ask_partial(
        self, changes: Sequence[Change], begin: Begin, wants: Callable[[bytes, bool], bool]
    ) -> Question | None:
        """Judge changes before anything of them is staged; `wants(path, is_directory)` tells what is in scope."""
        before = self._store.applied(change.path for change in changes)
        deleted, created = [], []
        for change in changes:
            known = before.get(change.path)
            if change.entry is not None:
                if known is None:
                    created.append(trace_of(change.entry))
            elif known is not None:
                deleted.append(_trace(change.path, *known))
            else:
                deleted += self._unrecorded(change.path, wants)
        return self._ask(deleted, created, begin)

    def ask_full(self, differences: Iterable[Difference], begin: Begin) -> Question | None:
        """Judge what a full synchronization would change."""
        deleted, created = [], []
        for (_, _, entry), current in differences:
            if entry is None:
                assert current is not None, "a difference has at least one side"
                deleted.append(trace_of(current))
            elif current is None:
                created.append(trace_of(entry))
        return self._ask(deleted, created, begin)

    def start_anew(self, passed: Iterable[bytes] = ()) -> None:
        """The whole tree passes by a person's word, or is the first: nothing of before counts, but what comes back.

        `passed` are the paths that go.
        """
        self._trial = Window(passed=passed)
        self._arrived = ([], 0.0)

    def commit(self) -> None:
        """Record what the judged transaction deleted; within the transaction that records the base."""
        window, arrived = self._trial, self._arrived
        self.begin()
        if window is None:
            self._window.note((), *arrived)
            return
        before, after = self._window.lost, window.lost
        if before != after:
            self._store.replace_losses(
                before.keys() - after.keys(),
                ((*trace, at) for path, (trace, at) in after.items() if before.get(path) != (trace, at)),
            )
        self._window = window

    def _ask(self, deleted: list[Trace], created: list[Trace], begin: Begin) -> Question | None:
        now = time.time()
        self._window.expire(now - self._settings.window)
        lost_before = len(self._window.lost)
        if not deleted and not lost_before:
            self._arrived = (created, now)
            return None
        trial = self._trial = self._window.copy()
        trial.note(deleted, created, now)
        if not deleted or len(trial.lost) < self._settings.minimum:
            return None
        lost = sorted(trial.lost[path][0] for path in trial.lost.keys() - self._window.lost.keys())
        # What was moved before it goes is lost where it stood first.
        gone = {trace.path for trace in (*deleted, *lost)}
        braking = engages(len(trial.lost), self._base.count(self._domain) - 1 + lost_before, self._settings)
        if braking is None or not lost:
            return None
        paths = [trace.path for trace in lost]
        sentence = brake_sentence(braking, paths, self._domain, self._name, self._name)
        return self._question(lost, gone, begin, sentence)

    def _question(self, lost: list[Trace], gone: set[bytes], begin: Begin, sentence: str) -> Question | None:
        approved = self._base.approved_paths(self._domain, begin.approval) if begin.approval else None
        if begin.deletions_approved or (approved is not None and all(trace.path in approved for trace in lost)):
            self.start_anew(gone)
            return None
        self._trial = None
        sample = tuple(PlanItem(trace.path, "delete", trace.kind, 0) for trace in lost[:SAMPLE])
        is_offered = begin.offer or not begin.dry_run
        approval = Approval(approval_id(gone) if is_offered else "dry-run", len(lost), 0, sample)
        if is_offered:
            self._base.offer_approval(self._domain, approval.id, gone)
        return Question(approval, sentence)

    def _unrecorded(self, path: bytes, wants: Callable[[bytes, bool], bool]) -> list[Trace]:
        """Return what stands at a path that was never applied here: a local file, which a deletion would take."""
        try:
            with Root(self._root) as root:
                here = root.lstat(path)
        except (OSError, BeneathRootError):
            # What cannot be reached cannot be deleted either.
            return []
        return [Trace(path, Kind.UNKNOWN, b"")] if here is not None and wants(path, False) else []


def _trace(path: bytes, kind: Kind, digest: bytes, link_target: bytes) -> Trace:
    return Trace(path, kind, digest if kind is Kind.FILE else link_target)
