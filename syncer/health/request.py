"""Reads the head of an HTTP/1.x request (pure); what is not one is refused with a status and a sentence."""

from __future__ import annotations

import re
from typing import NamedTuple

LONGEST_HEAD = 8192
"""Bytes of a request's head; nobody who asks for health needs more."""
_HOST = rb"[Hh][Tt][Tt][Pp][Ss]?://[!-.0->@-~]{1,255}"
_LINE = re.compile(rb"([A-Z]{1,16}) (?:" + _HOST + rb"(?=[/ ])|(?=/))(/[!-~]{0,2047})? HTTP/1\.[01]")
"""A path, or (RFC 9112, 3.2.2) a whole URI, as who speaks to a proxy sends it; its host decides nothing here."""


class BadRequestError(ValueError):
    """What came is no request that is understood; carries the status to answer with."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Request(NamedTuple):
    """What is asked; the path is as it came, without its query."""

    method: str
    path: str


def read_request(head: bytes) -> Request:
    """Return what the first line asks; header fields decide nothing here. Raises BadRequestError."""
    line = head.partition(b"\n")[0].removesuffix(b"\r")
    found = _LINE.fullmatch(line)
    if found is None:
        raise BadRequestError(400, "this is no HTTP/1.1 request: write for example GET /healthz HTTP/1.1")
    # Never decoded and never joined to a folder: it is compared with a few known paths, and that is all.
    return Request(found[1].decode("ascii"), (found[2] or b"/").partition(b"?")[0].decode("ascii"))
