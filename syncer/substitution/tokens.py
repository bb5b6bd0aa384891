"""Says where an address or a host name stands by itself in a text, and where it only looks like one."""

from __future__ import annotations

import re

LONGEST_HOST = 255
"""Bytes; the rules refuse longer names."""
REACH_BEFORE = 128
"""Bytes in front of a token that can decide about it."""
REACH_AFTER = 128
"""The same, behind it."""

_DIGITS = b"0123456789"
_HEXADECIMAL = b"0123456789abcdefABCDEF"
_HEXADECIMAL_OR_COLON = _HEXADECIMAL + b":"
_WORD = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_."
_BASE64 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+/="
_BASE64_RUN = 64
"""The shortest base64 that is no path: an ed25519 key has 68 characters, a line of a certificate 64."""
_WORD_REACH = 64
_LONGEST_COLON_RUN = 56
"""An IPv6 address has 45 characters at most; a word's end with its colon may lean on it on both sides."""

# A line end in a JSON or C string, or an escape of a URL, is no letter of what follows it.
_ESCAPED = rb"(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2})"
# `-l10.0.0.1` is a short option with its value.
_BEFORE_ADDRESS = rb"(?:(?<![0-9A-Za-z_.%])|(?<=\.\.)|" + _ESCAPED + rb"|(?<=[\s\"'=]-[A-Za-z]))"
# A leading zero means octal in places: no address.
_OCTET = rb"(?:0|[1-9][0-9]{0,2})"
_QUAD = _OCTET + rb"(?:\." + _OCTET + rb"){3}"
# `10.0.0.1-rc2` and `10.0.0.1-2ubuntu1` are versions and names; `10.0.0.1-10.0.0.9` and `10.0.0.1-fe80::1` are ranges.
_AFTER_QUAD = rb"(?![0-9A-Za-z_])(?!\.[0-9A-Za-z_])(?!-(?![0-9A-Fa-f]{0,4}:)[0-9.]{0,15}[A-Za-z_])"
_IPV4 = re.compile(_BEFORE_ADDRESS + _QUAD + _AFTER_QUAD)
_TAIL = re.compile(_QUAD + _AFTER_QUAD)
_COLON_RUN = re.compile(rb"[0-9A-Fa-f:]*")
_BEFORE_IPV6 = re.compile(_BEFORE_ADDRESS)
_AFTER_IPV6 = re.compile(rb"(?![0-9A-Za-z_:])(?!\.[0-9A-Za-z_])|(?=:)")

# A letter beyond ASCII beside a name makes it a longer name; typographic quotes, spaces and brackets do not, neither
# in UTF-8 nor, as single bytes, in latin-1.
_PUNCTUATION_BEFORE = (
    rb"(?<=\xc2[\xa0-\xbf])|(?<=\xe2\x80[\x80-\xbf])|(?<=\xe3\x80[\x80-\xbf])|(?<=\xef[\xbb-\xbd][\x80-\xbf])"
    rb"|(?<=(?<![\x80-\xff])[\x80-\xbf])"
)
_PUNCTUATION_AFTER = rb"\xc2[\xa0-\xbf]|\xe2\x80[\x80-\xbf]|\xe3\x80[\x80-\xbf]|\xef[\xbb-\xbd][\x80-\xbf]|[\x80-\xbf]"
# `$prod` and `${prod}` are variables.
_BEFORE_HOST = re.compile(
    rb"(?:(?<![0-9A-Za-z_.\-%$\x80-\xff])(?<!\$\{)|" + _ESCAPED + rb"|" + _PUNCTUATION_BEFORE + rb")"
)
_AFTER_HOST = re.compile(rb"(?![0-9A-Za-z_\-])(?!\.[0-9A-Za-z_\-])(?:(?![\x80-\xff])|(?=" + _PUNCTUATION_AFTER + rb"))")


def ipv4_at(text: bytes, start: int) -> int:
    """Return where the IPv4 address that starts at `start` ends, 0 where none does."""
    match = _IPV4.match(text, start)
    if match is None or (text[start - 1 : start] == b"-" and not _may_end_range(text, start - 1)):
        return 0
    return match.end()


def ipv6_around(text: bytes, position: int) -> tuple[int, int, int]:
    """Return start and end of the IPv6 address written around `position`, and where its hex-colon run ends.

    Start and end are 0 where the run cannot be one. The run's end lets a caller skip the rest of it.
    """
    start = position - _trailing(text, position, _LONGEST_COLON_RUN, _HEXADECIMAL_OR_COLON)
    run = _COLON_RUN.match(text, position)
    end = run_end = run.end() if run else position
    if end - start > _LONGEST_COLON_RUN:
        return 0, 0, run_end
    start = _without_word_before(text, start, end)
    end = _without_word_after(text, start, end)
    if start < 0 or end - start < 2 or _BEFORE_IPV6.match(text, start) is None:
        return 0, 0, run_end
    if text[start - 1 : start] == b"-" and not _may_end_range(text, start - 1):
        return 0, 0, run_end
    if text[end : end + 1] == b".":
        tail = _TAIL.match(text, text.rfind(b":", start, end) + 1)
        end = tail.end() if tail else end
    if _AFTER_IPV6.match(text, end) is None:
        return 0, 0, run_end
    return start, end, run_end


def _without_word_before(text: bytes, start: int, end: int) -> int:
    """Return where the address starts, without what belongs to a word in front of it (`ip6:`), -1 for nowhere."""
    before = text[start - 1 : start] if start else b""
    if before == b"%":
        # `%5B2001:db8::1%5D`: the first two are the end of an escaped bracket.
        return start + 2 if b":" not in text[start : start + 2] else -1
    if before.isalpha() or before == b"_":
        if text[max(0, start - 2) : start] in (b"\\n", b"\\r", b"\\t"):
            return start
        colon = text.find(b":", start, end)
        return colon + 1 if colon >= 0 else -1
    if text[start : start + 1] == b":" and text[start : start + 2] != b"::":
        return start + 1
    return start


def _without_word_after(text: bytes, start: int, end: int) -> int:
    """Return where the run ends without a colon that follows the address, and without the word behind that."""
    after = text[end : end + 1]
    if after.isalpha() or after == b"_":
        end = text.rfind(b":", max(start, 0), end) + 1
        if end == 0 or text[end - 2 : end] == b"::":
            return -1
    stem = text[max(start, 0) : end]
    return end - 1 if stem.endswith(b":") and (stem.endswith(b":::") or not stem.endswith(b"::")) else end


def _trailing(text: bytes, end: int, reach: int, characters: bytes) -> int:
    """Return how many of `characters` stand directly before `end`; more than `reach` where there are too many."""
    piece = text[max(0, end - reach - 1) : end]
    return len(piece) - len(piece.rstrip(characters))


def _may_end_range(text: bytes, hyphen: int) -> bool:
    """Tell whether what stands before a hyphen is an address or nothing, so that the hyphen is none of a name."""
    length = _trailing(text, hyphen, _WORD_REACH, _WORD)
    word = text[hyphen - length : hyphen]
    if length > _WORD_REACH:
        return False
    return not word.strip(_DIGITS + b".") or (
        not word.strip(_HEXADECIMAL) and text[hyphen - length - 1 : hyphen - length] == b":"
    )


def host_stands(text: bytes, start: int, end: int) -> bool:
    """Tell whether the name from `start` to `end` is a whole name and no part of base64 or of a hex-colon run."""
    if _BEFORE_HOST.match(text, start) is None or _AFTER_HOST.match(text, end) is None:
        return False
    name = text[start:end]
    return b"." in name or not (_in_base64(text, start, end) or _in_colon_run(text, start, end, name))


def _in_base64(text: bytes, start: int, end: int) -> bool:
    behind = text[end : end + _BASE64_RUN]
    length = len(behind) - len(behind.lstrip(_BASE64))
    first = start - min(_trailing(text, start, _BASE64_RUN, _BASE64), _BASE64_RUN)
    run = text[first : end + length]
    if len(run) < _BASE64_RUN:
        return False
    # A long path has these letters too, but hardly ever all three kinds.
    return run.upper() != run and run.lower() != run and len(run.translate(None, _DIGITS)) != len(run)


def _in_colon_run(text: bytes, start: int, end: int, name: bytes) -> bool:
    if name.strip(_HEXADECIMAL):
        return False
    behind = text[end : end + _LONGEST_COLON_RUN]
    length = len(behind) - len(behind.lstrip(_HEXADECIMAL_OR_COLON))
    first = start - _trailing(text, start, _LONGEST_COLON_RUN, _HEXADECIMAL_OR_COLON)
    return text.count(b":", first, end + length) > 1
