"""Network addresses as people write them: host:port, an IPv6 address in brackets (pure)."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import NamedTuple

DEFAULT_PORT = 7443
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)", re.ASCII)


class Address(NamedTuple):
    """Where a node listens or is reached; `host` is without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return it as it is written: host:port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str, *, any_port: bool = False) -> Address:
    """Return the host and port of `text`; port 0 only with `any_port`.

    Raises ValueError, whose message reads on after the text: "has no port: …".
    """
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not is_ip(host) or ":" not in host:
            raise ValueError(f'is not an address: write for example "[2001:db8::10]:{DEFAULT_PORT}"')
        if not rest:
            raise ValueError(f'has no port: write for example "{text}:{DEFAULT_PORT}"')
        if not rest.startswith(":"):
            raise ValueError(f'is not an address: write for example "[{host}]:{DEFAULT_PORT}"')
        return Address(host, _parse_port(rest[1:], any_port=any_port))
    if is_ip(text) and ":" in text:
        raise ValueError(f'is an IPv6 address without brackets and port: write "[{text}]:{DEFAULT_PORT}"')
    host, colon, port = text.rpartition(":")
    if not colon:
        _require_host(text)
        raise ValueError(f'has no port: write for example "{text}:{DEFAULT_PORT}"')
    _require_host(host)
    return Address(host, _parse_port(port, any_port=any_port))


def is_ip(host: str) -> bool:
    """Tell whether `host` is an IPv4 or IPv6 address rather than a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _parse_port(text: str, *, any_port: bool) -> int:
    lowest = 0 if any_port else 1
    if re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) is None or not lowest <= int(text) <= 65535:
        raise ValueError(f"has the port {text!r}: a port is a number from {lowest} to 65535")
    return int(text)


def _require_host(host: str) -> None:
    labels = host.removesuffix(".").split(".")
    is_name = len(host) <= 253 and all(_LABEL.fullmatch(label) for label in labels)
    looks_like_ip = all(label.isdigit() for label in labels)
    if not (is_ip(host) if looks_like_ip else is_name):
        raise ValueError(
            f"does not start with a host name or an IP address: "
            f'write for example "10.0.2.10:{DEFAULT_PORT}" or "[2001:db8::10]:{DEFAULT_PORT}"'
        )
