"""The plan of a rollback: the earliest word counts, and what lacks is named."""

from __future__ import annotations

from syncer.apply.rollback import plan_rollback, sample_of, unrestorable, with_parents
from syncer.model import Change, DiskIdentity, Entry, Kind, Known
from syncer.state.generations import Displaced
from tests.unit.apply.displacing import entry_of_directory, entry_of_file

NOWHERE = DiskIdentity(0, 0, 0, 0, 0)


def file(path: bytes, data: bytes = b"x") -> Entry:
    return entry_of_file(path, data)[0]


def test_the_earliest_generation_above_the_target_decides() -> None:
    newest = [Displaced(b"a", file(b"a", b"2")), Displaced(b"b", None)]
    older = [Displaced(b"a", file(b"a", b"1"), edited=True), Displaced(b"c", file(b"c"))]
    way = plan_rollback([newest, older])
    assert way.changes == [
        Change(0, b"a", file(b"a", b"1")),
        Change(0, b"b", None),
        Change(0, b"c", file(b"c")),
    ]
    assert way.edited == {b"a"}


def test_parents_come_before_children_and_the_root_never_goes() -> None:
    rows = [
        Displaced(b"", None),
        Displaced(b"d/e/x", file(b"d/e/x")),
        Displaced(b"d", entry_of_directory(b"d")),
        Displaced(b"d/e", entry_of_directory(b"d/e")),
    ]
    assert [change.path for change in plan_rollback([rows]).changes] == [b"d", b"d/e", b"d/e/x"]


def test_directories_that_were_removed_here_come_along() -> None:
    way = plan_rollback([[Displaced(b"d/e/x", file(b"d/e/x"))]])
    base = [Known(entry_of_directory(path), NOWHERE) for path in (b"d", b"d/e")]
    in_the_way = Known(file(b"d/e"), NOWHERE)
    assert [change.path for change in with_parents(way, {b"d": None, b"d/e": None}, base).changes] == [
        b"d",
        b"d/e",
        b"d/e/x",
    ]
    assert [change.path for change in with_parents(way, {b"d/e": in_the_way}, base).changes] == [b"d/e", b"d/e/x"]
    assert with_parents(way, {}, []) == way


def test_what_cannot_come_back_is_named_with_its_reason() -> None:
    fifo = Entry(b"p", Kind.UNKNOWN, 0, 0, 0, "", "", 0, 0, b"", b"")
    changes = [
        Change(0, b"a", file(b"a")),
        Change(0, b"p", fifo),
        Change(0, b"z", None),
        Change(0, b"e", file(b"e", b"")),
    ]
    paths = unrestorable(changes, {file(b"a").digest, file(b"e", b"").digest})
    assert paths == [b"a", b"p"]
    assert sample_of(paths, {b"p": "was a FIFO"}) == "'a', 'p' (was a FIFO)"
    assert sample_of([b"%d" % number for number in range(7)], {}).endswith("'4' and 2 more")
