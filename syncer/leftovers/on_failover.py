"""Finds what stands on failover's own disk: in every file beneath a domain's root, synchronized or not; blocking."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import blake3

from syncer.capture.ignore import Scope
from syncer.capture.keep_local import KeepLocal
from syncer.errors import ApplyError, StateError
from syncer.files import Root
from syncer.leftovers.needles import Needles
from syncer.leftovers.report import Report
from syncer.leftovers.search import Hit, hits, hits_in_name
from syncer.model import Kind, Known, join
from syncer.replicate.way_back import WayBack
from syncer.state.base import Base
from syncer.state.store import StateStore
from syncer.substitution.attribution import Attribution, Place

PIECE = 512 * 1024
MOST_IN_A_FILE = 10_000
EVERY = 500
"""Files between two words of progress."""


class Standing(NamedTuple):
    """One domain on this failover node."""

    domain: str
    root: Path
    scope: Scope
    """What production synchronizes, less this node's excludes and syncer's own files."""
    keep_local: KeepLocal


class Search:
    """Looks through one domain on disk, and explains what it finds by what was applied there."""

    def __init__(
        self, store: StateStore, standing: Standing, needles: Needles, attribution: Attribution, report: Report
    ) -> None:
        """Add to `report` what of `needles` stands; `attribution` knows the rules that production sent."""
        self._standing = standing
        self._needles = needles
        self._attribution = attribution
        self._report = report
        self._base = Base(store)
        self._back = WayBack(store, standing.domain)

    def run(self, stopping: threading.Event, tell: Callable[[int, int, int], None]) -> None:
        """Search everything; raises OSError where the root cannot be opened. Ends early once `stopping` is set."""
        total = self._base.count(self._standing.domain)
        with Root(self._standing.root) as root:
            for number, (path, is_directory) in enumerate(self._walk(root)):
                if stopping.is_set():
                    return
                self._one(root, path, is_directory)
                if number % EVERY == 0:
                    tell(number, max(number, total), self._report.searched_bytes)

    def _walk(self, root: Root) -> Iterator[tuple[bytes, bool]]:
        waiting = [b""]
        while waiting:
            directory = waiting.pop()
            try:
                children = sorted(root.entries(directory))
            except (OSError, ApplyError) as error:
                self._report.add_unread(self._place(directory), _sentence(error))
                continue
            for name, is_directory in children:
                path = join(directory, name)
                # syncer's own configuration names production on purpose; its staging area is on its way elsewhere.
                if self._standing.scope.is_protected(path):
                    continue
                yield path, is_directory
                if is_directory:
                    waiting.append(path)

    def _one(self, root: Root, path: bytes, is_directory: bool) -> None:
        place = self._place(path)
        for hit in hits_in_name(self._needles, path.rpartition(b"/")[2], "name"):
            self._add_unless_meant(place, hit)
        if is_directory:
            return
        try:
            found = root.lstat(path)
            if found is not None and stat.S_ISLNK(found.st_mode):
                for hit in hits_in_name(self._needles, _link(root, path), "link"):
                    self._add_unless_meant(place, hit)
            elif found is not None and stat.S_ISREG(found.st_mode):
                self._file(root, place)
        except (OSError, ApplyError, StateError) as error:
            self._report.add_unread(place, _sentence(error))

    def _file(self, root: Root, place: Place) -> None:
        hasher = blake3.blake3()
        raw = list(islice(hits(self._needles, self._read(root, place.path, hasher)), MOST_IN_A_FILE))
        self._report.searched_files += 1
        if not raw:
            return
        known = self._base.get(place.domain, place.path)
        own = self._own(place, known)
        if known is None or own:
            for hit in raw:
                self._add_unless_meant(place, hit, own or "it is failover's own: production has no such file")
            return
        try:
            for hit in self._applied(root, known, raw, hasher):
                self._report.add(place, hit)
        except _EditedError:
            for hit in raw:
                # No edit has put it there, and none by the rules takes it away: the block is what a person must see to.
                why = "" if hit.where == "certificate" else "the file was edited on failover"
                self._add_unless_meant(place, hit, why)

    def _applied(self, root: Root, known: Known, raw: list[Hit], hasher: blake3.blake3) -> Iterator[Hit]:
        """Yield what stands in a file as it was applied, without what the rules have put there."""
        entry = known.entry
        if not entry.origin:
            if hasher.digest() != entry.digest and len(raw) < MOST_IN_A_FILE:
                raise _EditedError
            yield from raw
            return
        try:
            # What was rendered is rendered again: only so an address that is exchanged can be told from one left over.
            source = self._back.of(entry, self._read(root, entry.path), edited=False).pieces
            yield from list(islice(hits(self._needles, source, self._back.mapping(entry)), MOST_IN_A_FILE))
        except StateError as error:
            raise _EditedError from error

    def _own(self, place: Place, known: Known | None) -> str:
        """Say why a file is this node's own, whatever production has; "" where it came from there."""
        pattern = self._standing.keep_local.pattern_of(place.path, is_directory=False)
        if pattern is not None:
            return f"the keep_local pattern {pattern!r} keeps it as failover's own"
        if known is not None and known.entry.kind is Kind.FILE:
            return ""
        if not self._standing.scope.wants(place.path, is_directory=False):
            return f"it is not synchronized: {self._standing.scope.explain(place.path, is_directory=False)}"
        return "it is failover's own: production has no such file"

    def _add_unless_meant(self, place: Place, hit: Hit, why: str = "") -> None:
        """Add what stands in a file of failover's own, unless a rule makes it of another: it may be failover's."""
        if self._needles.was_asked(hit.address) or not self._attribution.makes(hit.address):
            self._report.add(place, hit, why)

    def _read(self, root: Root, path: bytes, hasher: blake3.blake3 | None = None) -> Iterator[bytes]:
        descriptor = root.open_file(path)
        try:
            while piece := os.read(descriptor, PIECE):
                if hasher is not None:
                    hasher.update(piece)
                    self._report.searched_bytes += len(piece)
                yield piece
        finally:
            os.close(descriptor)

    def _place(self, path: bytes) -> Place:
        return Place(self._standing.domain, path)


class _EditedError(Exception):
    """The file is not as it was applied."""


def _link(root: Root, path: bytes) -> bytes:
    directory, _, name = path.rpartition(b"/")
    return os.readlink(name, dir_fd=root.directory(directory))


def _sentence(error: OSError | ApplyError | StateError) -> str:
    return f"it cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
