"""Carries a copied tree home as a promoted node would, and proves each file by the digest that production gave it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from blake3 import blake3

from syncer.capture.contents import ContentCache
from syncer.capture.ignore import Scope
from syncer.capture.tree_capture import TreeCapture
from syncer.drill.shadow import EVERY, DrillEndedError, DrillError, Tell
from syncer.errors import SyncerError, UnavailableRootError
from syncer.index.snapshot import IndexSnapshot
from syncer.index.store import IndexStore
from syncer.model import Entry, Kind, Known, shown
from syncer.origin import source_digest
from syncer.replicate.content import ContentChangedError, ContentSource
from syncer.replicate.home_tree import HomeRendering
from syncer.replicate.rendering import Rendering
from syncer.replicate.source import DiskSource

CONTENTS_KEPT = 16 << 20
"""Bytes of small contents that are not read twice."""
LISTED = 100
"""Paths of each kind that a report names; all are counted."""


@dataclass
class Homeward:
    """How the files of one domain go home."""

    same: int = 0
    """As they are: substitution had changed nothing in them. Proved by production's digest."""
    restored: int = 0
    """Rendered back to what production had. Proved by production's digest."""
    edited: int = 0
    """Changed here since they were applied, or made here: they go home as the rules make them."""
    stays: int = 0
    """This node's own (`keep_local`): they do not go home."""
    gone: int = 0
    """Came from production, and are not here, or not captured here: they would be deleted there."""
    left_out: int = 0
    unproven: int = 0
    bytes: int = 0
    """Of all that was rendered."""
    left_out_paths: list[dict[str, str]] = field(default_factory=list)
    """Those that a person must decide, with the reason."""
    unproven_paths: list[dict[str, str]] = field(default_factory=list)
    """Those that were not edited and do not come out as production had them, with the reason."""

    @property
    def proved(self) -> int:
        """Files whose bytes are production's own, as their digest proves."""
        return self.same + self.restored


Outlook = Callable[[Rendering], HomeRendering]
"""Returns how the domain goes home."""


def captured(domain: str, copy: Path, scope: Scope, index: IndexStore) -> ContentCache:
    """Take a copied tree into `index`, as a node does that becomes production. Blocking.

    Returns the small contents. Raises DrillError, IndexStoreError.
    """
    contents = ContentCache(CONTENTS_KEPT)
    capture = TreeCapture(domain, copy, scope, index, enter=lambda path, descriptor: None, contents=contents)
    try:
        capture.look_at_everything()
    except UnavailableRootError as error:
        raise DrillError(f"the copy of domain {domain} cannot be read: {error}") from error
    capture.record(torn=False, force=True)
    return contents


def carry_home(
    domain: str,
    copy: Path,
    home: Path,
    index: IndexStore,
    contents: ContentCache,
    outlook: Outlook,
    tell: Tell,
    stopping: threading.Event,
) -> Homeward:
    """Render what `index` has of the copy into `home`, which is made. Blocking.

    Raises DrillEndedError, DrillError where the disk has no room, SyncerError where base or rules cannot be read.
    """
    rendering = outlook(Rendering(index.renderings, contents))
    disk = DiskSource(copy, contents)
    home.mkdir(mode=0o700)
    try:
        with index.snapshot(domain) as snapshot:
            walk = _Walk(rendering, snapshot, rendering.source(disk, snapshot), home)
            tree = rendering.tree(snapshot, disk, frozenset())
            for number, entry in enumerate(tree.entries(), 1):
                walk.one(entry)
                if number % EVERY == 0:
                    if stopping.is_set():
                        raise DrillEndedError("the drill was given up: all of it was removed")
                    tell(number, walk.found.bytes)
            return walk.ended()
    except ContentChangedError as error:
        raise DrillError(f"the copy of domain {domain} was changed while it was read: {shown(error.path)!a}") from error
    except OSError as error:
        raise DrillError(f"{home}: cannot be written ({error.strerror}): a drill needs room there") from error
    finally:
        disk.refresh()


class _Walk:
    """One domain, path by path."""

    def __init__(self, rendering: HomeRendering, snapshot: IndexSnapshot, source: ContentSource, home: Path) -> None:
        self.found = Homeward()
        self._ways = rendering.ways
        self._rendering = rendering
        self._snapshot = snapshot
        self._source = source
        self._home = os.fsencode(home)
        self._came = 0
        """Paths of the base that were met."""

    def one(self, entry: Entry) -> None:
        row = self._ways.applied(entry.path)
        self._came += row is not None
        place = os.path.join(self._home, entry.path) if entry.path else self._home
        if entry.kind is Kind.DIRECTORY:
            os.makedirs(place, mode=0o700, exist_ok=True)
        elif entry.kind is Kind.SYMLINK:
            os.symlink(entry.link_target, place)
        elif entry.kind is Kind.FILE:
            self._file(entry, row, place)
        elif not entry.note or self._ways.keeps(entry.path) or self._ways.stays_theirs(entry.path):
            self.found.stays += 1

    def _file(self, entry: Entry, row: Known | None, place: bytes) -> None:
        here = self._snapshot.known_at(entry.path)
        assert here is not None, "a file that goes home stands here"
        is_same = row is not None and row.entry.kind is Kind.FILE and _is_equal(row.entry, here.entry)
        try:
            digest = self._written(entry, place)
        except (SyncerError, ContentChangedError) as error:
            if not is_same or isinstance(error, ContentChangedError):
                raise
            self._unproven(entry.path, str(error))
            return
        if row is None or not is_same:
            self.found.edited += 1
            return
        wanted = source_digest(row.entry.digest, row.entry.origin)
        if entry.size and digest != wanted:
            self._unproven(entry.path, "what comes out does not have the digest that production gave it")
        elif row.entry.origin:
            self.found.restored += 1
        else:
            self.found.same += 1

    def _written(self, entry: Entry, place: bytes) -> bytes:
        os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
        hasher = blake3()
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            for piece in self._source.read(entry.path, entry.digest, entry.size) if entry.size else ():
                hasher.update(piece)
                file.write(piece)
                self.found.bytes += len(piece)
        return hasher.digest()

    def _unproven(self, path: bytes, why: str) -> None:
        self.found.unproven += 1
        if len(self.found.unproven_paths) < LISTED:
            self.found.unproven_paths.append({"path": shown(path), "reason": why})

    def ended(self) -> Homeward:
        found, flaws = self.found, self._rendering.flaws
        found.left_out = len(flaws)
        found.left_out_paths = [{"path": shown(path), "reason": why} for path, why in sorted(flaws.items())[:LISTED]]
        found.gone = max(0, self._ways.base.count(self._ways.domain) - self._came)
        return found


def _is_equal(applied: Entry, here: Entry) -> bool:
    # An empty file may have no digest at all.
    return applied.size == here.size and (not here.size or applied.digest == here.digest)
