"""How long the history keeps, what it never forgets, and that it notices damage."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import blake3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.apply.integrity import CHECK_AGAIN
from syncer.apply.retention import oldest_to_forget, reachable
from syncer.config.settings import HistorySettings
from syncer.errors import ApplyError
from syncer.files import Disk
from syncer.state.generations import read_generations
from syncer.state.kept import kept_bytes, read_unkept
from tests.unit.apply.displacing import DOMAIN, Core


def digest(data: bytes) -> bytes:
    return blake3.blake3(data).digest()


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    core = Core(tmp_path)
    yield core
    core.close()


def limited(core: Core, generations: int = 20, size: int = 1 << 30) -> Core:
    core.limits = HistorySettings(generations, size)
    core.new_history()
    return core


def numbers(core: Core) -> list[int]:
    return [item.number for item in read_generations(core.store, DOMAIN)]


def tend(core: Core) -> None:
    while core.history.tend():
        continue
    # What was taken in now may be too much.
    core.history.tend()


def rewrite(core: Core, *contents: bytes) -> None:
    for content in contents:
        core.write({"a": content})
        tend(core)


def test_the_oldest_generations_go_by_count_with_what_only_they_need(core: Core) -> None:
    limited(core, generations=2)
    rewrite(core, b"1", b"2", b"3", b"4")
    assert numbers(core) == [3, 4]
    assert core.kept_names() == sorted([digest(b"2").hex(), digest(b"3").hex()])


def test_a_content_that_a_later_generation_needs_stays(core: Core) -> None:
    limited(core, generations=2)
    rewrite(core, b"same", b"other", b"same", b"last")
    assert core.kept_names() == sorted([digest(b"other").hex(), digest(b"same").hex()])


def test_the_oldest_go_by_size_but_never_the_newest(core: Core) -> None:
    limited(core, size=25)
    rewrite(core, b"1" * 10, b"2" * 10, b"3" * 10, b"4" * 10)
    assert kept_bytes(core.store, DOMAIN) == 20
    assert numbers(core) == [3, 4]
    rewrite(core, b"5" * 100, b"6")
    assert numbers(core) == [6]
    assert kept_bytes(core.store, DOMAIN) == 100


def test_nothing_that_an_open_procedure_needs_is_pruned(core: Core) -> None:
    limited(core, generations=1)
    rewrite(core, b"1", b"2")
    core.history.pin(2, "reverse of prod-a")
    rewrite(core, b"3", b"4", b"5")
    assert numbers(core) == [2, 3, 4, 5]
    core.roll_back(2)
    assert (core.root / "a").read_bytes() == b"2"
    core.history.unpin("reverse of prod-a")
    tend(core)
    assert numbers(core) == [6]


def test_a_protected_generation_stays_whatever_the_limits_say_and_counts_for_none_of_them(core: Core) -> None:
    limited(core, generations=2)
    core.history.protect(2, "never sent")
    rewrite(core, b"1", b"2", b"3", b"4", b"5", b"6")
    tend(core)
    assert numbers(core) == [2, 5, 6]
    assert core.history.release(2)
    assert not core.history.release(2)
    tend(core)
    assert numbers(core) == [5, 6]


def test_with_no_generations_nothing_is_kept(core: Core) -> None:
    limited(core, generations=0)
    core.write({"a": b"1", "d/x": b"2"})
    core.write({"a": b"3", "d": None})
    tend(core)
    assert numbers(core) == []
    assert os.listdir(core.area) == []


@pytest.mark.parametrize("taken_in", [True, False], ids=["taken in", "still in its stage"])
def test_a_crash_at_any_operation_of_pruning_leaves_what_is_needed_and_nothing_else(
    tmp_path: Path, taken_in: bool
) -> None:
    stop_at = 0
    while True:
        where = tmp_path / str(stop_at)
        where.mkdir()
        core = Core(where)
        core.write({"a": b"1", "d/x": b"old", "d/y": b"older"})
        core.write({"a": b"2", "d": None})
        if taken_in:
            core.history.take_all_in()
        core.write({"a": b"3"})
        core.limits = HistorySettings(1)
        left = stop_at

        def stop(operation: str, path: bytes) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(5, f"stopped at {operation}", path)

        stopped = False
        try:
            core.new_history(Disk(stop)).prune()
        except ApplyError:
            stopped = True
        core.new_history()
        tend(core)
        assert numbers(core) == [3]
        assert core.kept_names() == [digest(b"2").hex()]
        assert [name for name in os.listdir(core.area) if name.startswith("stage-")] == []
        core.roll_back(2)
        assert (core.root / "a").read_bytes() == b"2"
        core.close()
        if not stopped:
            break
        stop_at += 1
    assert stop_at >= (3 if taken_in else 5)


def test_damage_is_noticed_told_and_set_aside(core: Core) -> None:
    rewrite(core, b"first", b"second", b"third")
    where = core.area / "kept" / digest(b"first").hex()
    where.write_bytes(b"FIRST")
    core.history.check(1 << 20)
    assert core.events == [], "it was read a moment ago"
    core.now += CHECK_AGAIN + 1
    for _ in range(20):
        core.history.check(3)
    assert core.events == [("history.damaged", {"domain": DOMAIN, "path": "a", "generations": "2"})]
    assert read_unkept(core.store, DOMAIN, 2) == {b"a": "was damaged in the history"}
    assert core.history.opener()(digest(b"first")) is None
    assert core.kept(digest(b"second")) == b"second"
    assert os.listdir(core.area / "damaged") == [digest(b"first").hex()]
    # It is not read again and again.
    core.history.check(1 << 20)
    assert len(core.events) == 1


def test_a_content_that_somebody_removed_is_damage(core: Core) -> None:
    rewrite(core, b"first", b"second")
    (core.area / "kept" / digest(b"first").hex()).unlink()
    core.now += CHECK_AGAIN + 1
    core.history.check(1 << 20)
    assert [name for name, _ in core.events] == ["history.damaged"]
    assert "damaged" in core.recorded(2).incomplete


def test_a_damaged_content_is_replaced_when_it_comes_again(core: Core) -> None:
    rewrite(core, b"first", b"second")
    (core.area / "kept" / digest(b"first").hex()).write_bytes(b"shorter")
    rewrite(core, b"first", b"third")
    assert core.kept(digest(b"first")) == b"first"


def test_what_the_records_lost_is_found_again_and_the_rest_goes(core: Core) -> None:
    rewrite(core, b"first", b"second")
    with core.store.transaction() as writer:
        writer.execute("DELETE FROM kept")
    (core.area / "kept" / ("ab" * 32)).write_bytes(b"needed by nobody")
    (core.area / "kept" / "new-7").write_bytes(b"half a copy")
    core.new_history().sweep()
    assert core.kept_names() == [digest(b"first").hex()]
    assert core.kept(digest(b"first")) == b"first"


def test_without_anything_to_keep_no_directory_is_looked_for(tmp_path: Path) -> None:
    core = Core(tmp_path)
    core.area.rmdir()
    core.root.rmdir()
    assert core.history.tend() is False
    core.close()


@given(
    st.lists(st.integers(1, 60), unique=True).map(sorted),
    st.integers(0, 300),
    st.integers(0, 30),
    st.integers(0, 200),
    st.lists(st.integers(1, 60), max_size=2),
)
def test_only_the_oldest_is_ever_chosen_and_pins_hold(
    there: list[int], held: int, generations: int, size: int, pinned: list[int]
) -> None:
    chosen = oldest_to_forget(there, held, HistorySettings(generations, size), pinned)
    if chosen is None:
        over = len(there) > generations or (held > size and len(there) > 1)
        assert not over or any(pin <= there[0] for pin in pinned)
    else:
        assert chosen == there[0]
        assert all(pin > chosen for pin in pinned)
        assert len(there) > generations or (len(there) > 1 and held > size)


def test_what_is_reachable_ends_at_a_gap() -> None:
    assert list(reachable([4, 5, 6])) == [3, 4, 5]
    assert list(reachable([1, 2, 5, 6])) == [4, 5]
    assert list(reachable([3])) == [2]
    assert not reachable([])
