"""Finds what will stand on a target from production's side: in what the rules make of every file; blocking."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from syncer.capture.contents import ContentCache
from syncer.errors import UndoTooLargeError
from syncer.index.store import IndexStore
from syncer.leftovers.needles import Needles
from syncer.leftovers.report import Report
from syncer.leftovers.search import Hit, hits, hits_in_name
from syncer.model import Entry, Kind, name_of
from syncer.replicate.content import ContentChangedError
from syncer.replicate.source import DiskSource
from syncer.substitution.attribution import Attribution, Place
from syncer.substitution.rules import RuleSet

EVERY = 500
"""Files between two words of progress."""


class Sent(NamedTuple):
    """One domain as one target gets it."""

    domain: str
    root: Path
    rules: RuleSet
    """Those of the target; only what can apply to the domain is asked for."""
    kept_local: Collection[bytes] = ()
    """Paths that the target keeps as its own."""


class Rendered:
    """The renderings of one domain for one target; used by one thread."""

    def __init__(self, sent: Sent, needles: Needles) -> None:
        """Read beneath the root anew."""
        self._sent = sent
        self._needles = needles
        self._attribution = Attribution(sent.rules.rules)
        self._source = DiskSource(sent.root, ContentCache(0))

    def hits(self, entry: Entry) -> Iterator[Hit]:
        """Yield what will stand of one path; raises ContentChangedError, UndoTooLargeError."""
        yield from self._unless_meant(hits_in_name(self._needles, name_of(entry.path), "name"))
        if entry.kind is Kind.SYMLINK:
            yield from self._unless_meant(hits_in_name(self._needles, entry.link_target, "link"))
        if entry.kind is Kind.FILE and entry.size:
            mapping = self._sent.rules.for_path(self._sent.domain, entry.path)
            yield from hits(self._needles, self._source.read(entry.path, entry.digest, entry.size), mapping)

    def _unless_meant(self, found: list[Hit]) -> Iterator[Hit]:
        """Yield what stands in a name, unless a rule makes it of another address: it may be failover's already."""
        for hit in found:
            if self._needles.was_asked(hit.address) or not self._attribution.makes(hit.address):
                yield hit

    def close(self) -> None:
        """Close the root."""
        self._source.refresh()


def search(
    index: IndexStore,
    sent: Sent,
    needles: Needles,
    report: Report,
    stopping: threading.Event,
    tell: Callable[[int, int, int], None],
) -> None:
    """Add to `report` what will stand in one domain of a target, once it is synchronized with the index of now.

    `tell` learns of paths, of how many there are, and of bytes; ends early once `stopping` is set.
    """
    rendered = Rendered(sent, needles)
    try:
        with index.snapshot(sent.domain) as snapshot:
            total = snapshot.count()
            for number, entry in enumerate(snapshot.entries()):
                if stopping.is_set():
                    return
                _one(rendered, entry, sent, report)
                if number % EVERY == 0:
                    tell(number, total, report.searched_bytes)
    finally:
        rendered.close()


def _one(rendered: Rendered, entry: Entry, sent: Sent, report: Report) -> None:
    place = Place(sent.domain, entry.path)
    if entry.path in sent.kept_local:
        return
    if entry.kind is Kind.UNKNOWN:
        report.add_unread(place, entry.note)
        return
    if entry.kind is Kind.FILE:
        report.searched_files += 1
        report.searched_bytes += entry.size
    try:
        for hit in rendered.hits(entry):
            report.add(place, hit)
    except ContentChangedError:
        report.add_unread(place, "it changed while it was read")
    except UndoTooLargeError as error:
        report.add_unread(place, str(error))
