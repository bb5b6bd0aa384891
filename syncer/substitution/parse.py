"""Reads the two sides of a rule: an address, a network or a host name, or what is wrong with it."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import NamedTuple

from syncer.substitution.rule import quoted


class Network(NamedTuple):
    """A network, or an address as a network of full length."""

    version: int
    """4 or 6."""
    value: int
    """The address of the network; its host bits are 0."""
    length: int
    """Bits of the prefix."""

    def __str__(self) -> str:
        """Return it as it is written; an address without its length."""
        address = address_text(self.version, self.value)
        return address if self.length == bits_of(self.version) else f"{address}/{self.length}"


class Name(NamedTuple):
    """A host name without a final dot, in the case that it was written in."""

    text: str

    def __str__(self) -> str:
        """Return it as it is written."""
        return self.text


_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)", re.ASCII)
_LONGEST_NAME = 253
_PREFIX = re.compile(r"[0-9]{1,3}", re.ASCII)
_LIKE_AN_ADDRESS = re.compile(r"[0-9.]+", re.ASCII)
_DOTTED_QUAD = re.compile(r"(?:[0-9]+\.){3}[0-9]+", re.ASCII)

_NO_RULE = "mean the same on every server: remove the rule"
_RESERVED = (
    (4, IPv4Address("0.0.0.0"), 8, f"0.0.0.0 and what belongs to it (0.0.0.0/8), which {_NO_RULE}"),  # noqa: S104
    (4, IPv4Address("127.0.0.0"), 8, f"loopback addresses (127.0.0.0/8), which {_NO_RULE}"),
    (4, IPv4Address("224.0.0.0"), 4, "multicast addresses (224.0.0.0/4), which belong to no server: remove the rule"),
    (4, IPv4Address("240.0.0.0"), 4, f"netmasks and the broadcast address (240.0.0.0/4), which {_NO_RULE}"),
    (6, IPv6Address("::"), 127, f"the unspecified and the loopback address (:: and ::1), which {_NO_RULE}"),
    (6, IPv6Address("::ffff:0:0"), 96, ""),
    (6, IPv6Address("ff00::"), 8, "multicast addresses (ff00::/8), which belong to no server: remove the rule"),
)
"""What no rule may touch: version, network, its length, and the end of the sentence that says why."""


def bits_of(version: int) -> int:
    """Return how many bits an address has."""
    return 32 if version == 4 else 128


def address_text(version: int, value: int) -> str:
    """Return an address as it is written."""
    return str(IPv4Address(value) if version == 4 else IPv6Address(value))


@lru_cache(maxsize=4096)
def parse_side(text: str) -> Network | Name:
    """Return what one side of a rule names.

    Raises ValueError, whose message reads on after the text: "has bits of its host set: …".
    """
    address, slash, prefix = text.partition("/")
    if not slash and ":" not in text and _LIKE_AN_ADDRESS.fullmatch(text) is None:
        return _name(text)
    version, value = _address(address)
    length = bits = bits_of(version)
    if slash:
        if _PREFIX.fullmatch(prefix) is None or int(prefix) > bits:
            raise ValueError(f"has no prefix length that fits: write a number from 0 to {bits} after the slash")
        length = int(prefix)
    network = Network(version, value >> (bits - length) << (bits - length), length)
    if network.value != value:
        raise ValueError(f"has bits of its host set: write {quoted(str(network))}, or the address alone")
    _refuse_reserved(network)
    return network


def _address(text: str) -> tuple[int, int]:
    """Return version and value; raises ValueError as parse_side does."""
    if "%" in text:
        raise ValueError("has a zone, which is a name of this server's interface: write the address without it")
    if text.startswith("["):
        raise ValueError("stands in brackets: write the address alone, without brackets and port")
    if ":" not in text:
        try:
            return 4, int(IPv4Address(text))
        except AddressValueError:
            raise ValueError(f"is not an IPv4 address{_cure(text)}") from None
    host, _, port = text.rpartition(":")
    if ":" not in host and port.isdigit():
        raise ValueError(f"has a port: write {quoted(host)} alone")
    try:
        return 6, int(IPv6Address(text))
    except AddressValueError:
        raise ValueError('is not an IPv6 address: write for example "2001:db8::10" or "2001:db8::/64"') from None


def _cure(text: str) -> str:
    if _DOTTED_QUAD.fullmatch(text) and any(len(part) > 1 and part[0] == "0" for part in text.split(".")):
        return ": write its numbers without leading zeros"
    return ': write for example "10.0.1.10" or "10.1.0.0/16"'


def _refuse_reserved(network: Network) -> None:
    for version, reserved, length, what in _RESERVED:
        shift = bits_of(version) - min(length, network.length)
        if version != network.version or network.value >> shift != int(reserved) >> shift:
            continue
        if what:
            raise ValueError(f"{'is one of' if network.length >= length else 'holds'} {what}")
        if network.length < length:
            raise ValueError(
                "holds the IPv4 addresses that are written as IPv6 (::ffff:0:0/96): write smaller networks"
            )
        plain = Network(4, network.value & 0xFFFFFFFF, network.length - 96)
        raise ValueError(
            f"is an IPv4 address written as IPv6: write {quoted(str(plain))}, which is found in both forms"
        )


def _name(text: str) -> Name:
    """Return a host name; raises ValueError as parse_side does."""
    if "*" in text:
        raise ValueError('has a wildcard: write a network as "10.0.1.0/24", and one rule for each host name')
    if not text.isascii():
        raise ValueError("is not ASCII: write an international name in its form that begins with xn--")
    name = text.removesuffix(".")
    labels = name.split(".")
    if len(name) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
        raise ValueError(
            'is neither an address nor a host name: write for example "10.0.1.10", "10.1.0.0/16", "2001:db8::/64" '
            'or "prod.example.com"'
        )
    if name.lower() == "localhost":
        raise ValueError("means the same on every server: remove the rule")
    return Name(name)
