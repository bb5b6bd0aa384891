"""Of many cases a few in each run, and all of them in the long one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def sampled(cases: Iterable[tuple[Any, ...]], *kept: tuple[Any, ...]) -> list[Any]:
    """Return all cases for parametrize, of which only those `kept` run outside of `make soak`."""
    found = list(cases)
    assert set(kept) <= set(found), "what is kept is one of the cases"
    return [pytest.param(*case, marks=() if case in kept else pytest.mark.soak) for case in found]
