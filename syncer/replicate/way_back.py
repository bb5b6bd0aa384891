"""What the files of a domain on failover are on production: told by failover alone, also when production is gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import blake3

from syncer.errors import StateError
from syncer.model import Entry, shown
from syncer.origin import Origin
from syncer.state.cursors import read_standing
from syncer.state.rules import rule_set
from syncer.state.store import StateStore
from syncer.substitution.mapping import Mapping
from syncer.substitution.rewrite import Renderer, Restorer
from syncer.substitution.rules import EMPTY, RuleSet


class Home(NamedTuple):
    """How one file goes home."""

    pieces: Iterator[bytes]
    """Its bytes for production."""
    needs_person: bool
    """It was edited here, and some of what it was made of only production's text could tell: nothing is guessed."""


class WayBack:
    """Turns what stands on failover into what production has, or would have; for one domain, on any one thread."""

    def __init__(self, store: StateStore, domain: str) -> None:
        self._store = store
        self._domain = domain
        self._sets: dict[bytes, RuleSet] = {}

    def of(self, applied: Entry, pieces: Iterable[bytes], *, edited: bool) -> Home:
        """Return how a file goes home whose bytes on this node are `pieces`; `applied` is its row of the base.

        What was not edited here is restored byte for byte, and proved by production's digest: `pieces` raises
        StateError at its end where it is not. What was edited is rewritten by the inverse rules.
        """
        if edited:
            return Home(self._rewritten(applied.path, pieces), self.has_undo(applied))
        if not applied.origin:
            return Home(iter(pieces), needs_person=False)
        return Home(
            self.restored(applied.path, self.origin(applied), self.mapping(applied), pieces), needs_person=False
        )

    def mapping(self, applied: Entry) -> Mapping:
        """Return by what a file was rendered that has an origin; raises StateError."""
        return self._mapping(self._set(self.origin(applied).rules), applied.path)

    def mapping_of(self, rules: bytes, path: bytes) -> Mapping:
        """Return what the rules with this hash come to for a file; raises StateError."""
        return self._mapping(self._set(rules), path)

    def has_undo(self, applied: Entry) -> bool:
        """Tell whether the inverse rules alone would not bring production's text back; raises StateError."""
        return bool(applied.origin and self.origin(applied).undo)

    def rules(self) -> RuleSet:
        """Return the rules by which what stands here was rendered last."""
        standing = read_standing(self._store, self._domain)
        return self._set(standing.rule_hash) if standing is not None else EMPTY

    def restored(self, path: bytes, origin: Origin, made_by: Mapping, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield production's bytes of a file that stands as it was applied; StateError at the end where they are not.

        It was rendered by `made_by`.
        """
        restorer = Restorer(made_by, origin.undo)
        hasher = blake3.blake3()
        for piece in pieces:
            ready = restorer.feed(piece)
            hasher.update(ready)
            yield ready
        rest = restorer.finish()
        hasher.update(rest)
        if hasher.digest() != origin.digest:
            raise StateError(self.mismatch(path))
        yield rest

    def mismatch(self, path: bytes) -> str:
        """Say that a file does not come out as production had it."""
        return (
            f"{shown(path)!a} of domain {self._domain} does not come out as production had it: its bytes "
            "are not those that were applied; run `syncer verify`"
        )

    def _rewritten(self, path: bytes, pieces: Iterable[bytes]) -> Iterator[bytes]:
        mapping = self.rules().for_path(self._domain, path)
        if mapping is None:
            yield from pieces
            return
        renderer = Renderer(mapping.inverse())
        for piece in pieces:
            yield renderer.feed(piece)
        yield renderer.finish()[0]

    def origin(self, applied: Entry) -> Origin:
        """Return what production has of a file that has an origin; raises StateError."""
        try:
            return Origin.decode(applied.origin)
        except ValueError as error:
            raise StateError(f"node.db: {shown(applied.path)!a} {error}; restore a backup of the state") from error

    def _set(self, digest: bytes) -> RuleSet:
        """Return the rules with this hash; StateError where they were lost."""
        if not digest:
            return EMPTY
        found = self._sets.get(digest)
        if found is None:
            encoded = rule_set(self._store, digest)
            if encoded is None:
                raise StateError(
                    f"node.db: the substitution rules {digest.hex()[:16]} of domain {self._domain} are missing; "
                    "restore a backup of the state"
                )
            found = self._sets[digest] = RuleSet.decode(encoded)
        return found

    def _mapping(self, rules: RuleSet, path: bytes) -> Mapping:
        return rules.for_path(self._domain, path) or Mapping()
