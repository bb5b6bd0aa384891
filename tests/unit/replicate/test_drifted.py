"""What a local edit is called, and how often edits are put back."""

from __future__ import annotations

from typing import Any

import pytest

from syncer.model import DiskIdentity, Entry, Kind, Known
from syncer.replicate.drifted import ACTIONS, RestorePace, to_confirm, what_happened, what_of_action

FILE = Entry(b"f", Kind.FILE, 0o644, 33, 33, "www", "www", 5, 9, b"d" * 32, b"")
FOLDER = Entry(b"d", Kind.DIRECTORY, 0o755, 33, 33, "www", "www", 5, 0, b"", b"")
LINK = Entry(b"l", Kind.SYMLINK, 0, 33, 33, "www", "www", 5, 0, b"", b"there")
UNKNOWN = Entry(b"f", Kind.UNKNOWN, 0, 0, 0, "", "", 0, 0, b"", b"", "cannot be read: Permission denied")
APPLIED = DiskIdentity(9, 5, 100, 1, 1)
TOUCHED = DiskIdentity(9, 5, 101, 1, 1)


def known(entry: Entry, identity: DiskIdentity = APPLIED, **how: Any) -> Known:
    return Known(entry._replace(**how), identity)


@pytest.mark.parametrize(
    ("applied", "found", "what"),
    [
        (known(FILE), known(FILE), ""),
        (known(FILE), None, "deleted"),
        (None, known(FILE), "created"),
        (None, known(UNKNOWN), ""),
        (known(UNKNOWN), None, ""),
        (known(UNKNOWN), known(FILE, TOUCHED), ""),
        (known(FILE), known(UNKNOWN), "unreadable"),
        (known(FILE), known(LINK), "replaced"),
        (known(FILE), known(FILE, TOUCHED, digest=b"e" * 32), "edited"),
        # Rot: the file system says nothing, the bytes do.
        (known(FILE), known(FILE, digest=b"e" * 32), "edited"),
        (known(LINK), known(LINK, TOUCHED, link_target=b"away"), "edited"),
        (known(FILE), known(FILE, TOUCHED), ""),
        (known(FILE), known(FILE, TOUCHED, mode=0o600), "metadata"),
        (known(FILE), known(FILE, TOUCHED, mtime_ns=6), "metadata"),
        (known(FILE), known(FILE, TOUCHED, owner="root", uid=0), "metadata"),
        # What could not be set when it was applied: nobody touched it since.
        (known(FILE), known(FILE, owner="root", uid=0), ""),
        # The same user, with another number here.
        (known(FILE), known(FILE, TOUCHED, uid=48), ""),
        (known(FOLDER), known(FOLDER, TOUCHED, mtime_ns=6), ""),
        (known(FOLDER), known(FOLDER, TOUCHED, mode=0o700), "metadata"),
    ],
)
def test_what_happened(applied: Known | None, found: Known | None, what: str) -> None:
    assert what_happened(applied, found) == what


def test_who_owns_what_is_for_the_node_to_say() -> None:
    mine = known(FOLDER, TOUCHED, owner="me", uid=1000, group="me", gid=1000)
    assert what_happened(known(FOLDER), mine) == "metadata"
    assert what_happened(known(FOLDER), mine, lambda applied, found: applied.mode == found.mode) == ""


def test_every_word_has_an_action_and_comes_back_from_it() -> None:
    for what, action in ACTIONS.items():
        assert what_of_action(action) == ("edited" if what == "unreadable" else what)


@pytest.mark.parametrize(
    ("looked", "recorded", "touched", "unsure"),
    [
        ({b"a": "edited"}, {}, [b"a"], {b"a"}),
        ({b"a": "edited"}, {b"a": "edited"}, [b"a"], set()),
        ({b"a": "edited"}, {b"a": "created"}, [b"a"], {b"a"}),
        ({}, {b"a": "edited"}, [b"a"], {b"a"}),
        ({}, {b"a": "edited"}, [b"b"], set()),
        ({}, {b"d/e/f": "created"}, [b"d"], {b"d/e/f"}),
        ({}, {b"de": "created"}, [b"d"], set()),
        ({}, {b"a": "edited", b"d/e": "edited"}, None, {b"a", b"d/e"}),
    ],
)
def test_only_news_is_looked_at_again(
    looked: dict[bytes, str], recorded: dict[bytes, str], touched: list[bytes] | None, unsure: set[bytes]
) -> None:
    assert to_confirm(looked, recorded, touched) == unsure


def test_edits_are_put_back_at_once_and_the_same_ones_ever_more_slowly() -> None:
    pace = RestorePace()
    assert pace.due([], 10.0) is None
    assert pace.due([b"a"], 10.0) == 10.0
    pace.asked([b"a"], 10.0)
    # Another path does not wait for this one.
    assert pace.due([b"b"], 10.1) == 10.1
    waits = []
    now = 10.0
    for _ in range(9):
        due = pace.due([b"a"], now)
        assert due is not None
        waits.append(due - now)
        now = due
        pace.asked([b"a"], now)
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
