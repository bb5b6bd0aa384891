"""Reads what lies between the lines around a certificate or key, where the rewriting leaves everything alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

LARGEST_BLOCK = 256 * 1024
"""Bytes; what opens a block and does not end it within so many is none."""

_BEGIN = re.compile(rb"-----BEGIN [A-Z0-9 ]{1,64}-----")
_END = re.compile(rb"-----END [^\r\n-]{0,64}-{0,5}")
_LONGEST_MARKER = 96


class Block(NamedTuple):
    """One certificate or key."""

    line: int
    """Of its first line, from 1."""
    label: str
    """"CERTIFICATE", "PRIVATE KEY", …"""
    inside: bytes
    """What lies between its first and its last line."""
    whole: bytes


class Blocks:
    """Finds the blocks of one file piece by piece."""

    def __init__(self) -> None:
        self._held = b""
        self._line = 1

    def feed(self, piece: bytes) -> Iterator[Block]:
        """Take a piece; yield the blocks that end in it."""
        text = self._held + piece
        at = 0
        while (begin := _BEGIN.search(text, at)) is not None:
            end = _END.search(text, begin.end())
            if end is None:
                break
            line = self._line + text.count(b"\n", 0, begin.start())
            label = begin[0][len(b"-----BEGIN ") : -5].decode("ascii")
            yield Block(line, label, text[begin.end() : end.start()], text[begin.start() : end.end()])
            at = end.end()
        keep = begin.start() if begin is not None else max(at, len(text) - _LONGEST_MARKER)
        if len(text) - keep > LARGEST_BLOCK:
            keep = len(text) - _LONGEST_MARKER
        self._line += text.count(b"\n", 0, keep)
        self._held = text[keep:]


def names_in(block: Block) -> list[str]:
    """Return the addresses and host names that a certificate was issued for; [] for anything else."""
    if "CERTIFICATE" not in block.label:
        return []
    # Late: only few files hold any.
    from cryptography import x509
    from cryptography.x509.oid import ExtensionOID, NameOID

    try:
        certificate = x509.load_pem_x509_certificate(block.whole)
        common = [str(item.value) for item in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        found = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except x509.ExtensionNotFound:
        return common
    except ValueError:
        # No certificate, or one that only lies about being one: no name can be read from it.
        return []
    assert isinstance(found, x509.SubjectAlternativeName), "asked for by its number"
    names = [str(item.value) for item in found if isinstance(item, x509.DNSName | x509.IPAddress)]
    return list(dict.fromkeys([*common, *names]))
