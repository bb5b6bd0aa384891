from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.errors import StateError
from syncer.model import Cursor, DiskIdentity, Entry, Kind, Known, Problem, name_of, parent_of
from syncer.state import base as module
from syncer.state.base import Base, BaseRow
from syncer.state.cursors import Standing, read_standing
from syncer.state.store import StateStore

DOMAIN = "nginx"


def standing(seq: int = 1) -> Standing:
    return Standing(Cursor("index", "run", seq), "source", b"\x01" * 32, b"", True, seq)


def row(path: bytes, digest: bytes = b"d" * 32, **identity: Any) -> BaseRow:
    entry = Entry(path, Kind.FILE, 0o644, 1, 2, "root", "wheel", -5, 7, digest, b"")
    return BaseRow(entry, DiskIdentity(7, -5, 6, 11, 12)._replace(**identity))


ROOT = BaseRow(Entry(b"", Kind.DIRECTORY, 0o755, 0, 0, "", "", 1, 0, b"", b""), DiskIdentity(0, 1, 1, 2, 3))


@pytest.fixture
def base(store: StateStore) -> Base:
    return Base(store)


def known(item: BaseRow) -> Known:
    return Known(item.entry, item.identity)


def test_children_are_those_of_one_directory_and_never_the_root(base: Base) -> None:
    rows = [ROOT, row(b"a"), row(b"a.d"), row(b"dir/x"), row(b"dir/deep/y"), row(b"dir2/z")]
    base.commit(DOMAIN, rows, [], standing(), None)
    assert base.children(DOMAIN, b"") == {b"a": known(rows[1]), b"a.d": known(rows[2])}
    assert base.children(DOMAIN, b"dir") == {b"x": known(rows[3])}
    assert base.children(DOMAIN, b"nowhere") == base.children("other", b"") == {}
    assert base.get(DOMAIN, b"") == known(ROOT)
    assert base.get(DOMAIN, b"dir/deep/y") == known(rows[4])
    assert base.get(DOMAIN, b"dir/deep") is None
    assert base.count(DOMAIN) == 6


def test_every_field_comes_back(base: Base) -> None:
    name = b"\xff\xfe\n' x"
    entries = [
        Entry(b"u", Kind.UNKNOWN, 0, 0, 0, "", "", 0, 0, b"", b"", "a socket"),
        Entry(b"s", Kind.SYMLINK, 0, 4294967294, 1, "ü", "", 2**62, 0, b"", b"../\xff"),
        Entry(name, Kind.FILE, 0o7777, 0, 0, "", "", -1, 2**62, b"\x00" * 32, b""),
    ]
    identity = DiskIdentity(2**62, -(2**62), 5, 2**64 - 1, 2**63)
    base.commit(DOMAIN, [BaseRow(entry, identity) for entry in entries], [], standing(), None)
    for entry in entries:
        assert base.get(DOMAIN, entry.path) == Known(entry, identity)


def test_text_that_sqlite_cannot_hold_is_written_out(base: Base) -> None:
    entry = ROOT.entry._replace(path=b"x", kind=Kind.UNKNOWN, note="bad name \udcff")
    problem = Problem(DOMAIN, b"\xff", "cannot read \udcff")
    base.commit(DOMAIN, [BaseRow(entry, ROOT.identity)], [], standing(), [problem])
    found = base.get(DOMAIN, b"x")
    assert found is not None
    assert found.entry.note == "bad name \\udcff"
    assert base.problems(DOMAIN) == [Problem(DOMAIN, b"\xff", "cannot read \\udcff")]


def test_a_path_that_is_deleted_and_written_stays(base: Base) -> None:
    base.commit(DOMAIN, [row(b"a"), row(b"b/c")], [], standing(), None)
    base.commit(DOMAIN, [row(b"b")], [b"b", b"b/c", b"never/there"], standing(2), None)
    assert [item.entry.path for item in base.rows(DOMAIN)] == [b"a", b"b"]


def test_a_deletion_deletes_nothing_below(base: Base) -> None:
    base.commit(DOMAIN, [row(b"b"), row(b"b/c")], [], standing(), None)
    base.commit(DOMAIN, [], [b"b"], standing(2), None)
    assert [item.entry.path for item in base.rows(DOMAIN)] == [b"b/c"]


PATHS = st.lists(st.sampled_from([b"a", b"B", b"\xff", b".", b"a.", b"0"]), max_size=3).map(b"/".join)


@settings(max_examples=40, deadline=None)
@given(st.sets(PATHS, max_size=40))
def test_rows_come_in_order_of_parent_and_name_across_pages(
    tmp_path_factory: pytest.TempPathFactory, paths: set[bytes]
) -> None:
    with (
        pytest.MonkeyPatch.context() as patch,
        StateStore.open(tmp_path_factory.mktemp("state"), create=True) as store,
    ):
        patch.setattr(module, "PAGE_ROWS", 3)
        patch.setattr(module, "_PAGE", module._PAGE.replace("LIMIT 1000", "LIMIT 3"))
        base = Base(store)
        base.commit(DOMAIN, [row(path) for path in paths], [], standing(), None)
        base.commit("other", [row(b"not/mine")], [], standing(), None)
        expected = sorted(paths, key=lambda path: (parent_of(path), name_of(path)))
        assert [item.entry.path for item in base.rows(DOMAIN)] == expected


def test_rows_hold_no_lock_between_pages(base: Base, store: StateStore) -> None:
    base.commit(DOMAIN, [row(b"%04d" % number) for number in range(1500)], [], standing(), None)
    rows = base.rows(DOMAIN)
    next(rows)
    # Another thread can commit while this one is in the middle of reading.
    thread = threading.Thread(target=base.commit, args=(DOMAIN, [row(b"9999")], [], standing(2), None))
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert sum(1 for _ in rows) == 1500


def test_a_commit_may_read_the_base_while_it_makes_its_rows(base: Base) -> None:
    base.commit(DOMAIN, [row(b"a"), row(b"b")], [], standing(), None)
    again = (BaseRow(item.entry, item.identity, transaction=2) for item in base.rows(DOMAIN))
    base.commit(DOMAIN, again, (b"c" for _ in base.children(DOMAIN, b"")), standing(2), None)
    assert base.count(DOMAIN) == 2


def test_content_is_found_by_its_digest(base: Base) -> None:
    one, two = b"1" * 32, b"2" * 32
    base.commit(DOMAIN, [ROOT, row(b"a", one), row(b"x/b", one), row(b"c", two)], [], standing(), None)
    assert sorted(base.paths_with_digest(DOMAIN, one)) == [b"a", b"x/b"]
    assert base.paths_with_digest(DOMAIN, b"") == []
    assert base.paths_with_digest("other", one) == []


def test_rows_cursor_and_problems_are_one_commit(base: Base, store: StateStore) -> None:
    old = [Problem(DOMAIN, b"p", "why")]
    base.commit(DOMAIN, [row(b"a")], [], standing(1), old)
    # Fails at the last statement: a number that SQLite cannot hold.
    bad = standing(2**63)
    with pytest.raises(OverflowError):
        base.commit(DOMAIN, [row(b"b")], [b"a"], bad, [])
    assert [item.entry.path for item in base.rows(DOMAIN)] == [b"a"]
    assert read_standing(store, DOMAIN) == standing(1)
    assert base.problems(DOMAIN) == old


def test_problems_are_kept_or_replaced_as_a_whole(base: Base) -> None:
    first = [Problem(DOMAIN, b"a", "x"), Problem(DOMAIN, b"b", "y")]
    base.commit(DOMAIN, [], [], standing(1), first)
    base.commit("other", [], [], standing(1), [Problem("other", b"o", "z")])
    base.commit(DOMAIN, [], [], standing(2), None)
    assert base.problems(DOMAIN) == first
    base.commit(DOMAIN, [], [], standing(3), [])
    assert base.problems(DOMAIN) == []
    assert len(base.problems("other")) == 1


def test_a_forgotten_domain_leaves_the_others(base: Base, store: StateStore) -> None:
    for domain in (DOMAIN, "other"):
        base.commit(domain, [row(b"a")], [], standing(), [Problem(domain, b"p", "w")])
        base.offer_approval(domain, "id", [b"a"])
    base.forget(DOMAIN)
    assert (base.count(DOMAIN), base.problems(DOMAIN), read_standing(store, DOMAIN)) == (0, [], None)
    assert base.approved_paths(DOMAIN, "id") is None
    assert base.count("other") == len(base.problems("other")) == 1
    assert base.approved_paths("other", "id") == {b"a"}


def test_approvals(base: Base) -> None:
    assert base.approved_paths(DOMAIN, "one") is None
    base.offer_approval(DOMAIN, "one", [b"a", b"a", b"\xff", b""])
    base.offer_approval("other", "one", [])
    assert base.approved_paths(DOMAIN, "one") == {b"a", b"\xff", b""}
    assert base.approved_paths("other", "one") == set()
    base.offer_approval(DOMAIN, "one", [b"b"])
    assert base.approved_paths(DOMAIN, "one") == {b"b"}
    base.forget_approvals(DOMAIN)
    assert base.approved_paths(DOMAIN, "one") is None
    assert base.approved_paths("other", "one") == set()


def test_plans_that_change_all_the_time_do_not_pile_up(base: Base, store: StateStore) -> None:
    for number in range(module.APPROVALS_KEPT + 3):
        base.offer_approval(DOMAIN, str(number), [b"a"])
    assert base.approved_paths(DOMAIN, "2") is None
    assert base.approved_paths(DOMAIN, "3") == {b"a"}
    with store.read() as reader:
        left = reader.execute("SELECT count(*) FROM approval_path").fetchone()[0]
    assert left == module.APPROVALS_KEPT


def test_a_closed_store_is_no_quiet_success(tmp_path: Path) -> None:
    store = StateStore.open(tmp_path, create=True)
    store.close()
    with pytest.raises(StateError, match="is closed"):
        Base(store).commit(DOMAIN, [], [], standing(), None)
