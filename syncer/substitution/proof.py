"""Proves that rules which can meet are one-to-one and lead back, or names those that are not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from syncer.substitution.mapping import HostPair, NetworkPair
from syncer.substitution.parse import address_text, bits_of
from syncer.substitution.rule import Direction, Flaw, Rule
from syncer.substitution.scope import covers, meet

_MOST_STEPS = 200_000
"""Comparisons of a proof, about 10 µs each; thousands of rules that differ in their paths only could take minutes."""

_Block = tuple[int, int, int]
"""Version, prefix length, and the bits of the prefix: a network as a key."""


class _TooEntangledError(Exception):
    """The proof would take too long."""


def flaws_of(rules: Sequence[Rule], directions: Iterable[Direction]) -> list[Flaw]:
    """Return one flaw for each rule that contradicts an earlier one, in the order of the rules.

    The most specific rule that covers an address decides. Rules are one-to-one and lead back where no address that
    becomes another one lies, when it is looked up the other way, below a more specific rule's target.
    """
    found: dict[int, Flaw] = {}
    proof = _Proof(rules, list(directions))
    try:
        for flaw in proof.flaws():
            found.setdefault(flaw.rule, flaw)
    except _TooEntangledError:
        text = "stands among too many rules for the same addresses: limit fewer of them to paths"
        found.setdefault(len(rules) - 1, Flaw(len(rules) - 1, "", text))
    return [found[rule] for rule in sorted(found)]


def leads_back(directions: Iterable[Direction]) -> bool:
    """Tell whether rules are one-to-one; False also where that would take too long to find out."""
    try:
        return next(_Proof((), list(directions)).flaws(), None) is None
    except _TooEntangledError:
        return False


class _Proof:
    def __init__(self, rules: Sequence[Rule], directions: list[Direction]) -> None:
        self._rules = rules
        self._steps = 0
        self._sources: dict[_Block, list[Direction]] = defaultdict(list)
        self._targets: dict[_Block, list[Direction]] = defaultdict(list)
        self._host_sources: dict[bytes, list[Direction]] = defaultdict(list)
        self._host_targets: dict[bytes, list[Direction]] = defaultdict(list)
        self._networks: list[tuple[NetworkPair, Direction]] = []
        self._lengths: dict[int, list[int]] = {4: [], 6: []}
        for direction in directions:
            pair = direction.pair
            if isinstance(pair, HostPair):
                self._host_sources[pair.source].append(direction)
                self._host_targets[pair.target.lower()].append(direction)
            else:
                self._networks.append((pair, direction))
                self._sources[_block(pair.version, pair.source, pair.length)].append(direction)
                self._targets[_block(pair.version, pair.target, pair.length)].append(direction)
        for version in self._lengths:
            self._lengths[version] = sorted({pair.length for pair, _ in self._networks if pair.version == version})

    def flaws(self) -> Iterator[Flaw]:
        """Yield flaws, a rule perhaps more than once."""
        for group in (*self._sources.values(), *self._host_sources.values()):
            yield from self._two_targets(group)
        for group in self._host_targets.values():
            yield from self._two_sources(group)
        for pair, direction in self._networks:
            yield from self._lost(pair, direction)

    def _two_targets(self, group: Sequence[Direction]) -> Iterator[Flaw]:
        """Yield those of one source that give it another target than an earlier one."""
        for position, direction in enumerate(group):
            for other in group[:position]:
                if other.pair.target != direction.pair.target and self._meet(direction, other):
                    text = f"{self._also(other, direction)} gives {_side(direction.pair)} another target"
                    yield Flaw(direction.rule, direction.key, f"{text}: remove one of them, or let them not meet")
                    break

    def _two_sources(self, group: Sequence[Direction]) -> Iterator[Flaw]:
        """Yield those of one host name as target that lead there from another source than an earlier one."""
        for position, direction in enumerate(group):
            for other in group[:position]:
                if other.pair.source != direction.pair.source and self._meet(direction, other):
                    sources = _side(direction.pair), _side(other.pair)
                    yield self._collision(direction, other, sources, _side(direction.pair, target=True))
                    break

    def _lost(self, pair: NetworkPair, direction: Direction) -> Iterator[Flaw]:
        """Yield a flaw for each rule, as wide or wider, of which addresses become such as lead back by this one."""
        for length in self._lengths[pair.version]:
            if length > pair.length:
                break
            for wider in self._targets.get(_block(pair.version, pair.target, length), ()):
                other = wider.pair
                assert isinstance(other, NetworkPair)
                if (other.source, length) == (pair.source, pair.length) or not self._meet(direction, wider):
                    continue
                # Where the wider rule's source would have to lie to become this rule's target.
                start = other.source | (pair.target ^ other.target)
                lost = self._uncovered(start, pair, wider, direction)
                if lost is None:
                    continue
                offset = lost - start
                sources = address_text(pair.version, pair.source + offset), address_text(pair.version, lost)
                yield self._collision(direction, wider, sources, address_text(pair.version, pair.target + offset))

    def _uncovered(self, start: int, pair: NetworkPair, wider: Direction, narrower: Direction) -> int | None:
        """Return the first address of a block of the size of `pair` that no rule more specific than `wider` takes."""
        bits = bits_of(pair.version)
        position, end = start, start + (1 << (bits - pair.length))
        assert isinstance(wider.pair, NetworkPair)
        lengths = [length for length in self._lengths[pair.version] if length > wider.pair.length]
        while position < end:
            for length in lengths:
                self._step()
                taking = self._sources.get(_block(pair.version, position, length), ())
                if any(covers(one.scope, wider.scope, narrower.scope) for one in taking):
                    position = (position >> (bits - length)) + 1 << (bits - length)
                    break
            else:
                return position
        return None

    def _meet(self, first: Direction, second: Direction) -> bool:
        self._step()
        return meet(first.scope, second.scope)

    def _step(self) -> None:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise _TooEntangledError

    def _collision(self, first: Direction, second: Direction, sources: tuple[str, str], target: str) -> Flaw:
        later, earlier = (first, second) if first.rule >= second.rule else (second, first)
        mine, its = sources if later is first else sources[::-1]
        key = "to" if later.key == "from" else later.key
        both = f"so that {mine} and {its} would both become {target}"
        return Flaw(later.rule, key, f"{self._also(earlier, later)} leads there too, {both}: let only one lead there")

    def _also(self, other: Direction, direction: Direction) -> str:
        if other.rule == direction.rule:
            return "this rule itself"
        return f"the rule {self._rules[other.rule]}" if self._rules else "another rule"


def _block(version: int, value: int, length: int) -> _Block:
    return version, length, value >> (bits_of(version) - length)


def _side(pair: NetworkPair | HostPair, *, target: bool = False) -> str:
    side = pair.target if target else pair.source
    if isinstance(side, bytes):
        return side.decode("ascii")
    assert isinstance(pair, NetworkPair)
    address = address_text(pair.version, side)
    return address if pair.length == bits_of(pair.version) else f"{address}/{pair.length}"
