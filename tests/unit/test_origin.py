"""Where a file's bytes come from, as it travels and is kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.origin import UNDO_LIMIT, Origin, flaw_of, rules_of, source_digest, turned

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


def test_what_leads_there_again_travels_with_it() -> None:
    plain = Origin(b"r" * 32, b"d" * 32, 7, b"undo")
    both = plain._replace(redo=b"redo")
    assert Origin.decode(both.encode()) == both
    assert Origin.decode(both._replace(undo=b"").encode()) == both._replace(undo=b"")
    assert source_digest(b"x", both.encode()) == b"d" * 32
    assert rules_of(both.encode()) == b"r" * 32
    head = both.encode()[:73]
    for wrong in (head, head + b"\0\0", head + b"\0\0\0\4undo", head + b"\0\0\0\5undo", head + b"\xff" * 8):
        assert flaw_of(wrong) == "has an origin that is cut off or of another version"
    too_large = both._replace(redo=b"x" * (UNDO_LIMIT + 1)).encode()
    assert "more than 256 KiB" in (flaw_of(too_large) or "")


def test_an_origin_without_records_is_turned_round_at_once() -> None:
    origin = Origin(b"r" * 32, b"d" * 32, 7)
    turned_round = turned(origin.encode(), b"R" * 32, b"h" * 32, 9)
    assert turned_round == (b"d" * 32, 7, Origin(b"R" * 32, b"h" * 32, 9).encode())
    assert turned(origin._replace(undo=b"u").encode(), b"R" * 32, b"h" * 32, 9) is None
    assert turned(origin._replace(redo=b"u").encode(), b"R" * 32, b"h" * 32, 9) is None
