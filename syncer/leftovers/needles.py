"""What is looked for: production's addresses, from the rules, its own interfaces, and the command line (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple

from syncer.errors import ConfigurationError
from syncer.substitution.finder import Finder
from syncer.substitution.mapping import HostPair, Mapping, NetworkPair
from syncer.substitution.normal import directions_of
from syncer.substitution.parse import Name, Network, parse_side
from syncer.substitution.rule import Rule


class _Sides(NamedTuple):
    networks: frozenset[tuple[int, int, int]]
    """Version, address without host bits, length of the prefix."""
    hosts: frozenset[bytes]
    """Lower case."""


class Needles:
    """The addresses and names of one search."""

    def __init__(self, rules: Iterable[Rule], own: Iterable[str] = (), asked: Iterable[str] = ()) -> None:
        """Look for what `rules` (in their normal form) begin with, for `own` addresses, and for those `asked` for.

        Raises ConfigurationError where one that was asked for is none.
        """
        directions = [one for number, rule in enumerate(rules) for one in directions_of(number, rule)]
        sources = _sides_of(one.pair for one in directions)
        mine = _sides(_side(text) for text in own)
        self.asked = _sides(_asked(asked))
        self._all = _Sides(
            sources.networks | mine.networks | self.asked.networks, sources.hosts | mine.hosts | self.asked.hosts
        )

    def __bool__(self) -> bool:
        """Tell whether anything is looked for."""
        return bool(self._all.networks or self._all.hosts)

    @cached_property
    def key(self) -> _Sides:
        """Equal for searches that look for the same."""
        return self._all

    @cached_property
    def mapping(self) -> Mapping:
        """What tells quickly that a file holds none of them; it makes each become itself."""
        return Mapping(
            tuple(NetworkPair(version, value, value, length) for version, value, length in sorted(self._all.networks)),
            tuple(HostPair(host, host) for host in sorted(self._all.hosts)),
        )

    def finder(self) -> Finder:
        """Return what searches one file."""
        return Finder(self._all.networks, self._all.hosts)

    def was_asked(self, address: str) -> bool:
        """Tell whether the command line named this address, or a network around it."""
        side = _side(address)
        if isinstance(side, Name):
            return side.text.lower().encode("ascii") in self.asked.hosts
        return side is not None and any(
            version == side.version and side.value >> (_bits(version) - length) == value >> (_bits(version) - length)
            for version, value, length in self.asked.networks
        )


def _sides_of(pairs: Iterable[NetworkPair | HostPair]) -> _Sides:
    found = list(pairs)
    return _Sides(
        frozenset((pair.version, pair.source, pair.length) for pair in found if isinstance(pair, NetworkPair)),
        frozenset(pair.source for pair in found if isinstance(pair, HostPair)),
    )


def _sides(sides: Iterable[Network | Name | None]) -> _Sides:
    found = list(sides)
    return _Sides(
        frozenset((side.version, side.value, side.length) for side in found if isinstance(side, Network)),
        frozenset(side.text.lower().encode("ascii") for side in found if isinstance(side, Name)),
    )


def _side(text: str) -> Network | Name | None:
    try:
        return parse_side(text)
    except ValueError:
        return None


def _asked(texts: Iterable[str]) -> list[Network | Name]:
    found: list[Network | Name] = []
    errors = []
    for text in texts:
        try:
            found.append(parse_side(text))
        except ValueError as error:
            errors.append(f"--address {text!a} {error}")
    if errors:
        raise ConfigurationError(*errors)
    return found


def _bits(version: int) -> int:
    return 32 if version == 4 else 128
