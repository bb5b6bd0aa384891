"""Looks for production's addresses in text, by another way than syncer's: what the tests hold its rewriting against."""

from __future__ import annotations

import codecs
import ipaddress
import re
from pathlib import Path

PRODUCTION_NETWORKS = (ipaddress.ip_network("10.71.0.0/16"), ipaddress.ip_network("2001:db8:71::/48"))
PRODUCTION_NAME = "prod.example.com"

# Wider than an address: what is none of it is sorted out by the parser.
CANDIDATE = re.compile(r"(?<![\w.:])[0-9A-Fa-f:.]*[.:][0-9A-Fa-f:.]*[0-9A-Fa-f:](?![\w])(?!\.\w)")
NAME = re.compile(rf"(?<![\w.-]){re.escape(PRODUCTION_NAME)}(?![\w-])(?!\.\w)", re.IGNORECASE)


def text_of(data: bytes) -> str:
    """Return a file as text, one character a byte where its encoding is not told by a mark."""
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding)
    return data.decode("latin-1")


def production_in(data: bytes) -> list[str]:
    """Return each address of production's networks, and each mention of its name, in the order of the text."""
    text = text_of(data)
    found = [(match.start(), match[0]) for match in NAME.finditer(text)]
    for match in CANDIDATE.finditer(text):
        found += [(match.start(), word) for word in _addresses(match[0]) if _is_productions(word)]
    return [word for _, word in sorted(found)]


def files_naming_production(tree: Path) -> dict[str, list[str]]:
    """Return what `production_in` finds in each regular file of a tree that it finds anything in."""
    found = {
        str(path.relative_to(tree)): production_in(path.read_bytes())
        for path in sorted(tree.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
    return {path: words for path, words in found.items() if words}


def _addresses(word: str) -> list[str]:
    """Return the addresses that a run of digits, dots and colons may be, without the port, full stop or label."""
    word = word.strip(".") if "::" in word else word.strip(".:")
    return [part for part in {word, *([] if "::" in word else word.split(":"))} if part]


def _is_productions(word: str) -> bool:
    try:
        address = ipaddress.ip_address(word)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return any((mapped or address) in network for network in PRODUCTION_NETWORKS)
