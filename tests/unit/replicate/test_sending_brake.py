"""Production's brake over a real index: what it lets pass, what it offers, what it forgets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer.config.settings import BrakeSettings
from syncer.index.store import IndexStore
from syncer.model import Cursor, Mount, RootShape
from syncer.replicate.sending_brake import BrakedError, SendingBrake
from syncer.state.brake import BrakeStore
from syncer.state.store import StateStore
from tests.unit.index.rows import directory, file

SETTINGS = BrakeSettings(most=10, minimum=0, window=600.0)
HERE = RootShape(False, frozenset({Mount(b"", "UUID=1", b"/")}))
ELSEWHERE = RootShape(False, frozenset({Mount(b"", "UUID=2", b"/")}))
FILES = [b"f%d" % number for number in range(100)]


class Bench:
    """A brake, the index it judges, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.index = IndexStore.open(folder / "index.db")
        self.state = StateStore.open(folder / "state", create=True)
        self.shape: RootShape | None = HERE
        self.now = 0.0
        self.write([directory(b""), *(file(name, name) for name in FILES)])
        self.brake = self.started()
        self.cursor = Cursor(*self.index.head("d"))
        self.send()

    def started(self) -> SendingBrake:
        return SendingBrake("dr-a", "d", "/root", SETTINGS, BrakeStore(self.state, "d", "dr-a"), lambda: self.shape)

    def write(self, upserts: list[object] = [], deletions: list[bytes] = []) -> None:  # noqa: B006  # only read
        self.index.commit_group("d", upserts, deletions, torn=False)  # type: ignore[arg-type]  # rows of the index

    def judge(self) -> bool:
        with self.index.snapshot("d") as snapshot:
            return self.brake.judge(snapshot, self.index, self.cursor, self.now)

    def send(self) -> None:
        """Judge, and take the target's acknowledgement in."""
        approved = self.judge()
        self.cursor = Cursor(*self.index.head("d"))
        self.brake.acknowledged(self.cursor.seq, self.now, approved=approved)

    def offered(self) -> str:
        return self.brake.offer(self.index, self.cursor, self.now).id


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.index.close()
    bench.state.close()


def test_deletions_add_up_over_what_was_sent_already(bench: Bench) -> None:
    for name in FILES[:10]:
        bench.write(deletions=[name])
        bench.send()
    bench.write(deletions=[FILES[10]])
    with pytest.raises(BrakedError, match=r"11 of 100 paths.*f10.*`syncer approve dr-a`"):
        bench.send()


def test_what_is_older_than_the_window_counts_no_more(bench: Bench) -> None:
    bench.write(deletions=FILES[:10])
    bench.send()
    bench.now += 590.0
    bench.write(deletions=[FILES[10]])
    with pytest.raises(BrakedError):
        bench.send()
    bench.now += 20.0
    bench.send()


def test_renames_and_what_only_passed_do_not_count(bench: Bench) -> None:
    bench.write([file(b"new-" + name, name) for name in FILES[:50]])
    bench.send()
    bench.write([file(b"passing%d" % n, b"p%d" % n) for n in range(50)], FILES[:50])
    bench.send()
    bench.write(deletions=[b"passing%d" % n for n in range(50)])
    bench.send()


def test_files_that_are_back_free_it(bench: Bench) -> None:
    bench.write(deletions=FILES[:20])
    with pytest.raises(BrakedError):
        bench.send()
    bench.write([file(name, b"another content") for name in FILES[:20]])
    bench.send()


def test_an_approval_lets_pass_what_was_offered_or_less_and_is_used_up(bench: Bench) -> None:
    bench.write(deletions=FILES[:20])
    offer = bench.brake.offer(bench.index, bench.cursor, bench.now)
    assert offer.deletions == 20
    bench.brake.approve("of something else")
    with pytest.raises(BrakedError):
        bench.judge()
    bench.brake.approve(offer.id)
    bench.write(deletions=[FILES[20]])
    with pytest.raises(BrakedError):
        bench.judge()
    bench.write([file(name, name) for name in (FILES[0], FILES[20])])
    assert bench.judge()
    bench.send()
    # What a person let pass does not brake what follows; but the next twenty ask again.
    bench.write(deletions=FILES[21:30])
    bench.send()
    bench.write(deletions=FILES[30:50])
    with pytest.raises(BrakedError):
        bench.send()


def test_an_approval_and_an_accepted_place_survive_a_restart(bench: Bench) -> None:
    bench.write(deletions=FILES[:20])
    bench.brake.approve(bench.offered())
    bench.brake = bench.started()
    assert bench.judge()
    bench.shape = ELSEWHERE
    bench.brake = bench.started()
    assert "UUID=2" in (bench.brake.trouble() or "")


def test_after_a_restart_what_the_target_lacks_still_counts(bench: Bench) -> None:
    bench.write(deletions=FILES[:20])
    bench.brake = bench.started()
    with pytest.raises(BrakedError):
        bench.judge()


def test_another_place_holds_everything_back_until_it_is_accepted_with_its_deletions(bench: Bench) -> None:
    bench.shape = None
    assert bench.brake.trouble() is None
    with pytest.raises(BrakedError):
        bench.judge()
    bench.write(deletions=FILES[:3])
    bench.shape = ELSEWHERE
    assert "/root is on UUID=2" in (bench.brake.trouble() or "")
    with pytest.raises(BrakedError, match="UUID=2"):
        bench.judge()
    before = bench.offered()
    bench.shape = HERE
    assert bench.brake.trouble() == ""
    assert bench.offered() != before, "the same deletions under another place are another question"
    bench.shape = ELSEWHERE
    bench.brake.approve(before)
    assert bench.brake.trouble() == ""
    assert bench.judge()


def test_an_unknown_cursor_is_left_to_the_target(bench: Bench) -> None:
    bench.write(deletions=FILES)
    bench.cursor = Cursor("another index", "run", 3)
    assert not bench.judge()
    assert bench.brake.offer(bench.index, bench.cursor, bench.now).deletions == 0


def test_the_event_says_how_many_of_how_many(bench: Bench) -> None:
    bench.write(deletions=FILES[:20])
    with pytest.raises(BrakedError) as braked:
        bench.judge()
    reason = str(braked.value)
    assert bench.brake.engaged_by(reason)
    assert not bench.brake.engaged_by(reason)
    assert not bench.brake.engaged_by("")
    assert bench.brake.engaged_by(reason)
    waiting = bench.brake.offer(bench.index, bench.cursor, bench.now)
    assert bench.brake.event(waiting, bench.index, reason) == {
        "target": "dr-a", "domain": "d", "deletions": 20, "paths": 100, "limit": 10, "reason": reason,
    }  # fmt: skip  # one line


def test_a_forgotten_target_takes_its_place_and_approvals_along(bench: Bench) -> None:
    bench.write(deletions=FILES[:20])
    bench.brake.approve(bench.offered())
    bench.brake.reset()
    bench.shape = ELSEWHERE
    assert bench.brake.trouble() == ""
    assert BrakeStore(bench.state, "d", "dr-a").approved() == frozenset()


def test_what_was_approved_and_put_back_asks_again_when_it_goes(bench: Bench) -> None:
    bench.write(deletions=FILES[:20])
    bench.brake.approve(bench.brake.offer(bench.index, bench.cursor, bench.now).id)
    bench.send()
    bench.write([file(name, name) for name in FILES[:20]])
    bench.send()
    bench.write(deletions=FILES[:20])
    with pytest.raises(BrakedError):
        bench.judge()
