"""Production's side of the brake for one stream: what the target would lose, and what a person has approved.

The index is the window's memory: it tells what was deleted since any seq. So only the seqs are remembered at which
the target stood, and when; after a restart that is where it stands then, and the receiver's own brake remembers more.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import NamedTuple

from syncer.config.settings import BrakeSettings
from syncer.index.snapshot import IndexSnapshot
from syncer.index.store import IndexStore
from syncer.model import Cursor, RootShape
from syncer.replicate.brake import SAMPLE, Braking, Window, approval_id, brake_sentence, engages, trace_of
from syncer.replicate.messages import Approval, PlanItem
from syncer.replicate.shape import shape_change
from syncer.state.brake import BrakeStore

OFFERS_KEPT = 8
MARKS_IN_WINDOW = 100
"""Into how many steps a window is divided; what is older by less than a step counts as within it."""


class BrakedError(Exception):
    """The transaction must not be sent; `seq` is the head that was judged."""

    def __init__(self, sentence: str, seq: int) -> None:
        super().__init__(sentence)
        self.seq = seq


class _Pending(NamedTuple):
    """What a target at a cursor has not heard of: deletions net of renames, and all deleted paths."""

    window: int
    """Losses within the window, those that the target has already among them."""
    lost: tuple[PlanItem, ...]
    deleted: frozenset[bytes]


class _Offer(NamedTuple):
    """What a person was asked: to lose these paths, and to take this place of the root as it is."""

    deleted: frozenset[bytes]
    shape: RootShape | None


class SendingBrake:
    """Decides for one target and domain; `judge` and `offer` block, for a worker thread."""

    def __init__(
        self,
        target: str,
        domain: str,
        root: str,
        settings: BrakeSettings,
        store: BrakeStore,
        shape: Callable[[], RootShape | None],
    ) -> None:
        """Guard one stream; `shape` tells how the root was when the index was scanned, None while it moves."""
        self._target = target
        self._domain = domain
        self._root = root
        self._settings = settings
        self._store = store
        self._shape = shape
        self._accepted = store.shape()
        self._approved = store.approved()
        # RACE: read on several threads; replaced as a whole, never changed.
        self._marks: tuple[tuple[float, int], ...] = ()
        self._passed: tuple[float, frozenset[bytes]] = (0.0, frozenset())
        """Paths whose deletion a person let pass, and when: one that is put back counts as if it had always stood."""
        self._offers: dict[str, _Offer] = {}
        self._lock = threading.Lock()
        self._braking: Braking | None = None
        self._engaged = ""

    def take_over(self, before: SendingBrake) -> None:
        """Go on with what `before`, the same stream's brake under other settings, has added up and offered."""
        self._marks, self._passed, self._engaged = before._marks, before._passed, before._engaged
        self._offers = before._offers

    def trouble(self) -> str | None:
        """Say which mount came or went, "" where none did, None while the tree is scanned anew because of one."""
        shape = self._shape()
        if shape is None:
            return None
        change = shape_change(self._accepted, shape, self._root) if self._accepted is not None else ""
        if not change:
            return ""
        return (
            f"{change}, so what seems deleted or new below the root of domain {self._domain} may not be: put it back "
            f"as it was, or accept it with `syncer approve {self._target}`"
        )

    def judge(self, snapshot: IndexSnapshot, index: IndexStore, cursor: Cursor | None, now: float) -> bool:
        """Look at what this state of the index would delete; True where a person has approved all of it.

        Where the index cannot tell what the target at `cursor` has, the target's own brake decides.
        Raises BrakedError. `now` is seconds of a monotonic clock.
        """
        self._braking = None
        shape = self._shape()
        # RACE: asked after the snapshot was taken: the shape is withdrawn before what it uncovers is committed.
        if shape is None or (self._accepted is not None and shape != self._accepted):
            sentence = self.trouble() or f"the mounts at the root of domain {self._domain} move"
            raise BrakedError(sentence, snapshot.head.seq)
        if self._accepted is None:
            self._accept(shape)
        if cursor is None or not index.is_resumable(self._domain, cursor):
            return False
        if not self._marks:
            self._marks = ((now, cursor.seq),)
        if not snapshot.has_deletions_since(cursor.seq):
            return False
        pending = self._pending(snapshot, cursor, now)
        if not pending.lost:
            return False
        if all(item.path in self._approved for item in pending.lost):
            return True
        braking = engages(pending.window, snapshot.count() - 1 + pending.window, self._settings)
        if braking is None:
            return False
        paths = [item.path for item in pending.lost]
        sentence = brake_sentence(braking, paths, self._domain, self._target, "production")
        self._braking = braking
        raise BrakedError(sentence, snapshot.head.seq)

    def offer(self, index: IndexStore, cursor: Cursor | None, now: float) -> Approval:
        """Return what a person would approve now: these deletions, and the place of the root as it is."""
        with contextlib.closing(index.snapshot(self._domain)) as snapshot:
            known = cursor is not None and index.is_resumable(self._domain, cursor)
            pending = self._pending(snapshot, cursor, now) if known and cursor else _Pending(0, (), frozenset())
        shape = self._shape()
        words = repr(sorted(shape.mounts)) + str(shape.is_link) if shape is not None else ""
        found = Approval(approval_id(pending.deleted, words), len(pending.lost), 0, pending.lost[:SAMPLE])
        with self._lock:
            self._offers.pop(found.id, None)
            self._offers[found.id] = _Offer(pending.deleted, shape)
            while len(self._offers) > OFFERS_KEPT:
                del self._offers[next(iter(self._offers))]
        return found

    def approve(self, offered: str) -> None:
        """Let pass what was offered under this id; an id that was never offered approves nothing."""
        with self._lock:
            offer = self._offers.get(offered)
        if offer is None:
            return
        self._approved |= offer.deleted
        self._store.replace_approved(self._approved)
        if offer.shape is not None:
            self._accept(offer.shape)

    def engaged_by(self, reason: str) -> bool:
        """Take in why the stream is braked now, "" where it is not; True where it was free before."""
        before, self._engaged = self._engaged, reason
        return bool(reason) and not before

    def event(self, waiting: Approval | None, index: IndexStore, reason: str) -> dict[str, str | int | float | bool]:
        """Return the variables of brake.engaged, all but the node's name; limit -1: another limit, or none, holds."""
        deletions = waiting.deletions if waiting is not None else 0
        braking = self._braking
        return {
            "target": self._target,
            "domain": self._domain,
            "deletions": braking.deletions if braking else deletions,
            "paths": braking.paths if braking else index.count(self._domain) - 1 + deletions,
            "limit": braking.limit if braking else -1,
            "reason": reason,
        }

    def acknowledged(self, seq: int, now: float, *, approved: bool) -> None:
        """The target stands at `seq`; what a person approved on the way counts no more."""
        marks = () if approved else self._marks
        if self._approved:
            # CRASH: forgotten after the acknowledgement: asked twice is better than deleted twice.
            self._passed = (now, self._passed_by(now) | self._approved)
            self._approved = frozenset()
            self._store.replace_approved(())
        marks = marks[self._oldest(marks, now) :]
        # The latest is always exact, so that a window in which nothing was sent begins there.
        crowded = len(marks) > 1 and now - marks[-2][0] < self._settings.window / MARKS_IN_WINDOW
        self._marks = (*(marks[:-1] if crowded else marks), (now, seq))

    def reset(self) -> None:
        """The target is forgotten, and with it what was accepted for it."""
        self._accepted = None
        self._approved = frozenset()
        self._marks = ()
        self._store.forget()

    def _passed_by(self, now: float) -> frozenset[bytes]:
        at, paths = self._passed
        return paths if now - at <= self._settings.window else frozenset()

    def _accept(self, shape: RootShape) -> None:
        self._store.accept_shape(shape)
        self._accepted = shape

    def _oldest(self, marks: tuple[tuple[float, int], ...], now: float) -> int:
        """Return which mark the window begins with: the newest that is not younger than it."""
        past = sum(1 for at, _ in marks if at <= now - self._settings.window)
        return max(past - 1, 0)

    def _pending(self, snapshot: IndexSnapshot, cursor: Cursor, now: float) -> _Pending:
        marks = self._marks
        since = min(marks[self._oldest(marks, now)][1], cursor.seq) if marks else cursor.seq
        deleted = list(snapshot.deletions_since(since))
        window, passed = Window(), self._passed_by(now)
        window.note(
            (trace_of(item.entry) for item in deleted if item.was_there or item.entry.path in passed),
            (trace_of(entry) for entry in snapshot.arrivals_since(since)),
            now,
        )
        unheard = {item.entry.path: item.entry for item in deleted if item.seq > cursor.seq}
        lost = sorted(path for path in window.lost if path in unheard)
        return _Pending(
            len(window.lost),
            tuple(PlanItem(path, "delete", unheard[path].kind, unheard[path].size) for path in lost),
            frozenset(unheard),
        )
