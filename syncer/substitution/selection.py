"""Chooses the rules that apply to a path of one domain, and puts them together into one mapping."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from syncer.substitution.mapping import HostPair, Mapping, NetworkPair
from syncer.substitution.rule import EVERYWHERE, Direction

if TYPE_CHECKING:
    from syncer.patterns import PatternLines

_MOST_MAPPINGS = 1024
"""Kept of a domain: each set of rules that applies to some file has one."""


class Selection:
    """The rules of one domain, compiled; equal sets of rules give the very same mapping."""

    def __init__(self, directions: Sequence[Direction]) -> None:
        self._always: list[NetworkPair | HostPair] = []
        limited: dict[tuple[tuple[str, ...], tuple[str, ...]], list[NetworkPair | HostPair]] = {}
        for direction in directions:
            paths = (direction.scope.paths, direction.scope.except_paths)
            pairs = self._always if paths == (EVERYWHERE, ()) else limited.setdefault(paths, [])
            pairs.append(direction.pair)
        self._limited = [(*compiled_patterns(*paths), pairs) for paths, pairs in limited.items()]
        self._mappings: dict[int, Mapping | None] = {0: mapping_of(self._always)}
        self.constant = self._mappings[0]
        """The mapping of every path, where none of the rules is limited to paths."""
        self.is_constant = not self._limited

    def mapping(self, path: bytes) -> Mapping | None:
        """Return what the rules come to for the file at `path`, or None where none applies."""
        # As in syncer.patterns, which is not imported where no rule is limited.
        text = path.decode("utf-8", "surrogateescape")
        number = 0
        bit = 1
        for paths, excepted, _ in self._limited:
            if (paths is None or paths.matches(text)) and (excepted is None or not excepted.matches(text)):
                number |= bit
            bit <<= 1
        if number in self._mappings:
            return self._mappings[number]
        applying = [pair for place, (*_, pairs) in enumerate(self._limited) if number >> place & 1 for pair in pairs]
        if len(self._mappings) >= _MOST_MAPPINGS:
            self._mappings = {0: self.constant}
        # Nothing else is put here under this number, whichever thread comes first.
        found = self._mappings[number] = mapping_of([*self._always, *applying])
        return found


def mapping_of(pairs: Iterable[NetworkPair | HostPair]) -> Mapping | None:
    """Return the mapping of `pairs`, most specific first, in one order whatever theirs is; None for no pair."""
    distinct = set(pairs)
    networks = sorted((pair for pair in distinct if isinstance(pair, NetworkPair)), key=_most_specific_first)
    hosts = sorted(pair for pair in distinct if isinstance(pair, HostPair))
    return Mapping(tuple(networks), tuple(hosts)) if distinct else None


def _most_specific_first(pair: NetworkPair) -> tuple[int, ...]:
    return (pair.version, -pair.length, pair.source, pair.target)


def compiled_patterns(
    paths: tuple[str, ...], excepted: tuple[str, ...]
) -> tuple[PatternLines | None, PatternLines | None]:
    """Return the patterns of a scope, ready to be asked; None for those that say nothing."""
    # Imported late: most rules are for every file, and pathspec takes its time.
    from syncer.patterns import PatternLines

    return (
        None if paths == EVERYWHERE else PatternLines(paths),
        PatternLines(excepted) if excepted else None,
    )
