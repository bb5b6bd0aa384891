"""Keeps the end of what a command prints, bounded, redacted and safe to show."""

from __future__ import annotations

from syncer.redaction import redact

KEPT_BYTES = 8192
"""Bytes kept of a command's output; the end of it says why it failed."""


class BoundedOutput:
    """Takes in output as it comes and holds at most KEPT_BYTES of it."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._cut = 0

    def add(self, data: bytes) -> None:
        """Take in the next piece."""
        self._kept += data
        excess = len(self._kept) - KEPT_BYTES
        if excess > 0:
            del self._kept[:excess]
            self._cut += excess

    def text(self) -> str:
        """Return what is shown: whole lines, without control characters and without what looks secret."""
        kept = bytes(self._kept)
        cut = self._cut
        if cut:
            # The rest of a line whose beginning is gone may be a secret whose name is gone.
            begins = kept.find(b"\n") + 1 or len(kept)
            cut += begins
            kept = kept[begins:]
        text = kept.decode("utf-8", "backslashreplace").replace("\r\n", "\n").replace("\t", " ")
        shown = redact("".join(char if char.isprintable() or char == "\n" else "?" for char in text)).strip("\n")
        return f"[{cut} bytes before this are not shown]\n{shown}" if cut else shown
