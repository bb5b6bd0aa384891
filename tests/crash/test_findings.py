"""What the enumerated crashes once found, each as a case of its own: the sample would meet it by chance only."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from syncer.errors import SyncerError
from syncer.files import Disk
from tests.crash.cases import in_private_mounts
from tests.crash.receiver import Place, SyncerReceiver
from tests.crash.stops import Ending, Failing
from tests.crash.transactions import EDITS, Transaction, across_mounts, catalogue, history_kinds, start
from tests.crash.trees import Tree, difference, read_tree
from tests.crash.ways import Bench

KINDS = catalogue(as_root=os.geteuid() == 0) | history_kinds()


@pytest.fixture
def bench(fast_folder: Path) -> Bench:
    return Bench(fast_folder, SyncerReceiver)


def point_of(bench: Bench, transaction: Transaction, name: str, path: bytes | None = None) -> int:
    """Return where an operation comes first in an undisturbed run."""
    return next(
        point
        for point, operation in enumerate(bench.operations(transaction))
        if operation.name == name and path in (None, operation.path)
    )


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("create file", "intent"),  # the root stays equal, and its identity must stay known
        ("overwrite several", "applied"),  # nothing is left to rename: what was displaced must not be let go
        ("rename directory", "flush_filesystem"),
        ("delete subtree", "commit"),
        ("roll back: delete subtree", "applied"),
    ],
)
def test_guarantee_6_a_kill_keeps_root_and_history(bench: Bench, kind: str, name: str) -> None:
    transaction = KINDS[kind]
    assert bench.dies(transaction, point_of(bench, transaction, name)) == ""


@pytest.mark.parametrize(
    ("kind", "name", "path"),
    [
        ("renamed name", "commit", b""),  # its stage holds a name of a file that stands
        ("rename file", "commit", b""),  # what is tried again must not count as edited here
        ("rename directory", "unlink", b"conf/third"),
        ("delete subtree", "set_times", b""),
        ("metadata of names", "set_attribute", b"conf/third"),  # what one name lacks, all lack
        ("overwrite", "flush_directory", b"conf"),
    ],
)
def test_guarantee_6_what_is_tried_again_loses_nothing(bench: Bench, kind: str, name: str, path: bytes) -> None:
    transaction = KINDS[kind]
    assert bench.fails(transaction, point_of(bench, transaction, name, path), errno.ENOSPC) == ""


def test_what_could_not_be_deleted_is_not_called_lost(bench: Bench) -> None:
    transaction = KINDS["delete subtree"]
    point = point_of(bench, transaction, "rename_new", b"conf/sub")
    assert bench.fails(transaction, point, errno.EACCES) == ""


def test_guarantee_5_an_attribute_without_room_is_no_problem_of_its_path(bench: Bench) -> None:
    transaction = KINDS["file attributes"]
    point = point_of(bench, transaction, "set_attribute", b"conf/b")
    failing = Failing(point, errno.EDQUOT)
    with bench.prepared(transaction) as place:
        receiver = SyncerReceiver(place, Disk(failing), failing)
        with pytest.raises(SyncerError, match="quota"):
            receiver.apply(transaction.stopped())
        assert difference(read_tree(place.root)[0], transaction.before.entries) == ""
        receiver.apply(transaction.stopped())
        assert receiver.excused() == set()
        receiver.close()


@pytest.mark.needs_root
@pytest.mark.needs("mount", "umount")
def test_what_was_staged_on_another_mount_is_removed(fast_folder: Path) -> None:
    transaction = across_mounts()

    def stop() -> str:
        bench = Bench(fast_folder, SyncerReceiver)
        return bench.dies(transaction, point_of(bench, transaction, "flush_file", b"mnt/from-here"))

    assert in_private_mounts(stop) == ""


def test_guarantee_8_taking_back_follows_nobody_outside(bench: Bench, fast_folder: Path) -> None:
    transaction = KINDS["file metadata"]
    outside = fast_folder / "outside"
    outside.write_bytes(b"another's")
    outside.chmod(0o640)
    before = outside.stat()

    def attack(name: str, path: bytes) -> None:
        if name != "set_times" or path != b"conf/b":
            return
        place.root.joinpath("conf/a").unlink()
        place.root.joinpath("conf/a").hardlink_to(outside)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with bench.prepared(transaction) as place:
        receiver = SyncerReceiver(place, Disk(attack), attack)
        with pytest.raises(SyncerError):
            receiver.apply(transaction.stopped())
        assert (outside.stat().st_mode, outside.stat().st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
        receiver.close()


def remove_directory(place: Place) -> None:
    (place.root / "conf").rename(place.folder / "taken-away")


def write_in_place(place: Place) -> None:
    with (place.root / "conf/a").open("ab") as file:
        file.write(b"edited")


def give_another_name(place: Place) -> None:
    (place.root / "another").hardlink_to(place.root / "conf/a")


@pytest.mark.parametrize("kind", ["file metadata", "overwrite", "create file", "directory metadata"])
@pytest.mark.parametrize("edit", [remove_directory, write_in_place, give_another_name])
def test_guarantee_5_an_edit_before_the_restart_is_noticed(
    bench: Bench, kind: str, edit: Callable[[Place], None]
) -> None:
    transaction = KINDS[kind]
    point = point_of(bench, transaction, "applied")
    with bench.prepared(transaction) as place:
        bench.kill(place, transaction, Ending(point))
        edit(place)
        receiver = SyncerReceiver(place, Disk(), lambda name, path: None)
        assert not receiver.is_between()
        assert receiver.cursor() == transaction.stopped().number
        receiver.fill(transaction.following().number, transaction.after)
        assert difference(read_tree(place.root)[0], transaction.after.entries) == ""
        receiver.close()


def test_guarantee_11_what_cannot_be_ended_is_said(bench: Bench) -> None:
    transaction = KINDS["overwrite several"]
    failing = Failing(0, errno.EROFS, "all")
    with bench.prepared(transaction) as place:
        bench.kill(place, transaction, Ending(point_of(bench, transaction, "exchange")))
        receiver = SyncerReceiver(place, Disk(failing), failing, must_be_whole=False)
        assert "could not be carried to its end" in receiver.refusal()
        failing.is_on = False
        receiver.apply(transaction.stopped())
        assert receiver.refusal() == ""
        receiver.close()


def test_guarantee_6_attributes_of_an_edited_directory_come_back(bench: Bench) -> None:
    transaction = KINDS["delete subtree"]
    with bench.prepared(transaction) as place:
        os.setxattr(place.root / "conf/sub", "user.edited", b"here")
        before = read_tree(place.root)[0]
        receiver = SyncerReceiver(place, Disk(), lambda name, path: None)
        receiver.apply(transaction.stopped())
        receiver.roll_back(receiver.generation() - 1)
        assert difference(read_tree(place.root)[0], before) == ""
        receiver.close()


def renamed_with_large_contents(tree: Tree) -> Tree:
    # More than what is sent along: then the files that go get their new names, and no copy is made.
    return tree.file(b"conf/large", bytes(9000)).move(b"conf", b"settings")


@pytest.mark.parametrize("edit", [EDITS["delete subtree"], renamed_with_large_contents])
def test_a_name_that_goes_is_not_called_lost(bench: Bench, edit: Callable[[Tree], Tree]) -> None:
    transaction = Transaction("", start(), edit(start().copy()))
    with bench.prepared(transaction) as place:
        receiver = SyncerReceiver(place, Disk(), lambda name, path: None)
        receiver.apply(transaction.stopped())
        assert receiver.leftovers() == []
        receiver.close()


def test_the_area_stays_where_it_was_made_first(bench: Bench) -> None:
    before = Tree().file(b"earlier", b"e")
    transaction = Transaction("", before, before.copy().file(b"earlier", b"f"))
    failing = Failing(0, errno.EROFS)
    with bench.prepared(transaction) as place:
        assert (place.folder / ".syncer").exists()
        receiver = SyncerReceiver(place, Disk(failing), failing)
        with pytest.raises(SyncerError):
            receiver.apply(transaction.stopped())
        receiver.close()
        assert not (place.root / ".syncer").exists()
