"""Takes out of a command's output what looks like a secret (pure)."""

from __future__ import annotations

import re

REDACTED = "[redacted]"

_NAMES = r"pass(?:word|wd|phrase|code)?|pwd|secret|token|credentials?|api[_-]?key|access[_-]?key|private[_-]?key|psk"
_ASSIGNED = re.compile(
    rf"(?P<name>[\w.-]*(?:{_NAMES})[\w.-]*[\"']?)(?P<between>\s*(?:=>|[:=])\s*)(?P<value>\S.*)", re.IGNORECASE
)
"""The whole rest of the line goes: where a value ends, only its own program knows."""
_SPOKEN = re.compile(
    rf"(?P<name>(?<![\w./-])(?:{_NAMES}))(?P<between>\s+)(?P<value>[\"']?[^\s\"']*\d[^\s]*)", re.IGNORECASE
)
_HEADER = re.compile(
    r"(?P<name>(?:proxy-)?authorization|(?:set-)?cookie)(?P<between>\s*:\s*)(?P<value>\S.*)", re.IGNORECASE
)
_SCHEME = re.compile(r"(?P<name>\b(?:bearer|basic))(?P<between>\s+)(?P<value>[A-Za-z0-9+/._~=-]{8,})", re.IGNORECASE)
_IN_URL = re.compile(r"(?P<name>[a-z][a-z0-9+.-]*://[^\s/:@]*)(?P<between>:)(?P<value>[^\s/@]+)(?=@)", re.IGNORECASE)
_NAMED = (_HEADER, _ASSIGNED, _SPOKEN, _SCHEME, _IN_URL)

_PEM_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]+-----")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]+-----")
_ENCODED_LINE = re.compile(r"\s*[A-Za-z0-9+/=_-]{40,}\s*")
_RANDOM = re.compile(r"(?<![\w/.+=-])(?=[\w+=-]*\d)(?=[\w+=-]*[A-Za-z])[\w+=-]{32,}(?![\w/.])")
"""Long, letters and digits mixed, no path: a digest at best, a key at worst."""


def redact(text: str) -> str:
    """Return `text` with keys, passwords, tokens and PEM blocks replaced; lines keep their order."""
    kept: list[str] = []
    in_block = False
    for line in text.split("\n"):
        if _PEM_END.search(line):
            if not in_block:
                # What is left of a block whose beginning was cut off.
                while kept and _ENCODED_LINE.fullmatch(kept[-1]):
                    kept.pop()
                kept.append(REDACTED)
            in_block = False
        elif _PEM_BEGIN.search(line):
            in_block = True
            kept.append(REDACTED)
        elif not in_block:
            kept.append(_redact_line(line))
    return "\n".join(kept)


def _redact_line(line: str) -> str:
    if _ENCODED_LINE.fullmatch(line) and any(c.isdigit() for c in line) and any(c.isalpha() for c in line):
        return REDACTED
    for pattern in _NAMED:
        line = pattern.sub(rf"\g<name>\g<between>{REDACTED}", line)
    return _RANDOM.sub(REDACTED, line)
