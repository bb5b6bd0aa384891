"""Finds, in bytes, the tokens that a mapping changes: literals first, the grammar of tokens only where one stands."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from syncer.substitution.literals import Literals, host_windows, in_any_case, ipv4_literals, ipv6_literals
from syncer.substitution.mapping import Mapping, NetworkPair
from syncer.substitution.spelling import read_ipv4, read_ipv6, write_ipv4, write_ipv6
from syncer.substitution.tokens import LONGEST_HOST, host_stands, ipv4_at, ipv6_around

REMEMBERED_SPELLINGS = 4096

MARKER = b"-----"
"""Begins both lines around a certificate or key; `scanner.py` reads on."""
_MARKERS = (b"-----BEGIN ", b"-----END ")

Token = tuple[int, int, bytes]
"""Start and end in the text, and what it becomes."""


class Matcher:
    """One direction of a mapping, compiled."""

    def __init__(self, mapping: Mapping, *, keep_unchanged: bool = False) -> None:
        """Compile `mapping`; `keep_unchanged` also finds what becomes itself (only looking for it)."""
        self._keep_unchanged = keep_unchanged
        self._address = _lookup(mapping.networks)
        # A name that holds a marker could hide it, and a longer one would not be seen whole; the rules allow neither.
        self._hosts = {
            pair.source: pair.target
            for pair in mapping.hosts
            if MARKER not in pair.source and len(pair.source) <= LONGEST_HOST
        }
        self._generic = any(pair.version == 4 and pair.length < 8 for pair in mapping.networks)
        ipv4 = [literal for pair in mapping.networks if pair.version == 4 for literal in ipv4_literals(pair)]
        ipv6 = [literal for pair in mapping.networks if pair.version == 6 for literal in ipv6_literals(pair)]
        self.literals = [*ipv4, *(spelling for literal in ipv6 for spelling in in_any_case(literal))]
        self.names = list(self._hosts)
        self._ipv4, self._ipv6, self._names = Literals(ipv4), Literals(ipv6), Literals(self._hosts)
        self._has_ipv4, self._has_ipv6 = bool(ipv4), bool(ipv6)
        self._spelled4 = lru_cache(REMEMBERED_SPELLINGS)(self._ipv4_image)
        self._spelled6 = lru_cache(REMEMBERED_SPELLINGS)(self._ipv6_image)

    def tokens(self, text: bytes, low: int, limit: int) -> list[Token]:
        """Return the tokens that start in `low` to `limit`, in order, not overlapping."""
        found: list[Token] = []
        if self._has_ipv4:
            self._find_ipv4(text, self._ipv4.places(text), found)
        if self._has_ipv6 or self._hosts:
            lowered = text.lower()
            self._find_ipv6(text, self._ipv6.places(lowered), found)
            self._find_hosts(text, lowered, found)
        return _in_order(found, low, limit)

    def _find_ipv4(self, text: bytes, places: list[tuple[int, int]], found: list[Token]) -> None:
        image_of = self._spelled4
        for position, _ in places:
            start = position
            if self._generic:
                while start and position - start < 3 and text[start - 1 : start].isdigit():
                    start -= 1
            end = ipv4_at(text, start)
            if not end and text[start - 1 : start] == b"%":
                # `%2010.0.0.1`: what stands here may be the end of an escape, and an address after it.
                start += 2
                end = ipv4_at(text, start)
            if end:
                image = image_of(text[start:end])
                if image is not None:
                    found.append((start, end, image))

    def _find_ipv6(self, text: bytes, places: list[tuple[int, int]], found: list[Token]) -> None:
        skip = 0
        for position, _ in places:
            if position < skip:
                continue
            start, end, skip = ipv6_around(text, position)
            if end:
                image = self._spelled6(text[start:end])
                if image is not None:
                    found.append((start, end, image))

    def _find_hosts(self, text: bytes, lowered: bytes, found: list[Token]) -> None:
        for start, end in self._names.places(lowered):
            if host_stands(text, start, end):
                image = self._hosts[lowered[start:end]]
                if self._keep_unchanged or image != text[start:end]:
                    found.append((start, end, image))

    def _ipv4_image(self, text: bytes) -> bytes | None:
        value = read_ipv4(text)
        image = None if value is None else self._address(4, value)
        if image is None or (image == value and not self._keep_unchanged):
            return None
        return write_ipv4(image)

    def _ipv6_image(self, text: bytes) -> bytes | None:
        value = read_ipv6(text)
        image = None if value is None else self._address(6, value)
        if image is None or (image == value and not self._keep_unchanged):
            return None
        return write_ipv6(image, dotted=b"." in text)


def _in_order(found: list[Token], low: int, limit: int) -> list[Token]:
    """Sort, and let the first of overlapping tokens win: a whole IPv6 address before the IPv4 address in its tail."""
    found.sort()
    tokens, free = [], low
    for token in found:
        if free <= token[0] < limit:
            tokens.append(token)
            free = token[1]
    return tokens


def _lookup(pairs: tuple[NetworkPair, ...]) -> Callable[[int, int], int | None]:
    """Return what `Mapping.address` says, in one step for each prefix length instead of one for each pair."""
    tables: dict[tuple[int, int], dict[int, int]] = {}
    for pair in pairs:
        shift = (32 if pair.version == 4 else 128) - pair.length
        tables.setdefault((pair.version, shift), {}).setdefault(pair.source >> shift, pair.target)
    # Most specific first: the fewest host bits.
    ordered = sorted(tables.items())

    def address(version: int, value: int) -> int | None:
        for (of_version, shift), table in ordered:
            if of_version == version and (target := table.get(value >> shift)) is not None:
                return target | value & ((1 << shift) - 1)
        return None

    return address


class Compiled(NamedTuple):
    """Both directions of a mapping, and what tells quickly that a text concerns neither."""

    forward: Matcher
    inverse: Matcher
    either: Literals
    """What the tokens of both directions contain, and the markers around certificates."""

    def touches(self, text: bytes) -> bool:
        """Tell whether a token of either direction or a certificate may stand in `text`."""
        return self.either.any_in(text)


@lru_cache(256)
def _compile(mapping: Mapping) -> Compiled:
    forward, inverse = Matcher(mapping), Matcher(mapping.inverse())
    windows = host_windows([*forward.names, *inverse.names])
    spellings = [spelling for window in windows for spelling in in_any_case(window)]
    return Compiled(forward, inverse, Literals([*forward.literals, *inverse.literals, *spellings, *_MARKERS]))


_latest: tuple[Mapping, Compiled] | None = None


def compiled(mapping: Mapping) -> Compiled:
    """Return `mapping` compiled, from a cache; the latest one is known without hashing 100 pairs again."""
    global _latest  # noqa: PLW0603  # one reference, replaced whole: threads may race for it, each with a right value
    latest = _latest
    if latest is not None and latest[0] is mapping:
        return latest[1]
    result = _compile(mapping)
    _latest = (mapping, result)
    return result
