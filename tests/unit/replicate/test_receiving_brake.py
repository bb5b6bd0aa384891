"""Failover's brake over a real base and disk; production may send what it likes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer.config.settings import BrakeSettings
from syncer.model import Change, Cursor, DiskIdentity, Known
from syncer.replicate.compare import Difference
from syncer.replicate.messages import Begin
from syncer.replicate.receiving_brake import Question, ReceivingBrake
from syncer.state.base import Base, BaseRow
from syncer.state.brake import BrakeStore
from syncer.state.cursors import Standing
from syncer.state.store import StateStore
from tests.unit.index.rows import directory, file

SETTINGS = BrakeSettings(most=10, minimum=0, window=600.0)
FILES = [b"f%d" % number for number in range(100)]
CURSOR = Cursor("index", "run", 1)
STANDING = Standing(CURSOR, "node", b"", b"", resumable=True, generation=1)
PARTIAL = Begin(False, CURSOR, CURSOR)
FULL = Begin(True, None, CURSOR)


class Bench:
    """A brake, and what it asks about."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.root.mkdir()
        self.store = StateStore.open(folder / "state", create=True)
        self.base = Base(self.store)
        self.record([directory(b""), *(file(name, name) for name in FILES)], [])
        self.brake = self.started()

    def started(self) -> ReceivingBrake:
        return ReceivingBrake("d", self.root, SETTINGS, self.base, BrakeStore(self.store, "d"), "dr-a")

    def record(self, rows: list[Known], deletions: list[bytes]) -> None:
        identity = DiskIdentity(1, 1, 1, 1, 1)
        self.base.commit("d", [BaseRow(row.entry, identity) for row in rows], deletions, STANDING, None)

    def ask(self, deletions: list[bytes], rows: list[Known] | None = None, begin: Begin = PARTIAL) -> Question | None:
        self.brake.begin()
        changes = [Change(2, path, None) for path in deletions]
        changes += [Change(2, row.entry.path, row.entry) for row in rows or []]
        return self.brake.ask_partial(changes, begin, lambda path, is_directory: not path.startswith(b"excluded"))

    def apply(self, deletions: list[bytes], rows: list[Known] | None = None, begin: Begin = PARTIAL) -> None:
        assert self.ask(deletions, rows, begin) is None
        with self.store.transaction():
            self.record(rows or [], deletions)
            self.brake.commit()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.store.close()


def test_deletions_add_up_across_transactions_and_restarts(bench: Bench) -> None:
    for name in FILES[:10]:
        bench.apply([name])
    bench.brake = bench.started()
    question = bench.ask([FILES[10]])
    assert question is not None
    assert "11 of 100" in question.sentence
    assert "max_delete on dr-a" in question.sentence
    assert [item.path for item in question.approval.sample] == [FILES[10]]


def test_what_was_refused_or_failed_counts_for_nothing(bench: Bench) -> None:
    assert bench.ask(FILES[:11]) is not None
    assert bench.ask(FILES[:10]) is None
    assert bench.ask([], [file(b"never", FILES[20])]) is None
    bench.brake.begin()
    bench.brake.commit()
    bench.apply(FILES[20:30])
    assert bench.ask([FILES[30]]) is not None


def test_a_rename_over_two_transactions_and_a_passing_file_are_no_loss(bench: Bench) -> None:
    bench.apply([], [file(b"new-" + name, name) for name in FILES[:50]])
    bench.apply(FILES[:50], [file(b"passing%d" % n, b"p%d" % n) for n in range(30)])
    bench.apply([b"passing%d" % n for n in range(30)])


def test_new_metadata_is_no_arrival(bench: Bench) -> None:
    bench.apply([], [file(name, name, mode=0o600) for name in FILES])
    assert bench.ask(FILES[:11]) is not None


def test_what_is_not_here_cannot_be_lost(bench: Bench) -> None:
    bench.apply([b"gone%d" % n for n in range(100)])


def test_local_files_that_a_peer_names_count_as_far_as_they_are_in_scope(bench: Bench) -> None:
    for n in range(20):
        (bench.root / f"local{n}").write_text("of somebody")
        (bench.root / f"excluded{n}").write_text("of somebody")
    assert bench.ask([b"excluded%d" % n for n in range(20)]) is None
    assert bench.ask([b"local%d" % n for n in range(20)]) is not None


def test_an_approval_covers_its_paths_or_fewer_and_then_counting_begins_anew(bench: Bench) -> None:
    question = bench.ask(FILES[:20])
    assert question is not None
    approved = PARTIAL._replace(approval=question.approval.id)
    again = bench.ask(FILES[:21], begin=approved)
    assert again is not None
    assert again.approval.id != question.approval.id
    bench.apply(FILES[1:20], begin=approved)
    bench.apply(FILES[20:30])
    assert bench.ask([FILES[30]]) is not None


def test_the_same_deletions_ask_under_the_same_id(bench: Bench) -> None:
    first, second = bench.ask(FILES[:20]), bench.ask(FILES[:20])
    assert first is not None
    assert second is not None
    assert first.approval == second.approval


def test_what_a_person_on_production_approved_passes(bench: Bench) -> None:
    bench.apply(FILES, begin=PARTIAL._replace(deletions_approved=True))


def full(bench: Bench, kept: list[bytes]) -> list[Difference]:
    rows = {name: file(name, name).entry for name in FILES}
    return [Difference(Change(0, name, None), rows[name]) for name in FILES if name not in kept]


def test_a_full_synchronization_is_judged_by_the_same_rules(bench: Bench) -> None:
    bench.brake.begin()
    assert bench.brake.ask_full(full(bench, FILES[10:]), FULL) is None
    assert bench.brake.ask_full(full(bench, FILES[11:]), FULL) is not None
    moved = [Difference(Change(0, b"new-" + n, file(b"new-" + n, n).entry), None) for n in FILES[:50]]
    bench.brake.begin()
    assert bench.brake.ask_full([*full(bench, FILES[50:]), *moved], FULL) is None


def test_a_preview_asks_and_offers_nothing(bench: Bench) -> None:
    question = bench.brake.ask_full(full(bench, []), FULL._replace(dry_run=True))
    assert question is not None
    assert bench.base.approved_paths("d", question.approval.id) is None
