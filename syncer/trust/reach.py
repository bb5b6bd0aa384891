"""Finds out who answers at an address, and whether they let this node in: a handshake, and nothing said in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

from syncer.errors import PairingError
from syncer.trust.certificates import fingerprint_of

if TYPE_CHECKING:
    # Late, because gRPC comes with it.
    from syncer.trust.tls import KeyHolder

_TLS_FAILED = 1
"""The number that Python's ssl gives a failed handshake."""

_GRACE = 2.0
"""Seconds for the process itself, beside what it waits for."""


class Reached(NamedTuple):
    """What the handshake showed."""

    error: str
    """Why there was none; "" where there was."""
    fingerprint: str = ""
    """Of the certificate that was shown; "" for none that can be read."""
    is_let_in: bool = False
    """Whether the other end accepted this node's certificate."""


def reach(host: str, port: int, holder: KeyHolder, seconds: float) -> Reached:
    """Connect, shake hands as `holder`, and hang up, within `seconds` for each wait. Blocking."""
    try:
        done = subprocess.run(
            fetch_line(host, port, seconds),
            input=holder.key_pem + holder.certificate_pem,
            capture_output=True,
            env=fetch_environment(),
            timeout=2 * seconds + _GRACE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Reached(f"no answer within {seconds:g} s")
    if done.returncode:
        return Reached("the handshake could not be tried")
    found = json.loads(done.stdout)
    number = int(found["error"])
    if number:
        return Reached(_reason(number))
    try:
        fingerprint = fingerprint_of(found["certificate"].encode())
    except PairingError:
        return Reached("", "", is_let_in=False)
    return Reached("", fingerprint, bool(found["accepted"]))


def _reason(number: int) -> str:
    if number == _TLS_FAILED:
        return "what answers there does not speak TLS 1.3"
    if number == -1:
        return "no answer in time"
    return os.strerror(number) if number > 0 else "its name is not known"


def fetch_line(host: str, port: int, seconds: float) -> list[str]:
    """Return the command line of syncer/trust/fetch.py, which says why it is a process of its own."""
    return [sys.executable, "-m", "syncer.trust.fetch", host, str(port), f"{seconds:g}"]


def fetch_environment() -> dict[str, str]:
    """Return its environment: where syncer is not installed but run from its folder, it must find it too."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
