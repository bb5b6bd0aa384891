"""Finds certificates in a file, and reads what they were issued for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

LARGEST_BLOCK = 256 * 1024
"""Bytes that are held: no certificate is larger, and what begins as one may never end."""

_BEGIN = re.compile(rb"-----BEGIN [A-Z0-9 ]{1,64}-----")
# As `substitution/scanner.py` has it, but decided only when the byte behind it is there.
_END = re.compile(rb"-----END [^\r\n-]{0,64}+(?:-{5}|-{0,4}+(?=[^-]))")
_END_OF_ALL = re.compile(rb"-----END [^\r\n-]{0,64}+-{0,5}")
_LONGEST_MARKER = 96


class Block(NamedTuple):
    """One certificate or key."""

    line: int
    """Of its first line, from 1."""
    whole: bytes


class Blocks:
    """Finds the blocks of one file piece by piece."""

    def __init__(self) -> None:
        self._held = b""
        self._line = 1
        self._is_skipping = False
        """Whether only the end is looked for, of what is too large to be a certificate."""

    def feed(self, piece: bytes) -> Iterator[Block]:
        """Take a piece; yield the blocks that end in it."""
        return self._read(self._held + piece, final=False)

    def finish(self) -> Iterator[Block]:
        """Yield the last block, where the file ends with it."""
        return self._read(self._held, final=True)

    def _read(self, text: bytes, *, final: bool) -> Iterator[Block]:
        at = 0
        while True:
            begin = None if self._is_skipping else _BEGIN.search(text, at)
            if begin is None and not self._is_skipping:
                keep = max(at, len(text) - _LONGEST_MARKER)
                break
            first, start = (at, at) if begin is None else (begin.start(), begin.end())
            end = (_END_OF_ALL if final else _END).search(text, start)
            if end is None:
                self._is_skipping |= len(text) - first > LARGEST_BLOCK
                keep = max(first, len(text) - _LONGEST_MARKER) if self._is_skipping else first
                break
            if begin is not None:
                yield Block(self._line + text.count(b"\n", 0, first), text[first : end.end()])
            self._is_skipping, at = False, end.end()
        self._line += text.count(b"\n", 0, keep)
        self._held = text[keep:]


def names_in(block: Block) -> list[str]:
    """Return the addresses and host names that a certificate was issued for; [] for anything else."""
    # What begins the block may be a mention in a comment: the last beginning is the certificate's own.
    pem = block.whole[max(block.whole.rfind(b"-----BEGIN "), 0) :]
    if b"CERTIFICATE" not in pem[:_LONGEST_MARKER]:
        return []
    # Late: only few files hold any.
    from cryptography import x509
    from cryptography.x509.oid import ExtensionOID, NameOID

    try:
        certificate = x509.load_pem_x509_certificate(pem)
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
