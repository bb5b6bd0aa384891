"""The link numbers of files with several names, of which the rules may make different files on the way (pure)."""

from __future__ import annotations

from blake3 import blake3

from syncer.substitution.mapping import Mapping
from syncer.substitution.rules import RuleSet, mapping_key

_BITS = 0x7FFFFFFFFFFFFFFF


class LinkNumbers:
    """Turns the link numbers of one side into those of the other: names under different rules become different files.

    The same step leads there and back, also by the inverse rules: so names that were one file become one again.
    """

    def __init__(self, rules: RuleSet) -> None:
        self.is_uniform = all(rule.paths == ("**",) and not rule.except_paths for rule in rules.rules)
        """The rules say the same of every path: numbers stay as they are."""
        self._masks: dict[Mapping, int] = {}

    def there_and_back(self, link: int, mapping: Mapping | None) -> int:
        """Return the number on the other side of a file that goes there by `mapping`; 0 stays 0, and nothing else."""
        if not link or self.is_uniform or mapping is None:
            return link
        mask = self._masks.get(mapping)
        if mask is None:
            mask = self._masks[mapping] = _mask(mapping)
        # 0 says that a file has one name: the number that would become it stays as it is, which 0 would have become.
        return link ^ mask if link != mask else link


def _mask(mapping: Mapping) -> int:
    inverse = mapping.inverse()
    ways = sorted((mapping_key(inverse), mapping_key(inverse.inverse())))
    return int.from_bytes(blake3(b"".join(ways)).digest(length=8), "big") & _BITS
