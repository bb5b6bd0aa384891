"""The merge behind a full synchronization."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.errors import PeerProtocolError
from syncer.model import Change, DiskIdentity, Entry, Kind, Known
from syncer.replicate.compare import (
    Comparison,
    Difference,
    Standing,
    action_of,
    destroys,
    order_of,
    overlay,
    plan_item,
    same_entry,
)

IDENTITY = DiskIdentity(0, 0, 0, 0, 0)


def file(path: bytes, text: bytes = b"x", **how: Any) -> Entry:
    base = Entry(path, Kind.FILE, 0o644, 0, 0, "root", "root", 1, len(text), text.ljust(32, b"\0")[:32], b"")
    return base._replace(**how)


def directory(path: bytes) -> Entry:
    return Entry(path, Kind.DIRECTORY, 0o755, 0, 0, "root", "root", 1, 0, b"", b"")


def unknown(path: bytes) -> Entry:
    return Entry(path, Kind.UNKNOWN, 0, 0, 0, "", "", 0, 0, b"", b"", "socket")


def standing(entries: list[Entry], *, edited: bool = False) -> Iterator[Standing]:
    return iter([Standing(Known(entry, IDENTITY), edited) for entry in entries])


def run(wanted: list[Entry], current: list[Entry], **how: object) -> dict[bytes, str]:
    scope: Any = how.get("scope", lambda path, is_directory: True)
    comparison = Comparison(standing(current), scope)
    comparison.feed(wanted)
    return {item.change.path: action_of(item) for item in comparison.finish()}


ROOT = directory(b"")


def test_equal_trees_differ_in_nothing() -> None:
    tree = [ROOT, file(b"a"), directory(b"d"), file(b"d/x")]
    assert run(tree, tree) == {}


def test_every_action_is_named() -> None:
    wanted = [ROOT, file(b"meta", mode=0o600), file(b"new"), file(b"other"), file(b"text", b"new")]
    current = [ROOT, file(b"gone"), file(b"meta"), directory(b"other"), file(b"text", b"old")]
    assert run(wanted, current) == {
        b"gone": "delete",
        b"meta": "metadata",
        b"new": "create",
        b"other": "replace",
        b"text": "update",
    }


def test_owners_are_compared_by_name_where_both_have_one() -> None:
    assert same_entry(file(b"a", uid=5, owner="www"), file(b"a", uid=9, owner="www"))
    assert not same_entry(file(b"a", uid=5, owner="www"), file(b"a", uid=5, owner="mail"))
    assert same_entry(file(b"a", uid=5, owner=""), file(b"a", uid=5, owner="mail"))
    assert not same_entry(file(b"a", uid=5, owner=""), file(b"a", uid=6, owner=""))


def test_nothing_at_or_below_an_unknown_path_is_deleted() -> None:
    current = [ROOT, directory(b"d"), file(b"z"), directory(b"d/sub"), file(b"d/sub/x")]
    assert run([ROOT, unknown(b"d")], current) == {b"z": "delete"}


def test_an_unknown_root_deletes_nothing() -> None:
    assert run([unknown(b"")], [ROOT, file(b"a"), directory(b"d"), file(b"d/x")]) == {}


def test_what_is_out_of_scope_or_cannot_be_handled_is_never_deleted() -> None:
    current = [ROOT, file(b"cache"), unknown(b"socket"), file(b"tidy")]
    assert run([ROOT], current, scope=lambda path, is_directory: path != b"cache") == {b"tidy": "delete"}


def test_entries_out_of_order_or_twice_are_refused() -> None:
    for wrong in ([file(b"b"), file(b"a")], [file(b"a"), file(b"a")]):
        comparison = Comparison(iter([]), lambda path, is_directory: True)
        with pytest.raises(PeerProtocolError, match="out of order"):
            comparison.feed(wrong)


def test_metadata_destroys_nothing_but_other_bytes_do() -> None:
    assert not destroys(Difference(Change(0, b"a", file(b"a", mode=0o600)), file(b"a")))
    assert not destroys(Difference(Change(0, b"a", file(b"a")), None))
    assert destroys(Difference(Change(0, b"a", None), file(b"a")))
    assert destroys(Difference(Change(0, b"a", file(b"a", b"new")), file(b"a", b"old")))


def test_a_plan_item_of_a_deletion_shows_what_is_lost() -> None:
    item = plan_item(Difference(Change(0, b"a", None), file(b"a", b"four")))
    assert (item.action, item.kind, item.size) == ("delete", Kind.FILE, 4)


paths = st.lists(st.sampled_from([b"a", b"b", b"c-d", b"c"]), min_size=1, max_size=3).map(b"/".join)
trees = st.dictionaries(paths, st.sampled_from([b"1", b"2", b"3"]), max_size=12)


def entries(tree: dict[bytes, bytes]) -> list[Entry]:
    return [ROOT, *sorted((file(path, text) for path, text in tree.items()), key=lambda e: order_of(e.path))]


@given(trees, trees)
def test_applying_the_differences_makes_the_trees_equal(
    wanted: dict[bytes, bytes], current: dict[bytes, bytes]
) -> None:
    comparison = Comparison(standing(entries(current)), lambda path, is_directory: True)
    comparison.feed(entries(wanted))
    result = dict(current)
    for difference in comparison.finish():
        path, entry = difference.change.path, difference.change.entry
        if entry is None:
            del result[path]
        else:
            result[path] = entry.digest.rstrip(b"\0")
    assert result == wanted


@given(trees, st.dictionaries(paths, st.one_of(st.none(), st.sampled_from([b"1", b"2"])), max_size=6))
def test_edits_lie_over_the_rows_in_order(rows: dict[bytes, bytes], edits: dict[bytes, bytes | None]) -> None:
    known = [Known(entry, IDENTITY) for entry in entries(rows)]
    over = {path: None if text is None else Known(file(path, text), IDENTITY) for path, text in edits.items()}
    result = [item.known.entry for item in overlay(known, over)]
    assert [order_of(entry.path) for entry in result] == sorted(order_of(entry.path) for entry in result)
    expected = {path: text for path, text in {**rows, **edits}.items() if text is not None}
    assert {entry.path: entry.digest.rstrip(b"\0") for entry in result if entry.path} == expected


def test_what_is_equal_but_unknown_to_the_base_is_adopted_with_its_identity() -> None:
    comparison = Comparison(standing([ROOT, file(b"a")], edited=True), lambda path, is_directory: True)
    comparison.feed([ROOT, file(b"a")])
    assert comparison.finish() == []
    assert [known.entry.path for known in comparison.adopted] == [b"", b"a"]


def test_what_is_no_longer_in_scope_is_forgotten_not_deleted() -> None:
    comparison = Comparison(standing([ROOT, file(b"cache")]), lambda path, is_directory: path != b"cache")
    comparison.feed([ROOT])
    assert comparison.finish() == []
    assert comparison.unscoped == [b"cache"]


def standing_at(entry: Entry, inode: int, *, edited: bool = False) -> Standing:
    return Standing(Known(entry, IDENTITY._replace(inode=inode)), edited)


def named(path: bytes, link: int) -> Entry:
    return file(path)._replace(link=link)


def regrouped(wanted: list[Entry], current: list[Standing]) -> tuple[list[bytes], list[bytes]]:
    comparison = Comparison(iter(current), lambda path, is_directory: True)
    comparison.feed(wanted)
    changed = [item.change.path for item in comparison.finish()]
    return changed, [known.entry.path for known in comparison.adopted]


def test_other_link_numbers_for_the_same_groups_are_learnt_not_applied() -> None:
    wanted = [named(b"a", 70), named(b"b", 70), named(b"c", 0)]
    current = [standing_at(named(b"a", 5), 1), standing_at(named(b"b", 5), 1), standing_at(named(b"c", 0), 2)]
    assert regrouped(wanted, current) == ([], [b"a", b"b"])


def test_names_that_stand_apart_are_put_together() -> None:
    wanted = [named(b"a", 70), named(b"b", 70)]
    current = [standing_at(named(b"a", 0), 1, edited=True), standing_at(named(b"b", 0), 2, edited=True)]
    assert regrouped(wanted, current)[0] == [b"a", b"b"]


def test_names_that_should_not_be_one_file_are_taken_apart() -> None:
    wanted = [named(b"a", 0), named(b"b", 70), named(b"c", 70)]
    current = [standing_at(named(path, 9), 1, edited=True) for path in (b"a", b"b", b"c")]
    assert regrouped(wanted, current)[0] == [b"a", b"b", b"c"]


def test_a_group_that_gets_a_name_is_applied_whole_where_the_base_does_not_know_it() -> None:
    wanted = [named(b"a", 70), named(b"b", 70)]
    assert regrouped(wanted, [standing_at(named(b"a", 70), 1)])[0] == [b"b"]
    assert regrouped(wanted, [standing_at(named(b"a", 0), 1, edited=True)])[0] == [b"a", b"b"]


def test_attributes_count() -> None:
    assert not same_entry(file(b"a")._replace(attributes=b"x"), file(b"a"))
