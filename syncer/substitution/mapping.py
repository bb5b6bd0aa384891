"""What the rules come to for one file: which networks, addresses and host names become which, all at once."""

from __future__ import annotations

from typing import NamedTuple


class NetworkPair(NamedTuple):
    """A network that becomes another one of the same size; host bits are kept. An address is one of full length."""

    version: int
    """4 or 6."""
    source: int
    """The network's address as a number, its host bits 0."""
    target: int
    length: int
    """Bits of the prefix, 0 to 32 or 128."""


class HostPair(NamedTuple):
    """A host name that becomes another one; names below it are other hosts."""

    source: bytes
    """ASCII, lower case, without a final dot; found in any case."""
    target: bytes
    """ASCII, written as it stands here."""


class Mapping(NamedTuple):
    """All pairs that apply to a file, most specific first; one-to-one, as `rules.py` has proved."""

    networks: tuple[NetworkPair, ...] = ()
    hosts: tuple[HostPair, ...] = ()

    def inverse(self) -> Mapping:
        """Return what leads back; of host names the case is lost."""
        return Mapping(
            tuple(NetworkPair(pair.version, pair.target, pair.source, pair.length) for pair in self.networks),
            tuple(HostPair(pair.target.lower(), pair.source) for pair in self.hosts),
        )

    def address(self, version: int, value: int) -> int | None:
        """Return what an address becomes by the most specific pair that covers it, or None where none does."""
        bits = 32 if version == 4 else 128
        for pair in self.networks:
            if pair.version == version and value >> (bits - pair.length) == pair.source >> (bits - pair.length):
                return pair.target | value & ((1 << (bits - pair.length)) - 1)
        return None
