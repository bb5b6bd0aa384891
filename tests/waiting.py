"""Waiting for a condition in tests, without taking the machine from what is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable

from syncer.errors import UnreachableError

SHORTEST_SECONDS = 0.0005
LONGEST_SECONDS = 0.2


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> float:
    """Return the seconds until `condition()` holds; raises UnreachableError after `seconds`, with `what`.

    Between two looks it sleeps for as long as a look takes, so that one that reads two trees or asks an agent never
    costs more than half a core. What holds by the time that is over counts, also where this process was held up.
    """
    started = time.perf_counter()
    while True:
        looked = time.perf_counter()
        if condition():
            return time.perf_counter() - started
        now = time.perf_counter()
        if looked - started > seconds:
            raise UnreachableError(f"waited {seconds:g} s in vain until {what}")
        time.sleep(min(max(now - looked, SHORTEST_SECONDS), LONGEST_SECONDS))
