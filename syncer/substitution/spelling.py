"""Reads and writes addresses: the same on every Python, whose own library has changed its mind about tails."""

from __future__ import annotations

import re

_GROUP = re.compile(r"[0-9A-Fa-f]{1,4}")
_ZEROS = re.compile(r"(?:^|:)0(?::0)+(?=:|$)")


def read_ipv4(text: bytes) -> int | None:
    """Return the address as a number, or None where an octet is above 255."""
    value = 0
    for octet in text.split(b"."):
        number = int(octet)
        if number > 255:
            return None
        value = value << 8 | number
    return value


def write_ipv4(value: int) -> bytes:
    """Return the dotted form."""
    return b"%d.%d.%d.%d" % (value >> 24, value >> 16 & 255, value >> 8 & 255, value & 255)


def read_ipv6(text: bytes) -> int | None:
    """Return the address as a number, or None where RFC 4291 does not allow the text, or it is a WWN.

    Eight groups of exactly two digits are how hardware writes its names (`50:06:01:60:c1:e0:2a:7b`).
    """
    head, gap, rest = text.decode("ascii").partition("::")
    if "::" in rest:
        return None
    front, back = _groups(head, last=not gap), _groups(rest, last=True)
    if front is None or back is None:
        return None
    missing = 8 - len(front) - len(back)
    if missing != 0 if not gap else missing < 1:
        return None
    if not gap and all(len(group) == 2 for group in front):
        return None
    value = 0
    for group in [*front, *("0" for _ in range(missing)), *back]:
        value = value << 16 | int(group, 16)
    return value


def _groups(text: str, *, last: bool) -> list[str] | None:
    """Split one side of `::` into groups; a dotted tail, where it is `last`, becomes two."""
    groups = text.split(":") if text else []
    if last and groups and "." in groups[-1]:
        tail = read_ipv4(groups.pop().encode())
        if tail is None:
            return None
        groups += [f"{tail >> 16:x}", f"{tail & 0xFFFF:x}"]
    return groups if all(map(_GROUP.fullmatch, groups)) else None


def write_ipv6(value: int, *, dotted: bool) -> bytes:
    """Return the form of RFC 5952, its last 32 bits as IPv4 where `dotted`."""
    numbers = [value >> shift & 0xFFFF for shift in range(112, -1, -16)]
    tail = write_ipv4(value & 0xFFFFFFFF).decode() if dotted else ""
    text = ":".join(f"{number:x}" for number in (numbers[:6] if dotted else numbers))
    runs = sorted(_ZEROS.finditer(text), key=lambda run: (-len(run[0].lstrip(":")), run.start()))
    if runs:
        text = f"{text[: runs[0].start()]}::{text[runs[0].end() :].removeprefix(':')}"
    if dotted:
        text += tail if text.endswith(":") else f":{tail}"
    return text.encode()
