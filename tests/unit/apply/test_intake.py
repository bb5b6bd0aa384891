"""What a transaction displaced is in the history afterwards, whatever it was and whenever the agent died."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import blake3
import pytest

from syncer.apply import intake, keep_copy
from syncer.errors import ApplyError
from syncer.files import Disk
from syncer.model import Kind
from syncer.state.generations import Displaced, write_displaced
from syncer.state.kept import read_unkept
from tests.unit.apply.displacing import DOMAIN, Core, entry_of_file
from tests.unit.apply.trees import read_tree


def digest(data: bytes) -> bytes:
    return blake3.blake3(data).digest()


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    core = Core(tmp_path)
    yield core
    core.close()


def stages(core: Core) -> list[str]:
    return [name for name in os.listdir(core.area) if name.startswith("stage-")]


def shares_bytes(where: Path) -> bool:
    """Tell whether the file system clones: then nothing is ever too large to be kept."""
    with open(where / "one", "w+b") as one, open(where / "two", "w+b") as two:
        one.write(b"x")
        one.flush()
        try:
            Disk().clone(one.fileno(), two.fileno())
        except ApplyError:
            return False
    return True


def test_a_file_with_one_name_is_moved_and_closed_to_others(core: Core) -> None:
    core.write({"a": b"one"})
    inode = (core.root / "a").stat().st_ino
    core.write({"a": b"two"})
    core.history.take_all_in()
    kept = core.area / "kept" / digest(b"one").hex()
    found = kept.stat()
    assert (found.st_ino, stat.S_IMODE(found.st_mode), kept.read_bytes()) == (inode, 0o600, b"one")
    assert core.recorded(2).stage == b""
    assert stages(core) == []


def test_a_file_with_another_name_is_copied_and_that_name_stays(core: Core, tmp_path: Path) -> None:
    core.write({"a": b"one"})
    os.link(core.root / "a", tmp_path / "elsewhere")
    core.write({"a": b"two"})
    core.history.take_all_in()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"written later")
    assert core.kept(digest(b"one")) == b"one"
    assert elsewhere.stat().st_nlink == 1
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o644


def test_what_someone_may_still_write_to_is_copied(core: Core) -> None:
    core.write({"a": b"one"})
    with open(core.root / "a", "ab") as writer:
        core.write({"a": b"two"})
        core.history.take_all_in()
        writer.write(b" and more")
    assert core.kept(digest(b"one")) == b"one"


def test_an_edited_file_is_kept_as_it_was(core: Core) -> None:
    core.write({"a": b"one"})
    (core.root / "a").write_bytes(b"edited here")
    (core.root / "a").chmod(0o4711)
    core.write({"a": b"two"})
    core.history.take_all_in()
    row = core.rows(2)[b"a"]
    assert row.edited
    assert row.entry is not None
    assert (row.entry.digest, row.entry.mode, row.entry.size) == (digest(b"edited here"), 0o4711, 11)
    assert core.kept(row.entry.digest) == b"edited here"


def test_an_edit_between_the_row_and_the_move_is_what_is_kept(core: Core) -> None:
    core.write({"a": b"one"})
    tree, contents = read_tree(core.root)
    del tree[b"a"]
    core.apply(tree, contents, strangers={b"a": b"edited at the last moment"})
    core.history.take_all_in()
    row = core.rows(2)[b"a"]
    assert row.edited
    assert row.entry is not None
    assert core.kept(row.entry.digest) == b"edited at the last moment"


def test_links_and_directories_live_in_rows_only(core: Core) -> None:
    core.write({"d/x": b"one", "keep": b"k"})
    os.symlink("/etc/passwd", core.root / "edited")
    core.write({"d": None, "edited": None})
    core.history.take_all_in()
    rows = core.rows(2)
    assert rows[b"edited"].entry is not None
    assert rows[b"edited"].entry.link_target == b"/etc/passwd"
    assert rows[b"d"].entry is not None
    assert rows[b"d"].entry.kind is Kind.DIRECTORY
    assert core.kept_names() == [digest(b"one").hex()]


def test_what_was_created_below_a_directory_just_before_it_went_is_kept_too(core: Core) -> None:
    core.write({"d/x": b"one"})
    (core.root / "d/new").mkdir(mode=0o710)
    tree, contents = read_tree(core.root)
    tree = {path: entry for path, entry in tree.items() if path == b""}
    core.apply(tree, contents, strangers={b"d/stranger": b"nobody knows me", b"d/new/er": b"nor me"})
    core.history.take_all_in()
    rows = core.rows(2)
    for path, data in ((b"d/stranger", b"nobody knows me"), (b"d/new/er", b"nor me")):
        entry = rows[path].entry
        assert rows[path].edited
        assert entry is not None
        assert core.kept(entry.digest) == data
    core.roll_back(1)
    assert (core.root / "d/stranger").read_bytes() == b"nobody knows me"
    assert stat.S_IMODE((core.root / "d/new").stat().st_mode) == 0o710


def test_equal_contents_are_kept_once(core: Core) -> None:
    core.write({"a": b"same", "b": b"same", "d/c": b"same"})
    core.write({"a": b"1", "b": b"2", "d": None})
    core.history.take_all_in()
    core.write({"a": b"same"})
    core.write({"a": b"3"})
    core.history.take_all_in()
    assert core.kept_names() == sorted([digest(b"same").hex(), digest(b"1").hex()])


def test_what_is_too_large_to_be_copied_makes_the_generation_incomplete(
    core: Core, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shares_bytes(tmp_path):
        pytest.skip("this file system shares bytes between files")
    monkeypatch.setattr(keep_copy, "COPIED_AT_MOST", 3)
    core.write({"a": b"four", "b": b"two"})
    for name in "ab":
        os.link(core.root / name, tmp_path / f"other-{name}")
    core.write({"a": b"x", "b": b"y"})
    core.history.take_all_in()
    assert list(read_unkept(core.store, DOMAIN, 2)) == [b"a"]
    assert core.recorded(2).incomplete.startswith("a has 4 bytes")
    assert core.kept_names() == [digest(b"two").hex()]


def test_a_torn_copy_makes_the_generation_incomplete(core: Core, tmp_path: Path) -> None:
    if shares_bytes(tmp_path):
        pytest.skip("this file system shares bytes between files")
    core.write({"a": b"one"})
    os.link(core.root / "a", tmp_path / "other")

    def write_meanwhile(operation: str, _: bytes) -> None:
        if operation == "copy_range" and (tmp_path / "other").stat().st_size == 3:
            (tmp_path / "other").write_bytes(b"written meanwhile")

    core.write({"a": b"two"})
    core.new_history(Disk(write_meanwhile)).take_all_in()
    assert read_unkept(core.store, DOMAIN, 2) == {b"a": "was written to while it was copied"}
    assert core.kept_names() == []


def test_a_fifo_is_named_and_nothing_waits_for_it(core: Core) -> None:
    core.write({"d/x": b"one"})
    core.write({"d": None})
    [place] = (core.area / "stage-2").iterdir()
    os.mkfifo(place / "fifo")
    core.history.take_all_in()
    assert "FIFO" in read_unkept(core.store, DOMAIN, 2)[b"d/fifo"]
    assert stages(core) == []


def test_what_was_taken_out_of_the_stage_is_missed(core: Core) -> None:
    core.write({"a": b"one", "b": b"two"})
    core.write({"a": b"1", "b": b"2"})
    row = core.rows(2)[b"a"]
    (core.area / "stage-2" / os.fsdecode(row.place)).unlink()
    core.history.take_all_in()
    assert list(read_unkept(core.store, DOMAIN, 2)) == [b"a"]
    assert core.kept_names() == [digest(b"two").hex()]


def test_what_was_staged_and_never_placed_goes(core: Core) -> None:
    core.write({"a": b"one"})
    core.write({"a": b"two"})
    (core.area / "stage-2" / "dropped").mkdir()
    (core.area / "stage-2" / "dropped" / "x").write_bytes(b"from production")
    core.history.take_all_in()
    assert core.kept_names() == [digest(b"one").hex()]
    assert stages(core) == []


def test_a_step_takes_no_more_than_it_is_told(core: Core) -> None:
    core.write({f"d/e/{number}": b"%d" % number for number in range(9)})
    core.write({"d": None})
    steps = 1
    while core.history.take_in(2):
        steps += 1
        assert steps < 20
    assert steps >= 5
    assert len(core.kept_names()) == 9


def test_without_leases_everything_is_still_kept(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "nobody_writes", lambda _: False)
    core.write({"a": b"one"})
    core.write({"a": b"two"})
    core.history.take_all_in()
    assert core.kept(digest(b"one")) == b"one"


@pytest.mark.needs_root
@pytest.mark.serial
def test_what_lay_on_another_mount_is_kept_on_that_one(core: Core) -> None:
    core.write({"a": b"one"})
    mounted = core.root / "data"
    mounted.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", mounted], check=True)
    try:
        core.write({"a": b"two"})
        stage = mounted / ".syncer" / core.area.name / "stage-2"
        stage.mkdir(parents=True, mode=0o700)
        # The same name as in the stage of the root's own mount.
        [place] = (core.area / "stage-2").iterdir()
        (stage / place.name).write_bytes(b"on another mount")
        with core.store.transaction() as writer:
            row = Displaced(b"data/x", entry_of_file(b"data/x", b"unknown")[0], True, os.fsencode(place.name))
            write_displaced(writer, DOMAIN, 2, [row])
        core.history.take_all_in()
        assert core.kept(digest(b"one")) == b"one"
        assert core.kept(digest(b"on another mount")) == b"on another mount"
        assert core.kept_names() == [digest(b"one").hex()]
        assert core.recorded(2).incomplete == ""
        core.close_areas()
    finally:
        subprocess.run(["umount", mounted], check=True)
    assert core.history.opener()(digest(b"on another mount")) is None
    assert core.kept(digest(b"one")) == b"one"


def displace_all_kinds(core: Core, elsewhere: Path) -> None:
    core.write({"a": b"one", "b": b"one", "linked": b"three", "d/e/x": b"four", "d/y": b"", "gone": b"five"})
    os.link(core.root / "linked", elsewhere)
    (core.root / "d/edited").write_bytes(b"edited here")
    (core.root / "d/edited").chmod(0o600)
    os.symlink("away", core.root / "d/link")


def test_a_crash_at_any_operation_loses_nothing(tmp_path: Path) -> None:
    """The agent dies at each operation in turn; the next one finishes, and all of it comes back."""
    stop_at = 0
    while True:
        where = tmp_path / str(stop_at)
        where.mkdir()
        core = Core(where)
        displace_all_kinds(core, where / "elsewhere")
        before, contents = read_tree(core.root)
        core.write({"a": b"2", "b": b"3", "linked": b"4", "d": b"a file now", "gone": None})
        left = stop_at

        def stop(operation: str, path: bytes) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(5, f"stopped at {operation}", path)

        stopped = False
        try:
            core.new_history(Disk(stop)).take_all_in()
        except ApplyError:
            stopped = True
        again = core.new_history()
        again.sweep()
        again.take_all_in()
        assert stages(core) == []
        assert core.recorded(2).incomplete == ""
        assert not [name for name in core.kept_names() if name.startswith("new-")]
        # A second recovery changes nothing.
        names = core.kept_names()
        core.new_history().sweep()
        assert core.kept_names() == names
        core.roll_back(1)
        after, found = read_tree(core.root)
        assert after == before, f"stopped at operation {stop_at}"
        assert found == contents
        core.close()
        if not stopped:
            break
        stop_at += 1
    assert stop_at > 20
