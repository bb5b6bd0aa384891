"""Counts after each full synchronization what of production's addresses still stands on a target; on a thread.

What was found is kept for the state of the index that it was found in, so that the next count looks at what has
changed since and at nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from syncer.errors import SyncerError, UndoTooLargeError
from syncer.index.snapshot import IndexSnapshot
from syncer.index.store import IndexStore
from syncer.leftovers.needles import Needles
from syncer.leftovers.on_production import Rendered, Sent
from syncer.model import Cursor, Entry, Head, RecordEvent
from syncer.replicate.content import ContentChangedError

log = logging.getLogger(__name__)


class Counted(NamedTuple):
    """What stands in one domain on one target."""

    addresses: frozenset[str]
    files: int


class _Looked(NamedTuple):
    head: Head
    key: object
    found: dict[bytes, frozenset[str]]
    """The files in which something stands."""


class LeftoverWatch:
    """Counts for all targets and domains of a production node, one after the other."""

    def __init__(self, index: IndexStore, own: Callable[[], tuple[str, ...]], record: RecordEvent) -> None:
        """Look for what the rules begin with, and for this node's `own` addresses; raise events by `record`."""
        self._index = index
        self._own = own
        self._record = record
        self._thread = ThreadPoolExecutor(1, "leftovers")
        self._stopping = threading.Event()
        self._looked: dict[tuple[str, str], _Looked] = {}

    def after_full(self, target: str, sent: Sent) -> None:
        """Count what stands on `target` now, and raise `leftovers.found` where something does; returns at once."""
        if sent.rules.rules and not self._stopping.is_set():
            self._thread.submit(self._told, target, sent)

    async def count(self, target: str, sent: Iterable[Sent]) -> dict[str, int] | None:
        """Return how many addresses stand in how many files; None where no rules are for the target, or none can tell.

        It is what `syncer snapshot --json` has as `leftovers`.
        """
        asked = [one for one in sent if one.rules.rules]
        if not asked or self._stopping.is_set():
            return None
        counts = await asyncio.gather(*(asyncio.wrap_future(self._submit(target, one)) for one in asked))
        found = [one for one in counts if one is not None]
        if len(found) < len(counts):
            return None
        addresses = frozenset[str]().union(*(one.addresses for one in found))
        return {"addresses": len(addresses), "files": sum(one.files for one in found)}

    def close(self) -> None:
        """End; what is being counted is given up."""
        self._stopping.set()
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _submit(self, target: str, sent: Sent) -> Future[Counted | None]:
        return self._thread.submit(self._counted, target, sent)

    def _told(self, target: str, sent: Sent) -> None:
        found = self._counted(target, sent)
        if found is not None and found.files:
            counts = {"addresses": len(found.addresses), "files": found.files}
            self._record("leftovers.found", {"target": target, "domain": sent.domain, **counts})

    def _counted(self, target: str, sent: Sent) -> Counted | None:
        try:
            looked = self._look(target, sent)
        except SyncerError as error:
            log.warning("what still stands on %s in domain %s cannot be told: %s", target, sent.domain, error)
            return None
        if looked is None:
            return None
        return Counted(frozenset[str]().union(*looked.found.values()), len(looked.found))

    def _look(self, target: str, sent: Sent) -> _Looked | None:
        needles = Needles(sent.rules.rules, self._own())
        key = (sent.rules.hash, needles.key, tuple(sent.kept_local), str(sent.root))
        before = self._looked.get((target, sent.domain))
        with self._index.snapshot(sent.domain) as snapshot:
            if before is not None and (
                before.key != key or not self._index.is_resumable(sent.domain, Cursor(*before.head))
            ):
                before = None
            found = dict(before.found) if before is not None else {}
            rendered = Rendered(sent, needles)
            try:
                for path, entry in _changed(snapshot, before):
                    if self._stopping.is_set():
                        return None
                    found.pop(path, None)
                    standing = _addresses(rendered, entry) if entry and path not in sent.kept_local else frozenset()
                    if standing:
                        found[path] = standing
            finally:
                rendered.close()
            looked = self._looked[target, sent.domain] = _Looked(snapshot.head, key, found)
        return looked


def _changed(snapshot: IndexSnapshot, before: _Looked | None) -> Iterable[tuple[bytes, Entry | None]]:
    if before is None:
        return ((entry.path, entry) for entry in snapshot.entries())
    return ((change.path, change.entry) for change in snapshot.changes_since(before.head.seq))


def _addresses(rendered: Rendered, entry: Entry) -> frozenset[str]:
    try:
        return frozenset(hit.address.lower() for hit in rendered.hits(entry))
    except (ContentChangedError, UndoTooLargeError):
        # It comes again with the next change; and what is not sent is a problem of the target, shown as one.
        return frozenset()
