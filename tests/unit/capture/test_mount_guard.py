"""The shape of a root is withdrawn before anything that rests on another one is committed."""

from __future__ import annotations

from syncer.capture.mount_guard import MountGuard
from syncer.capture.root_shape import Glance
from syncer.model import Mount, RootShape

WITH = RootShape(False, frozenset({Mount(b"", "a", b"/"), Mount(b"data", "b", b"/")}))
WITHOUT = RootShape(False, frozenset({Mount(b"", "a", b"/")}))


class FakeWatch:
    def __init__(self) -> None:
        self.shape = WITH
        self.moved = True

    def look(self) -> Glance:
        moved, self.moved = self.moved, False
        return Glance(self.shape, moved)

    def move(self, shape: RootShape) -> None:
        self.shape, self.moved = shape, True


class Guarded:
    """A guard, its mounts, and what it announced."""

    def __init__(self) -> None:
        self.watch = FakeWatch()
        self.told: list[RootShape | None] = []
        self.guard = MountGuard(self.watch, self.told.append)

    def scan(self, *, deletes: bool = False, amid: RootShape | None = None) -> None:
        self.guard.begin_scan()
        if amid is not None:
            self.watch.move(amid)
        self.guard.before_commit(deletes=deletes)
        self.guard.end_scan()


def test_nothing_is_said_before_the_first_scan_is_committed() -> None:
    found = Guarded()
    assert not found.guard.look()
    found.guard.begin_scan()
    found.guard.before_commit(deletes=False)
    assert found.told == []
    found.guard.end_scan()
    assert found.told == [WITH]


def test_a_mount_that_goes_is_withdrawn_before_the_commit_and_given_after_a_whole_scan() -> None:
    found = Guarded()
    found.scan()
    found.watch.move(WITHOUT)
    found.guard.before_commit(deletes=True)
    assert found.told == [WITH, None]
    assert found.guard.wants_scan
    found.scan()
    assert found.told == [WITH, None, WITHOUT]
    assert not found.guard.wants_scan


def test_a_mount_that_goes_between_two_groups_is_seen_by_the_next_look() -> None:
    found = Guarded()
    found.scan()
    assert not found.guard.look()
    found.watch.move(WITHOUT)
    assert found.guard.look()
    assert found.told[-1] is None


def test_a_mount_that_went_and_is_back_spoils_deletions_and_nothing_else() -> None:
    found = Guarded()
    found.scan()
    found.watch.move(WITH)
    found.guard.before_commit(deletes=False)
    assert found.told == [WITH]
    found.watch.move(WITH)
    found.guard.before_commit(deletes=True)
    assert found.told == [WITH, None]
    found.scan()
    assert found.told == [WITH, None, WITH]


def test_a_scan_during_which_mounts_move_gives_nothing_back() -> None:
    found = Guarded()
    found.scan()
    found.watch.move(WITHOUT)
    found.guard.look()
    found.scan(amid=WITH)
    assert found.told == [WITH, None]
    assert found.guard.wants_scan
    found.scan()
    assert found.told == [WITH, None, WITH]


def test_a_first_scan_during_which_mounts_move_says_nothing() -> None:
    found = Guarded()
    found.scan(amid=WITHOUT)
    assert found.told == []
    assert found.guard.wants_scan
    found.scan()
    assert found.told == [WITHOUT]
