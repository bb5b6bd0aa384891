"""What transactions displaced on this node, kept so that each of them can be undone.

Everything here that touches the disk runs on the domain's worker thread, between transactions.
"""

from __future__ import annotations

import errno
import stat
import time
from collections.abc import Callable, Mapping, Sequence

from syncer.apply.area import Area
from syncer.apply.displaced_thing import remove_thing
from syncer.apply.displaced_walk import things_of
from syncer.apply.intake import Intake
from syncer.apply.integrity import IntegrityCheck
from syncer.apply.kept import KeptContents
from syncer.apply.retention import oldest_to_forget
from syncer.config.settings import HistorySettings
from syncer.files import Disk, DiskError
from syncer.model import RecordEvent
from syncer.state.generations import Generation, forget_generation, read_generations
from syncer.state.kept import (
    add_pin,
    forget_kept,
    holds_anything,
    kept_bytes,
    needed_digests,
    read_pins,
    record_kept,
    remove_pins,
    unreferenced,
)
from syncer.state.protected import Protection, protect, read_protected, release
from syncer.state.store import StateStore

TAKEN_AT_ONCE = 64
"""Displaced things that one step takes in; a transaction that arrives meanwhile waits for so many."""
CHECKED_AT_ONCE = 4 << 20
"""Bytes that one step of the integrity check reads."""


class History:
    """One domain's history on this node."""

    def __init__(
        self,
        domain: str,
        store: StateStore,
        disk: Disk,
        areas: Callable[[], Sequence[Area]],
        limits: HistorySettings,
        record: RecordEvent,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Keep beside what `areas` gives; nothing is touched yet."""
        self.domain = domain
        self.limits = limits
        self._store = store
        self._disk = disk
        self._areas = areas
        self._now = now
        self._contents = KeptContents(domain, store, disk)
        self._integrity = IntegrityCheck(domain, store, self._contents, record, now)
        self._intake: Intake | None = None
        self._swept = False
        self._pruned: list[tuple[int, bytes]] | None = None

    def tend(self) -> bool:
        """Do a slice of the background work: prune, take in, check; True where more waits to be taken in.

        Raises DiskError or StateError; what was begun is taken up again by the next call.
        """
        if not holds_anything(self._store, self.domain):
            return False
        if not self._swept:
            self.sweep()
        standing = [(generation.number, generation.stage) for generation in self.generations() if generation.complete]
        if standing != self._pruned:
            self.prune()
            more = self.take_in(TAKEN_AT_ONCE)
            self._pruned = None if more else standing
            return more
        self.check(CHECKED_AT_ONCE)
        return False

    def take_in(self, limit: int) -> bool:
        """Take up to `limit` displaced things of complete generations in; True where more is left."""
        waiting = self._waiting()
        if not waiting:
            return False
        if self._intake is None or self._intake.number != waiting[0].number:
            self._intake = Intake(self.domain, waiting[0], self._store, self._disk, self._contents, self._now)
        intake, self._intake = self._intake, None
        if intake.step(self._areas(), limit):
            self._intake = intake
            return True
        return len(waiting) > 1

    def take_all_in(self) -> None:
        """Take in whatever waits, so that every generation knows what it displaced."""
        while self.take_in(TAKEN_AT_ONCE):
            continue

    def prune(self) -> None:
        """Forget the oldest generations while there are too many or their contents are too large.

        Those that are protected stay, and count for nothing.
        """
        protected = self.protected()
        complete = [item for item in self.generations() if item.complete and item.number not in protected]
        pinned = [number for number, _ in self.pins()]
        beyond = 0
        while oldest_to_forget([item.number for item in complete[beyond:]], 0, self.limits, pinned) is not None:
            beyond += 1
        self._forget(complete[:beyond])
        complete = complete[beyond:]
        # Only what is forgotten tells how much the rest holds.
        while complete:
            held = kept_bytes(self._store, self.domain)
            held -= sum(kept_bytes(self._store, self.domain, number) for number in protected)
            if oldest_to_forget([item.number for item in complete], held, self.limits, pinned) is None:
                break
            self._forget([complete.pop(0)])

    def sweep(self) -> None:
        """Bring disk and records together, once after a start: a crash may have left copies and orphans."""
        needed = needed_digests(self._store, self.domain)
        found = self._contents.sweep(self._areas(), needed)
        if found:
            with self._store.transaction() as writer:
                # Checked long ago: nobody knows what they went through.
                record_kept(writer, self.domain, found, 0.0)
        self._remove_unreferenced()
        self._swept = True

    def check(self, budget: int) -> None:
        """Read up to `budget` bytes of kept contents again; damaged ones are set aside and reported."""
        if self._integrity.is_due():
            self._integrity.step(self._areas(), budget)

    def opener(self) -> Callable[[bytes], int | None]:
        """Return what opens kept contents for reading (None: not kept), many of them, until the next transaction.

        The caller closes each descriptor.
        """
        areas = self._areas()
        return lambda digest: self._contents.open(areas, digest)

    def lacking(self, sizes: Mapping[bytes, int]) -> set[bytes]:
        """Return those of the contents (digest → bytes) that cannot be opened."""
        if not sizes:
            return set()
        areas = self._areas()
        return {digest for digest, size in sizes.items() if not self._contents.holds(areas, digest, size)}

    def pin(self, generation: int, reason: str) -> None:
        """Keep all that is needed to go back to `generation` until `unpin`."""
        add_pin(self._store, self.domain, generation, reason)

    def unpin(self, reason: str) -> None:
        """Let go of what was pinned for `reason`."""
        remove_pins(self._store, self.domain, reason)

    def generations(self) -> list[Generation]:
        """Return the recorded generations, the oldest first; for any thread."""
        return read_generations(self._store, self.domain)

    def pins(self) -> list[tuple[int, str]]:
        """Return pinned generations with the reasons; for any thread."""
        return read_pins(self._store, self.domain)

    def protect(self, generation: int, reason: str) -> None:
        """Keep what `generation` displaces, or will, whatever the limits say, until a person releases it."""
        protect(self._store, self.domain, generation, reason)

    def release(self, generation: int) -> bool:
        """Let the limits apply to a generation again; tells whether it was protected."""
        found = release(self._store, self.domain, generation)
        self._pruned = None
        return found

    def protected(self) -> Mapping[int, Protection]:
        """Return the protected generations, those among them that nothing has made yet; for any thread."""
        return read_protected(self._store, self.domain)

    def close(self) -> None:
        """Let go of what is being read."""
        self._integrity.close()

    def _waiting(self) -> list[Generation]:
        return [generation for generation in self.generations() if generation.complete and generation.stage]

    def _forget(self, generations: Sequence[Generation]) -> None:
        if not generations:
            return
        for generation in generations:
            if generation.stage:
                self._intake = None
                self._remove_stage(generation.stage)
        # CRASH: a generation whose stage is half removed is forgotten at the next attempt.
        with self._store.transaction() as writer:
            for generation in generations:
                forget_generation(writer, self.domain, generation.number)
        self._remove_unreferenced()

    def _remove_stage(self, stage: bytes) -> None:
        areas = self._areas()
        for thing in things_of(areas, stage, {}, self._disk):
            if thing.emptied or not stat.S_ISDIR(thing.here.st_mode):
                remove_thing(thing, self._disk)
        for area in areas:
            area.root.forget(stage)
            try:
                self._disk.remove_directory(area.root.descriptor, stage, stage)
            except DiskError as error:
                if error.number != errno.ENOENT:
                    raise

    def _remove_unreferenced(self) -> None:
        """Delete the contents that no generation needs.

        CRASH: the generation is forgotten first and the file goes before its record, so that at every point
        what is missing is needed by nobody, and what is left is found again.
        """
        needless = unreferenced(self._store, self.domain)
        if not needless:
            return
        self._integrity.close()
        gone = self._contents.remove(self._areas(), needless)
        with self._store.transaction() as writer:
            forget_kept(writer, self.domain, gone)
