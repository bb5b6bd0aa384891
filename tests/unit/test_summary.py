"""The digest of a whole tree."""

from __future__ import annotations

import pytest

from syncer.model import Entry, Kind
from syncer.summary import summarize

ROOT = Entry(b"", Kind.DIRECTORY, 0o755, 0, 0, "root", "root", 1, 0, b"", b"")
FILE = Entry(b"a", Kind.FILE, 0o644, 1, 2, "u", "g", -5, 3, b"d" * 32, b"")


def test_equal_entries_have_equal_summaries_whatever_the_notes() -> None:
    assert summarize([ROOT, FILE]) == summarize(iter([ROOT, FILE._replace(note="seen")]))
    assert len(summarize([])) == 32


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("path", b"b"),
        ("kind", Kind.SYMLINK),
        ("mode", 0o600),
        ("uid", 7),
        ("gid", 7),
        ("owner", "v"),
        ("group", "h"),
        ("mtime_ns", 6),
        ("size", 4),
        ("digest", b"e" * 32),
        ("link_target", b"x"),
    ],
)
def test_every_field_counts(field: str, value: object) -> None:
    changed = Entry(**{**FILE._asdict(), field: value})
    assert summarize([ROOT, FILE]) != summarize([ROOT, changed])


def test_bytes_cannot_move_from_one_field_into_the_next() -> None:
    one = FILE._replace(owner="ab", group="c")
    other = FILE._replace(owner="a", group="bc")
    assert summarize([one]) != summarize([other])


def test_what_could_not_be_read_does_not_count() -> None:
    unknown = FILE._replace(path=b"s", kind=Kind.UNKNOWN, note="socket: not copied")
    assert summarize([ROOT, FILE, unknown]) == summarize([ROOT, FILE])


def test_more_entries_than_one_batch_all_count() -> None:
    many = [FILE._replace(path=b"%d" % number) for number in range(2500)]
    assert summarize(many) != summarize(many[:-1])
    assert summarize(many) != summarize([*many[1:], many[0]])
