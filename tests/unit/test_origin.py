"""Where a file's bytes come from, as it travels and is kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.origin import UNDO_LIMIT, Origin, flaw_of, source_digest

DIGESTS = st.binary(min_size=32, max_size=32)


@given(DIGESTS, DIGESTS, st.integers(0, 2**63 - 1), st.binary(max_size=100))
def test_what_is_encoded_is_decoded(rules: bytes, digest: bytes, size: int, undo: bytes) -> None:
    origin = Origin(rules, digest, size, undo)
    assert Origin.decode(origin.encode()) == origin
    assert source_digest(b"rendered", origin.encode()) == digest
    assert flaw_of(origin.encode()) is None


def test_without_an_origin_the_bytes_are_productions_own() -> None:
    assert source_digest(b"own", b"") == b"own"
    assert flaw_of(b"") is None


@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused_with_a_reason(data: bytes) -> None:
    flaw = flaw_of(data)
    assert flaw is None or flaw.startswith("has ")


@pytest.mark.parametrize("data", [b"\1", b"\1" + bytes(71), b"\0" + bytes(72), b"\1" + bytes(72 + UNDO_LIMIT + 1)])
def test_what_cannot_be_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="has an"):
        Origin.decode(data)
