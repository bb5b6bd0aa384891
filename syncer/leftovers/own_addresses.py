"""By what this machine is reached: the addresses of its interfaces, and its host name."""

from __future__ import annotations

import logging
import re
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

from syncer.substitution.parse import parse_side

log = logging.getLogger(__name__)

MOST = 256
"""Addresses; the protocol lets no more through."""

_ANSWER_SECONDS = 2.0
_RTM_NEWADDR, _RTM_GETADDR = 20, 22
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_REQUEST_DUMP = 0x301
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_SCOPE_LINK = 253
"""Scopes from here on mean nothing to another machine: link, host, nowhere."""
_HEADER = struct.Struct("=LHHLL")
_ADDRESS = struct.Struct("=BBBBL")
_ATTRIBUTE = struct.Struct("=HH")
# `prod` is a word that stands in many files; `prod-a`, `web01` and `prod.example.com` are names.
_TELLING = re.compile(r"[.\d-]")


def own_addresses() -> tuple[str, ...]:
    """Return the addresses of the interfaces, without loopback and link-local ones, and the host name.

    A host name of letters alone is left out: it would be found in texts that do not mean it. Where the kernel does
    not tell the addresses, that is logged, and there are none. A machine with more than MOST is searched for these.
    """
    found = {str(address) for address in _asked_of_the_kernel()}
    name = socket.gethostname()
    if _TELLING.search(name):
        found.add(name.lower())
    return tuple(sorted(text for text in found if _is_ours(text)))[:MOST]


def _is_ours(text: str) -> bool:
    """Tell whether it means this machine alone; what no rule may name means the same on every server."""
    try:
        parse_side(text)
    except ValueError:
        return False
    return True


def _asked_of_the_kernel() -> list[IPv4Address | IPv6Address]:
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as asking:
            asking.settimeout(_ANSWER_SECONDS)
            length = _HEADER.size + _ADDRESS.size
            asking.send(_HEADER.pack(length, _RTM_GETADDR, _REQUEST_DUMP, 1, 0) + _ADDRESS.pack(0, 0, 0, 0, 0))
            return list(_answers(asking))
    except OSError as error:
        log.warning("the addresses of this machine cannot be told, so that none of them is looked for: %s", error)
        return []


def _answers(asking: socket.socket) -> Iterator[IPv4Address | IPv6Address]:
    while True:
        data = asking.recv(1 << 16)
        at = 0
        while at + _HEADER.size <= len(data):
            length, kind, *_ = _HEADER.unpack_from(data, at)
            if kind == _NLMSG_DONE:
                return
            if kind == _NLMSG_ERROR or length < _HEADER.size:
                raise OSError("the kernel refused to list addresses")
            if kind == _RTM_NEWADDR:
                address = _address_in(data[at + _HEADER.size : at + length])
                if address is not None and not address.is_link_local and not address.is_loopback:
                    yield address
            at += (length + 3) & ~3


def _address_in(message: bytes) -> IPv4Address | IPv6Address | None:
    _, _, _, scope, _ = _ADDRESS.unpack_from(message)
    found: dict[int, bytes] = {}
    at = _ADDRESS.size
    while at + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, at)
        if length < _ATTRIBUTE.size:
            break
        found[kind] = message[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
    # On a link between two, IFA_ADDRESS is the other end.
    packed = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS)
    return None if packed is None or scope >= _SCOPE_LINK else ip_address(packed)
