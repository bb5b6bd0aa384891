"""Shares and sizes as people write them: "30%", "1GiB"; as numbers (pure)."""

from __future__ import annotations

import re

_SIZE = re.compile(r"([0-9]{1,12})(B|KiB|MiB|GiB|TiB)", re.ASCII)
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_SHARE = re.compile(r"([0-9]{1,3})%", re.ASCII)


def parse_size(text: str) -> int:
    """Return the bytes of `text`, such as "512MiB"; raises ValueError, whose message reads on after the text."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError('is not a size: write for example "512MiB" or "1GiB"')
    return int(found[1]) * _UNITS[found[2]]


def parse_share(text: str) -> float:
    """Return the part of one that `text` is, such as 0.3 for "30%"; raises ValueError as parse_size."""
    found = _SHARE.fullmatch(text)
    if found is None or int(found[1]) > 100:
        raise ValueError('is neither a count nor a share: write for example 100 or "30%"')
    return int(found[1]) / 100
