"""Reads kept contents again in the background, little by little, and sets aside what is damaged."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import blake3

from syncer.apply.area import Area
from syncer.apply.kept import KeptContents
from syncer.model import RecordEvent, shown
from syncer.state.kept import Kept, Unkept, due_for_check, forget_kept, needing, note_checked, note_unkept
from syncer.state.store import StateStore

CHECK_AGAIN = 7 * 86400.0
"""Seconds between two readings of a content."""
READ_AT_ONCE = 1 << 20


class _Reading(NamedTuple):
    content: Kept
    descriptor: int
    hasher: blake3.blake3


class IntegrityCheck:
    """Where the check of one domain's kept contents stands; used by one thread."""

    def __init__(
        self,
        domain: str,
        store: StateStore,
        contents: KeptContents,
        record: RecordEvent,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Nothing is read yet; `record` is told of damage as the event history.damaged."""
        self._domain = domain
        self._store = store
        self._contents = contents
        self._record = record
        self._now = now
        self._reading: _Reading | None = None

    def is_due(self) -> bool:
        """Tell whether anything is to be read now; cheap."""
        before = self._now() - CHECK_AGAIN
        return self._reading is not None or due_for_check(self._store, self._domain, before) is not None

    def step(self, areas: Sequence[Area], budget: int) -> None:
        """Read at most `budget` bytes, of contents that were not read for CHECK_AGAIN seconds."""
        while budget > 0:
            reading = self._reading or self._next(areas)
            if reading is None:
                return
            piece = os.read(reading.descriptor, min(READ_AT_ONCE, budget))
            budget -= max(len(piece), 1)
            if piece:
                reading.hasher.update(piece)
                continue
            self.close()
            self._judge(areas, reading.content, is_right=reading.hasher.digest() == reading.content.digest)

    def close(self) -> None:
        """Let go of the content that is being read; it is read anew."""
        if self._reading is not None:
            os.close(self._reading.descriptor)
            self._reading = None

    def _next(self, areas: Sequence[Area]) -> _Reading | None:
        tops = {area.top for area in areas}
        while (content := due_for_check(self._store, self._domain, self._now() - CHECK_AGAIN)) is not None:
            if content.top not in tops:
                # Its mount is not here: nothing can be said, so it is looked at in the next round.
                with self._store.transaction() as writer:
                    note_checked(writer, self._domain, content.digest, self._now())
                continue
            descriptor = self._contents.open(areas, content.digest)
            if descriptor is None:
                self._judge(areas, content, is_right=False)
                continue
            self._reading = _Reading(content, descriptor, blake3.blake3())
            return self._reading
        return None

    def _judge(self, areas: Sequence[Area], content: Kept, *, is_right: bool) -> None:
        if is_right:
            with self._store.transaction() as writer:
                note_checked(writer, self._domain, content.digest, self._now())
            return
        # CRASH: moved first: a content that is recorded and not there is found damaged again.
        self._contents.set_aside(areas, content)
        needed = needing(self._store, self._domain, content.digest)
        with self._store.transaction() as writer:
            forget_kept(writer, self._domain, [content.digest])
            for number in sorted({number for number, _ in needed}):
                paths = [path for other, path in needed if other == number]
                note_unkept(
                    writer, self._domain, number, [Unkept(path, "was damaged in the history") for path in paths]
                )
        self._record(
            "history.damaged",
            {
                "domain": self._domain,
                "path": shown(needed[0][1]) if needed else "",
                "generations": ", ".join(str(number) for number in sorted({number for number, _ in needed})),
            },
        )
