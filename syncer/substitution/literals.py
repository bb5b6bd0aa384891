"""Chooses byte strings that every token of a mapping contains, and looks for many of them at once.

The fixed octets of an IPv4 network, the first group of an IPv6 network, a piece of a host name: where none stands, no
token does. `ahocorasick-rs` compares up to 28 literals with SIMD instructions at 8 to 13 GB/s, in any text;
`bytes.find` reaches 2 GB/s for each literal, `re` 0.2 GB/s for a name in any case. Above 32 literals the library falls
back to an automaton of 0.6 GB/s, so more literals are more passes.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from ahocorasick_rs import BytesAhoCorasick, MatchKind

from syncer.substitution.mapping import NetworkPair
from syncer.substitution.spelling import write_ipv4

# With three different first bytes or fewer the library prefers a search for those bytes alone, which falls to
# 0.2 GB/s where they are frequent (digits in a log). These bytes are in no UTF-8 text; a hit on one is no harm.
_PADDING = [bytes([0xF8 + number, 0xFF - number] * 2) for number in range(4)]
_AT_ONCE = 32 - len(_PADDING)

_WINDOW = 4
_NAMES_WITH_OWN_WINDOW = 16


class Literals:
    """A set of byte strings that is looked for in few passes."""

    __slots__ = ("_automata",)

    def __init__(self, literals: Iterable[bytes]) -> None:
        ordered = sorted(set(literals))
        # The padding comes first, so that a hit's number tells it.
        self._automata = [
            BytesAhoCorasick([*_PADDING, *ordered[first : first + _AT_ONCE]], matchkind=MatchKind.LeftmostLongest)
            for first in range(0, len(ordered), _AT_ONCE)
        ]

    def places(self, text: bytes) -> list[tuple[int, int]]:
        """Return start and end of where literals stand, those of one pass not overlapping."""
        return [
            (start, end)
            for part in self._automata
            for number, start, end in part.find_matches_as_indexes(text)
            if number >= len(_PADDING)
        ]

    def any_in(self, text: bytes) -> bool:
        """Tell whether one may stand in `text`."""
        for part in self._automata:  # noqa: SIM110  # a generator would cost more than the search in a small file
            if part.find_matches_as_indexes(text):
                return True
        return False


def ipv4_literals(pair: NetworkPair) -> list[bytes]:
    """Return what an address of the network begins with; where no octet is fixed, a digit and a dot."""
    octets = pair.length // 8
    if not octets:
        return [b"%d." % digit for digit in range(10)]
    fixed = write_ipv4(pair.source).split(b".")[:octets]
    return [b".".join(fixed) + (b"." if octets < 4 else b"")]


def ipv6_literals(pair: NetworkPair) -> list[bytes]:
    """Return what an address of the network begins with, leading zeros aside, in lower case."""
    first = f"{pair.source >> 112:04x}"
    if pair.length >= 16:
        group = first.lstrip("0")
        return [f"{group}:".encode()] if group else [b"::", b"0:"]
    nibbles, rest = divmod(pair.length, 4)
    if not nibbles or first[0] == "0":
        return [b":"]
    if not rest:
        return [first[:nibbles].encode()]
    lowest = int(first[nibbles], 16)
    return [f"{first[:nibbles]}{lowest + more:x}".encode() for more in range(1 << (4 - rest))]


def in_any_case(literal: bytes) -> list[bytes]:
    """Return all spellings of a lower-case literal: cheaper to look for than to put a text in lower case."""
    choices = [(byte, byte - 32) if 97 <= byte <= 122 else (byte,) for byte in literal]
    return [bytes(spelling) for spelling in product(*choices)]


def host_windows(names: Iterable[bytes]) -> set[bytes]:
    """Return short pieces, in lower case, so that each name contains one: few letters, few pieces for many names."""
    windows = {name: _windows(name) for name in names}
    if len(windows) <= _NAMES_WITH_OWN_WINDOW:
        return {min(pieces, key=_cost) for pieces in windows.values()}
    chosen: set[bytes] = set()
    while windows:
        covered: dict[bytes, int] = {}
        for pieces in windows.values():
            for piece in pieces:
                covered[piece] = covered.get(piece, 0) + 1
        best = max(covered, key=lambda piece: (covered[piece] / _cost(piece)[0], piece))
        chosen.add(best)
        windows = {name: pieces for name, pieces in windows.items() if best not in pieces}
    return chosen


def _windows(name: bytes) -> list[bytes]:
    """Return pieces of a name from its first label and the dot behind: the rest is shared with other names."""
    size = min(len(name), _WINDOW)
    last = max(name.find(b".") + 1, size)
    return list(
        dict.fromkeys(
            name[start : start + size] for start in range(max(1, last - size + 2)) if start + size <= len(name)
        )
    )


def _cost(piece: bytes) -> tuple[int, bytes]:
    return 2 ** sum(97 <= byte <= 122 for byte in piece), piece
