from __future__ import annotations

import pytest

from syncer.procedures.background import is_due
from syncer.state.verifications import Verification


@pytest.mark.parametrize(
    ("known", "now", "due"),
    [
        (None, 1000.0, False),
        (Verification(100.0, None), 109.0, False),
        (Verification(100.0, None), 110.0, True),
        (Verification(100.0, 200.0), 205.0, False),
        (Verification(100.0, 200.0), 210.0, True),
        # A clock that was set back must not put it off.
        (Verification(100.0, 200.0), 150.0, True),
    ],
)
def test_when_a_verification_is_due(known: Verification | None, now: float, due: bool) -> None:
    assert is_due(known, 10.0, now) is due
