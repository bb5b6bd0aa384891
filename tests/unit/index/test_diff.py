"""What a group changes."""

from __future__ import annotations

from syncer.index.diff import differences
from tests.unit.index.rows import file


def test_new_changed_gone_and_same() -> None:
    known = {b"same": file(b"same"), b"changed": file(b"changed"), b"gone": file(b"gone")}
    scanned = {b"same": file(b"same"), b"changed": file(b"changed", b"y"), b"new": file(b"new")}
    assert differences(known, scanned) == ([b"changed", b"new"], [b"gone"], [])


def test_another_identity_or_racy_mark_is_only_refreshed() -> None:
    known = {b"a": file(b"a"), b"b": file(b"b", racy=True)}
    scanned = {b"a": file(b"a", inode=9), b"b": file(b"b")}
    assert differences(known, scanned) == ([], [], [b"a", b"b"])


def test_what_is_to_be_resent_counts_as_changed() -> None:
    assert differences({b"a": file(b"a")}, {b"a": file(b"a")}, {b"a"}).upserts == [b"a"]
