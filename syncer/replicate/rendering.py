"""Renders production's contents for a target by its substitution rules: once for all targets that share them.

Blocking; called on the senders' worker threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import blake3

from syncer.capture.contents import LARGEST_CONTENT, ContentCache
from syncer.errors import UndoTooLargeError
from syncer.index.renderings import Rendered, Renderings
from syncer.index.snapshot import IndexSnapshot
from syncer.model import Entry
from syncer.replicate.content import MESSAGE_LIMIT, ContentChangedError, ContentSource
from syncer.substitution.mapping import Mapping
from syncer.substitution.rewrite import Renderer, concerns, rewrite
from syncer.substitution.rules import RuleSet, mapping_key

MOST_HOPELESS = 1000


class Flaw(NamedTuple):
    """Why a file cannot be rendered."""

    reason: str


class Asked(NamedTuple):
    """A file that is to be rendered."""

    entry: Entry
    mapping: Mapping


class Rendering:
    """The renderings of one domain, shared by all of its targets."""

    def __init__(self, known: Renderings, cache: ContentCache) -> None:
        """Remember in `known`; small contents that were just made stay in `cache`, to be sent."""
        self._known = known
        self._cache = cache
        self._lock = threading.Lock()
        self._at_work: dict[bytes, threading.Lock] = {}
        self._hopeless: dict[tuple[bytes, bytes], Flaw] = {}
        self._has_news = False

    def of(self, asked: Sequence[Asked], source: ContentSource) -> list[Rendered | Flaw]:
        """Return what each file becomes, in their order, read from `source` where that is not known yet.

        Raises ContentChangedError where production's disk no longer holds one of them.
        """
        results: list[Rendered | Flaw | None] = [None] * len(asked)
        for mapping, places in _by_mapping(asked):
            entries = {asked[place].entry.digest: asked[place].entry for place in places}
            found = self._of(mapping, entries, source)
            for place in places:
                results[place] = found[asked[place].entry.digest]
        return [result for result in results if result is not None]

    def _of(self, mapping: Mapping, entries: dict[bytes, Entry], source: ContentSource) -> dict[bytes, Rendered | Flaw]:
        key = mapping_key(mapping)
        with self._lock:
            at_work = self._at_work.setdefault(key, threading.Lock())
        # RACE: two targets that share the rules would both render; the second one finds what the first made.
        with at_work:
            found: dict[bytes, Rendered | Flaw] = {**self._known.find(key, entries)}
            made: dict[bytes, Rendered] = {}
            for digest, entry in entries.items():
                if digest in found:
                    continue
                if (key, digest) in self._hopeless:
                    found[digest] = self._hopeless[key, digest]
                    continue
                try:
                    found[digest] = made[digest] = self._render(entry, mapping, source)
                except UndoTooLargeError as error:
                    found[digest] = self._gave_up(key, digest, str(error))
            if made:
                self._known.record(key, made)
                self._has_news = True
        return found

    def _gave_up(self, key: bytes, digest: bytes, reason: str) -> Flaw:
        """Remember it while the agent runs: finding it out again would cost as much as the first time."""
        if len(self._hopeless) >= MOST_HOPELESS:
            self._hopeless.clear()
        flaw = self._hopeless[key, digest] = Flaw(reason)
        return flaw

    def remembered(self, key: bytes, digest: bytes, make: Callable[[], Rendered]) -> Rendered:
        """Return what a content becomes in a way that `key` names, of 32 bytes; made only where that is not known."""
        found = self._known.find(key, [digest]).get(digest)
        if found is None:
            found = make()
            self._known.record(key, {digest: found})
        return found

    def tidy(self) -> None:
        """Forget what no file has any more; after a walk through all of a domain."""
        with self._lock:
            if self._has_news:
                self._known.prune()
                self._has_news = False

    def sources_of(self, rendered: bytes) -> list[bytes]:
        """Return the contents of production that become this one under some mapping."""
        return self._known.sources_of(rendered)

    def _render(self, entry: Entry, mapping: Mapping, source: ContentSource) -> Rendered:
        if entry.size > LARGEST_CONTENT:
            return _streamed(entry, mapping, source)
        data = source.cached(entry.digest)
        if data is None:
            data = b"".join(source.read(entry.path, entry.digest, entry.size))
        if not concerns(data, mapping):
            return Rendered(entry.digest, entry.size, b"")
        rendered, report = rewrite(data, mapping)
        if rendered == data:
            return Rendered(entry.digest, entry.size, report.undo)
        digest = blake3.blake3(rendered).digest()
        self._cache.put(digest, rendered)
        return Rendered(digest, len(rendered), report.undo)


class RenderedSource:
    """Contents as a target gets them: production's, rendered again as they are sent."""

    def __init__(self, source: ContentSource, snapshot: IndexSnapshot, rules: RuleSet, domain: str) -> None:
        """Render what `source` has, of which `snapshot` tells the digests on production."""
        self._source = source
        self._snapshot = snapshot
        self._rules = rules
        self._domain = domain

    def refresh(self) -> None:
        """Look for the root anew."""
        self._source.refresh()

    def cached(self, digest: bytes) -> bytes | None:
        """Return a content that is still in memory."""
        return self._source.cached(digest)

    def read(self, path: bytes, digest: bytes, size: int) -> Iterator[bytes]:
        """Yield the rendered content at `path` in pieces; ContentChangedError as the source raises it."""
        own, own_size = self._snapshot.content_of(path)
        mapping = self._rules.for_path(self._domain, path)
        if mapping is None or own == digest:
            yield from self._source.read(path, digest, size)
            return
        sent = 0
        ready = bytearray()
        renderer = Renderer(mapping)
        for piece in self._source.read(path, own, own_size):
            ready += renderer.feed(piece)
            # Something is held back, as the source does: until the digest is known to be right.
            while len(ready) > MESSAGE_LIMIT:
                yield bytes(ready[:MESSAGE_LIMIT])
                del ready[:MESSAGE_LIMIT]
                sent += MESSAGE_LIMIT
        ready += renderer.finish()[0]
        if sent + len(ready) != size:
            raise ContentChangedError(path)
        for start in range(0, len(ready), MESSAGE_LIMIT):
            yield bytes(ready[start : start + MESSAGE_LIMIT])


def _streamed(entry: Entry, mapping: Mapping, source: ContentSource) -> Rendered:
    """Render a large file piece by piece, and keep nothing of it but the digest."""
    renderer = Renderer(mapping)
    hasher = blake3.blake3()
    for piece in source.read(entry.path, entry.digest, entry.size):
        hasher.update(renderer.feed(piece))
    rest, report = renderer.finish()
    hasher.update(rest)
    return Rendered(hasher.digest(), report.rendered_size, report.undo)


def _by_mapping(asked: Sequence[Asked]) -> Iterable[tuple[Mapping, list[int]]]:
    """Group by mapping: equal ones are nearly always the same object, and comparing them costs more than that."""
    found: dict[int, tuple[Mapping, list[int]]] = {}
    for place, (_, mapping) in enumerate(asked):
        found.setdefault(id(mapping), (mapping, []))[1].append(place)
    return found.values()
