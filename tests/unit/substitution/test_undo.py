"""The undo record: compact, and harmless whoever wrote it."""

from __future__ import annotations

import random
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.errors import UndoError, UndoTooLargeError
from syncer.origin import UNDO_LIMIT
from syncer.substitution.mapping import Mapping, NetworkPair
from syncer.substitution.rewrite import restore, rewrite
from syncer.substitution.undo import Patch, UndoRecord, UndoWriter

MAPPING = Mapping((NetworkPair(4, 0x0A000001, 0x0A000002, 32),))


def test_patches_are_read_as_they_were_written() -> None:
    patches = [Patch(0, 1, b"abc"), Patch(1, 300, b""), Patch(1_000_000_000_000, 2, b"x" * 200)]
    writer = UndoWriter()
    for patch in patches:
        writer.add(patch)
    record = UndoRecord(writer.encode(is_text=True))
    assert list(record.patches()) == patches
    assert record.is_text


def test_nothing_to_say_is_no_byte() -> None:
    assert UndoWriter().encode(is_text=False) == b""
    assert list(UndoRecord(b"").patches()) == []


def test_many_equal_collisions_are_compact() -> None:
    data = b"10.0.0.1 and 10.0.0.2\n" * 10_000
    rendered, report = rewrite(data, MAPPING)
    assert restore(rendered, MAPPING, report.undo) == data
    assert len(report.undo) < 2000


def test_a_record_above_the_limit_refuses_the_file() -> None:
    chance = random.Random(1)
    mapping = Mapping((NetworkPair(4, 10 << 24, 11 << 24, 8),))
    # Images that stand in the source already, all different.
    data = b"".join(b"11.%d.%d.%d\n" % tuple(chance.randbytes(3)) for _ in range(60_000))
    with pytest.raises(UndoTooLargeError, match=r"256 KiB .*leave the file out"):
        rewrite(data, mapping)


def test_a_record_that_is_too_large_before_compression_refuses_the_file() -> None:
    writer = UndoWriter()
    for number in range(200):
        writer.add(Patch(number, 1, b" " * 30_000))
    with pytest.raises(UndoTooLargeError):
        writer.encode(is_text=False)


@pytest.mark.parametrize(
    "record",
    [
        b"\xff",
        b"\x04",
        b"\x00\x01",
        b"\x00\x01\x01",
        b"\x00\x01\x01\x05abcd",
        b"\x00\x01\x00\x00",
        b"\x00" + b"\xff" * 11,
        b"\x00\x01\x01" + b"\xff" * 9 + b"\x7f",
        b"\x01",
        b"\x01no zlib",
        b"\x01" + zlib.compress(b"abc")[:-1],
        b"\x01" + zlib.compress(b"\x01\x01\x01a") + b"more",
        b"\x00" * (UNDO_LIMIT + 1),
    ],
)
def test_damaged_records_are_refused(record: bytes) -> None:
    with pytest.raises(UndoError, match="undo record"):
        restore(b"10.0.0.2 10.0.0.2", MAPPING, record)


def test_a_record_that_would_grow_without_bound_is_refused_before_it_does() -> None:
    bomb = b"\x01" + zlib.compress(b"\0" * 50_000_000, 1)
    tracemalloc.start()
    try:
        with pytest.raises(UndoError, match="too large"):
            UndoRecord(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * 2**20


@given(st.binary(max_size=60), st.binary(max_size=60).map(lambda text: b"10.0.0.2" + text))
def test_any_record_restores_or_is_refused(record: bytes, data: bytes) -> None:
    for candidate in (record, b"\x00" + record, b"\x01" + zlib.compress(record)):
        for file in (data, b"\xff\xfe" + data):
            try:
                restored = restore(file, MAPPING, candidate)
            except UndoError:
                continue
            assert isinstance(restored, bytes)
