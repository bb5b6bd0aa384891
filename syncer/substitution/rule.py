"""One substitution rule as it is configured, what can be wrong with it, and one direction of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from syncer.errors import ConfigurationError
from syncer.substitution.mapping import HostPair, NetworkPair

EVERYWHERE = ("**",)
_LONGEST_SHOWN = 60


class Rule(NamedTuple):
    """One table [[failover.substitute]], as configured."""

    source: str
    """"10.0.1.10", "10.1.0.0/16", "2001:db8::/64" or "prod.example.com"."""
    target: str
    """Of the same kind and size as `source`."""
    swap: bool = False
    """Whether `target` becomes `source` too."""
    domains: tuple[str, ...] = ()
    """Names; () means all."""
    except_domains: tuple[str, ...] = ()
    paths: tuple[str, ...] = EVERYWHERE
    """Gitignore syntax, relative to the domain's root; the last pattern that matches decides."""
    except_paths: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return what becomes what, as a person writes it, less the final dot of a host name."""
        source, target = (_plain(side.removesuffix(".")) for side in (self.source, self.target))
        return f"{source} {'↔' if self.swap else '→'} {target}"


class Flaw(NamedTuple):
    """Something that is wrong with a rule."""

    rule: int
    """Its place among the rules, from 0."""
    key: str
    """The key of the configuration: "from", "to", "swap", "domains", …; "" for the rule as a whole."""
    text: str
    """Reads on after the key: "is …: write …"."""


class RulesError(ConfigurationError):
    """Rules are wrong by themselves or do not fit together; carries every flaw found at once."""

    def __init__(self, flaws: Sequence[Flaw]) -> None:
        super().__init__(*(f"rule {flaw.rule + 1}{flaw.key and f', {flaw.key}'}: {flaw.text}" for flaw in flaws))
        self.flaws = tuple(flaws)


class Scope(NamedTuple):
    """Where a rule applies: in which domains, and to which paths of them."""

    domains: tuple[str, ...] = ()
    except_domains: tuple[str, ...] = ()
    paths: tuple[str, ...] = EVERYWHERE
    except_paths: tuple[str, ...] = ()


class Direction(NamedTuple):
    """One direction of a rule; a rule that swaps has two."""

    rule: int
    key: str
    """The key that a contradiction of its source is put to."""
    pair: NetworkPair | HostPair
    scope: Scope


def quoted(text: str) -> str:
    """Return `text` in quotes, short enough for a sentence, without control characters."""
    return f'"{_plain(text)}"'


def _plain(text: str) -> str:
    plain = "".join(letter if letter.isprintable() else "?" for letter in text[:_LONGEST_SHOWN])
    return f"{plain}…" if len(text) > _LONGEST_SHOWN else plain
