"""What the brake remembers survives a restart, apart for each domain and target."""

from __future__ import annotations

from pathlib import Path

from syncer.model import Kind, Mount, RootShape
from syncer.state.brake import BrakeStore
from syncer.state.store import StateStore

SHAPE = RootShape(True, frozenset({Mount(b"", "UUID=1", b"/"), Mount(b"a\xff", "tmpfs é", b"/")}))


def opened(tmp_path: Path) -> StateStore:
    return StateStore.open(tmp_path / "state", create=True)


def test_losses_survive_and_are_replaced_one_by_one(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        BrakeStore(store, "d").replace_losses((), [(b"a", Kind.FILE, b"x", 1.0), (b"b", Kind.SYMLINK, b"y", 2.0)])
        BrakeStore(store, "other").replace_losses((), [(b"a", Kind.FILE, b"z", 3.0)])
        BrakeStore(store, "d").replace_losses([b"a"], [(b"c", Kind.DIRECTORY, b"", 4.0)])
    with opened(tmp_path) as store:
        found = BrakeStore(store, "d").losses()
        assert sorted(found) == [(b"b", Kind.SYMLINK, b"y", 2.0), (b"c", Kind.DIRECTORY, b"", 4.0)]
        assert BrakeStore(store, "other").losses() == [(b"a", Kind.FILE, b"z", 3.0)]


def test_an_accepted_shape_survives_and_belongs_to_one_target(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        assert BrakeStore(store, "d", "dr-a").shape() is None
        BrakeStore(store, "d", "dr-a").accept_shape(SHAPE)
        BrakeStore(store, "d", "dr-b").accept_shape(RootShape(False, frozenset()))
    with opened(tmp_path) as store:
        assert BrakeStore(store, "d", "dr-a").shape() == SHAPE
        assert BrakeStore(store, "d", "dr-b").shape() == RootShape(False, frozenset())
        assert BrakeStore(store, "d").shape() is None


def test_approved_deletions_survive_until_they_are_used(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        BrakeStore(store, "d", "dr-a").replace_approved([b"a", b"b"])
    with opened(tmp_path) as store:
        assert BrakeStore(store, "d", "dr-a").approved() == {b"a", b"b"}
        assert BrakeStore(store, "d", "dr-b").approved() == frozenset()
        BrakeStore(store, "d", "dr-a").forget()
        assert BrakeStore(store, "d", "dr-a").approved() == frozenset()
