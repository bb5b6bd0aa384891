"""Finds where given addresses, networks and host names stand as tokens in a file, with their lines."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from syncer.substitution.encoding import Kind, kind_of
from syncer.substitution.mapping import HostPair, Mapping, NetworkPair
from syncer.substitution.matcher import Matcher
from syncer.substitution.passage import Head, Passage
from syncer.substitution.scanner import Scanner, Span


class Found(NamedTuple):
    """One token; `offset` counts bytes, `line` from 1, and is 0 in a binary file."""

    offset: int
    line: int
    text: str
    """As it is spelled in the file."""
    address: str
    """In its usual form."""
    enclosed: bool = False
    """Whether it stands in what begins as a certificate or key, which the rewriting leaves alone."""


@lru_cache(64)
def _matcher(networks: frozenset[tuple[int, int, int]], hosts: frozenset[bytes]) -> Matcher:
    # What becomes itself is found, and nothing is lost of how specific it is.
    pairs = [_itself(*network) for network in networks]
    mapping = Mapping(
        tuple(sorted(pairs, key=lambda pair: -pair.length)),
        tuple(HostPair(host.lower(), host.lower()) for host in sorted(hosts)),
    )
    return Matcher(mapping, keep_unchanged=True)


def _itself(version: int, address: int, length: int) -> NetworkPair:
    host_bits = (32 if version == 4 else 128) - length
    network = address >> host_bits << host_bits
    return NetworkPair(version, network, network, length)


class Finder:
    """Searches one file piece by piece; tokens are what the rewriting takes for tokens, in binary files too."""

    def __init__(self, networks: Iterable[tuple[int, int, int]], hosts: Iterable[bytes]) -> None:
        """Look for addresses in `networks` (version, address without host bits, prefix length) and for `hosts`."""
        self._matcher = _matcher(frozenset(networks), frozenset(hosts))
        self._head = Head()
        self._passage: Passage | None = None
        self._binary = False
        self._line = 1

    def feed(self, piece: bytes) -> list[Found]:
        """Take a piece; return what was found and is decided."""
        if self._passage is None:
            head = self._head.feed(piece)
            if head is None:
                return []
            self._passage, piece = self._begin(head), head
        return self._search(self._passage, piece)

    def finish(self) -> list[Found]:
        """Return the rest."""
        found: list[Found] = []
        if self._passage is None:
            head = self._head.rest()
            self._passage = self._begin(head)
            found = self._search(self._passage, head)
        return found + self._advance(self._passage, b"", final=True)

    def _begin(self, head: bytes) -> Passage:
        self._binary = kind_of(head) is Kind.BINARY
        return Passage(Scanner(self._matcher, tells_enclosed=True), head, is_text=True)

    def _search(self, passage: Passage, piece: bytes) -> list[Found]:
        return [found for block in passage.blocks(piece) for found in self._advance(passage, block, final=False)]

    def _advance(self, passage: Passage, block: bytes, *, final: bool) -> list[Found]:
        passage.extend(block)
        found = [self._place(passage, span) for span in passage.scanner.settle(final=final)]
        self._count_lines(passage, passage.scanner.done)
        return found

    def _place(self, passage: Passage, span: Span) -> Found:
        self._count_lines(passage, span.start)
        line = 0 if self._binary else self._line
        text, address = span.text.decode("ascii"), span.image.decode("ascii")
        return Found(passage.offset(span.start), line, text, address, span.enclosed)

    def _count_lines(self, passage: Passage, end: int) -> None:
        self._line += passage.scanner.cut(passage.at, end).count(b"\n")
        passage.take(end)
