from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

import blake3
import pytest

from syncer.apply.applier import Applied, Applier
from syncer.apply.owners import Owners
from syncer.errors import ApplyError, PeerProtocolError, Reason, SyncerError
from syncer.files import Disk
from syncer.model import Change, Entry, Kind
from tests.unit.apply.trees import OPENING, MemoryBase, MemoryJournal, WholeReach, changes_between, read_tree

MOMENT = 1_600_000_000_123_456_789


def digest(data: bytes) -> bytes:
    return blake3.blake3(data).digest()


def file(path: bytes, data: bytes, mode: int = 0o644, **other: int) -> Change:
    uid, gid = other.get("uid", os.geteuid()), other.get("gid", os.getegid())
    entry = Entry(path, Kind.FILE, mode, uid, gid, "", "", MOMENT, len(data), digest(data), b"")
    return Change(1, path, entry)


def directory(path: bytes, mode: int = 0o755) -> Change:
    entry = Entry(path, Kind.DIRECTORY, mode, os.geteuid(), os.getegid(), "", "", MOMENT, 0, b"", b"")
    return Change(1, path, entry)


def link(path: bytes, target: bytes) -> Change:
    entry = Entry(path, Kind.SYMLINK, 0, os.geteuid(), os.getegid(), "", "", MOMENT, 0, b"", target)
    return Change(1, path, entry)


def gone(path: bytes) -> Change:
    return Change(1, path, None)


class Node:
    """A root with its base, as a receiver has them."""

    def __init__(self, where: Path, disk: Disk | None = None, reach: WholeReach | None = None) -> None:
        self.root = where / "root"
        self.root.mkdir(exist_ok=True)
        self.base = MemoryBase()
        self.reach = reach or WholeReach()
        self.applier = Applier("d", self.root, "0123456789", self.base, disk or Disk(), Owners(), MemoryJournal())

    def apply(self, *changes: Change, contents: dict[bytes, bytes] | None = None) -> Applied:
        held = {digest(data): data for data in (contents or {}).values()}
        attempt = self.applier.begin(changes, self.reach)
        for wanted in attempt.wanted():
            attempt.write(wanted, held[wanted], 0, False)
        applied = attempt.finish(OPENING)
        self.base.commit(applied)
        return applied

    def put(self, path: bytes, data: bytes, mode: int = 0o644) -> Applied:
        return self.apply(file(path, data, mode), contents={path: data})


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_a_rename_asks_for_no_content_and_copies_nothing(node: Node) -> None:
    node.put(b"old", b"content" * 100)
    inode = (node.root / "old").stat().st_ino
    attempt = node.applier.begin([gone(b"old"), file(b"new", b"content" * 100)], node.reach)
    assert attempt.wanted() == []
    applied = attempt.finish(OPENING)
    assert (node.root / "new").stat().st_ino == inode
    assert not (node.root / "old").exists()
    row = next(row for row in applied.upserts if row.entry.path == b"new")
    assert row.identity.ctime_ns == (node.root / "new").stat().st_ctime_ns


def test_a_content_edited_here_is_not_taken_for_the_one_in_the_base(node: Node) -> None:
    node.put(b"old", b"right content")
    (node.root / "old").write_bytes(b"wrong content")
    attempt = node.applier.begin([file(b"new", b"right content")], node.reach)
    assert attempt.wanted() == [digest(b"right content")]
    attempt.discard()


def test_metadata_never_reaches_another_name_of_the_file_outside_the_root(node: Node, tmp_path: Path) -> None:
    node.put(b"shared", b"same", 0o600)
    outside = tmp_path / "outside"
    os.link(node.root / "shared", outside)
    before = outside.stat()
    node.put(b"shared", b"same", 0o4755)
    after = outside.stat()
    assert (before.st_mode, before.st_mtime_ns) == (after.st_mode, after.st_mtime_ns)
    assert stat.S_IMODE((node.root / "shared").stat().st_mode) == 0o4755


@pytest.mark.needs_root
@pytest.mark.needs("chattr")
def test_a_path_that_cannot_be_replaced_is_a_problem_and_the_rest_goes_on(node: Node) -> None:
    node.put(b"stuck", b"old")
    if subprocess.run(["chattr", "+i", node.root / "stuck"], capture_output=True, check=False).returncode:
        pytest.skip("this file system has no immutable attribute")
    try:
        applied = node.apply(
            file(b"free", b"one"), file(b"stuck", b"two"), contents={b"free": b"one", b"stuck": b"two"}
        )
        assert (node.root / "free").read_bytes() == b"one"
        assert [problem.path for problem in applied.problems] == [b"stuck"]
        assert b"stuck" not in {row.entry.path for row in applied.upserts}
    finally:
        subprocess.run(["chattr", "-i", node.root / "stuck"], check=True)


def test_a_link_target_too_long_is_a_problem_and_the_rest_goes_on(node: Node) -> None:
    applied = node.apply(link(b"far", b"x" * 5000), file(b"near", b"1"), contents={b"near": b"1"})
    assert [problem.path for problem in applied.problems] == [b"far"]
    assert (node.root / "near").read_bytes() == b"1"
    assert os.listdir(node.root) == ["near"]


def test_no_space_while_staging_changes_nothing_visible(tmp_path: Path) -> None:
    def full(operation: str, path: bytes) -> None:
        if operation == "write":
            raise OSError(28, os.strerror(28))

    node = Node(tmp_path, Disk(full))
    (node.root / "kept").write_bytes(b"before")
    with pytest.raises((ApplyError, OSError)):
        node.put(b"kept", b"after!")
    assert (node.root / "kept").read_bytes() == b"before"
    node.applier.tidy()
    assert not list((tmp_path / ".syncer").rglob("[0-9]"))


@pytest.mark.parametrize(
    "changes",
    [
        [file(b"../up", b"1")],
        [file(b"a//b", b"1")],
        [file(b"a", b"1"), file(b"a/b", b"2")],
        [gone(b"a"), file(b"a/b", b"2")],
        [gone(b"")],
        [file(b"a", b"1"), file(b"a", b"1")],
        [link(b"a", b"")],
        [file(b"a", b"1", uid=0xFFFFFFFF)],
        [file(b"", b"1")],
    ],
)
def test_changes_that_cannot_be_are_refused_before_anything_is_touched(node: Node, changes: list[Change]) -> None:
    with pytest.raises(PeerProtocolError):
        node.applier.begin(changes, node.reach)
    assert os.listdir(node.root) == []


@pytest.mark.parametrize(
    ("data", "reason"), [(b"wrong", Reason.CONTENT_MISMATCH), (b"longer", Reason.CONTENT_MISMATCH)]
)
def test_a_content_that_is_not_the_announced_one_is_refused(node: Node, data: bytes, reason: Reason) -> None:
    attempt = node.applier.begin([file(b"a", b"right")], node.reach)
    with pytest.raises(ApplyError) as caught:
        attempt.write(attempt.wanted()[0], data, 0, False)
    assert caught.value.reason is reason
    attempt.discard()
    assert os.listdir(node.root) == []


def test_pieces_with_a_gap_or_mixed_are_refused(node: Node) -> None:
    for second in ((digest(b"abcdef"), b"ef", 4), (digest(b"other"), b"other", 0)):
        attempt = node.applier.begin([file(b"a", b"abcdef"), file(b"b", b"other")], node.reach)
        attempt.wanted()
        attempt.write(digest(b"abcdef"), b"abc", 0, True)
        with pytest.raises((PeerProtocolError, ApplyError)):
            attempt.write(*second, False)
        attempt.discard()


def test_a_directory_that_holds_excluded_files_is_neither_replaced_nor_emptied(tmp_path: Path) -> None:
    node = Node(tmp_path, reach=WholeReach(excluded=b"d/cache"))
    node.apply(directory(b"d"), file(b"d/x", b"1"), contents={b"x": b"1"})
    (node.root / "d/cache").write_bytes(b"mine")
    applied = node.apply(file(b"d", b"now a file"), gone(b"d/x"), contents={b"d": b"now a file"})
    assert [problem.path for problem in applied.problems] == [b"d"]
    assert (node.root / "d/x").exists()
    applied = node.apply(gone(b"d"), gone(b"d/x"))
    assert applied.problems == []
    assert os.listdir(node.root / "d") == ["cache"]


def test_a_directory_kept_by_a_stranger_is_shown(node: Node) -> None:
    node.apply(directory(b"d"), file(b"d/x", b"1"), contents={b"x": b"1"})
    (node.root / "d/local").write_bytes(b"mine")
    applied = node.apply(gone(b"d"), gone(b"d/x"))
    assert [problem.path for problem in applied.problems] == [b"d"]
    assert os.listdir(node.root / "d") == ["local"]
    assert set(applied.deletions) == {b"d", b"d/x"}


def test_protected_paths_are_problems_whatever_is_asked(tmp_path: Path) -> None:
    node = Node(tmp_path, reach=WholeReach(protected=b"own"))
    (node.root / "own").write_bytes(b"key")
    for change in (file(b"own", b"theirs"), gone(b"own")):
        applied = node.apply(change)
        assert [problem.path for problem in applied.problems] == [b"own"]
        assert (node.root / "own").read_bytes() == b"key"


def test_a_missing_directory_asks_for_a_full_synchronization(node: Node) -> None:
    with pytest.raises(ApplyError) as caught:
        node.applier.begin([file(b"d/x", b"1")], node.reach)
    assert caught.value.reason is Reason.CURSOR_MISMATCH


def test_a_directory_keeps_its_mtime_when_a_file_in_it_is_rewritten(node: Node) -> None:
    node.apply(directory(b""), directory(b"d"), file(b"d/x", b"1"), contents={b"x": b"1"})
    node.put(b"d/x", b"2")
    assert (node.root / "d").stat().st_mtime_ns == MOMENT
    assert node.base.rows[b"d"].identity.ctime_ns == (node.root / "d").stat().st_ctime_ns


def test_a_directory_moved_below_itself_and_swaps_of_kinds(node: Node) -> None:
    node.apply(directory(b"a"), file(b"a/x", b"1"), link(b"l", b"a"), contents={b"x": b"1"})
    node.apply(link(b"a", b"l"), directory(b"l"), gone(b"a/x"), directory(b"l/a"), file(b"l/a/x", b"1"),
               contents={b"x": b"1"})  # fmt: skip  # old and new side by side
    assert os.readlink(node.root / "a") == "l"
    assert (node.root / "l/a/x").read_bytes() == b"1"


def test_a_tree_deeper_than_the_recursion_limit_can_be_replaced(node: Node, request: pytest.FixtureRequest) -> None:
    # pytest's own cleaning recurses: a failure here must not break later runs.
    request.addfinalizer(lambda: subprocess.run(["rm", "-rf", node.root.parent], check=True))
    changes, path = [], b"t"
    for _ in range(1200):
        changes.append(directory(path))
        path += b"/d"
    node.apply(*changes)
    deletions = [gone(change.path) for change in changes[1:]]
    applied = node.apply(file(b"t", b"flat"), *deletions, contents={b"t": b"flat"})
    assert applied.problems == []
    assert (node.root / "t").read_bytes() == b"flat"


def test_every_content_comes_once_and_an_empty_one_never(node: Node) -> None:
    attempt = node.applier.begin([file(b"a", b"1"), file(b"b", b"1"), file(b"c", b"")], node.reach)
    assert attempt.wanted() == [digest(b"1")]
    attempt.write(digest(b"1"), b"1", 0, False)
    attempt.finish(OPENING)
    assert {name: (node.root / name).read_bytes() for name in "abc"} == {"a": b"1", "b": b"1", "c": b""}


def test_what_the_peer_sent_along_is_not_looked_for_here(node: Node) -> None:
    node.put(b"a", b"1")
    attempt = node.applier.begin([file(b"b", b"1")], node.reach)
    assert attempt.wanted(frozenset([digest(b"1")])) == [digest(b"1")]
    attempt.discard()


def test_leftovers_of_a_crash_go_and_the_root_sees_nothing_of_it(node: Node, tmp_path: Path) -> None:
    left = tmp_path / ".syncer" / "d-01234567" / "stage-7" / "deep"
    left.mkdir(parents=True, mode=0o700)
    for holder in (tmp_path / ".syncer", tmp_path / ".syncer" / "d-01234567"):
        holder.chmod(0o700)
    (left / "half").write_bytes(b"half")
    node = Node(tmp_path)
    node.put(b"a", b"1")
    node.applier.tidy()
    assert not left.exists()
    assert os.listdir(node.root) == ["a"]
    node.applier.close()
    assert sorted(os.listdir(tmp_path)) == ["root"]


def test_a_directory_swapped_for_a_link_leads_nobody_outside(tmp_path: Path) -> None:
    node = Node(tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    (node.root / "d").mkdir()
    os.symlink(outside, node.root / "l")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for first, second in (("d", "t"), ("l", "d"), ("d", "l"), ("t", "d")):
                os.rename(node.root / first, node.root / second)

    racer = threading.Thread(target=swap)
    racer.start()
    try:
        until = time.monotonic() + 2
        number = 0
        while time.monotonic() < until or number <= 50:
            number += 1
            data = b"%d" % number
            try:
                node.put(b"d/x", data)
            except SyncerError:
                continue
    finally:
        stop.set()
        racer.join()
    assert number > 50
    assert os.listdir(outside) == []


UNPRIVILEGED = textwrap.dedent("""
    import os, stat, sys
    from pathlib import Path
    from tests.unit.apply.test_applier import Node, directory, file, gone
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    node = Node(Path(sys.argv[1]))
    node.apply(directory(b"closed", 0o555), file(b"closed/a", b"1"), directory(b"closed/in", 0o500),
               file(b"closed/in/b", b"2"), contents={b"a": b"1", b"b": b"2"})
    assert stat.S_IMODE((node.root / "closed").stat().st_mode) == 0o555
    applied = node.apply(file(b"closed/a", b"3"), gone(b"closed/in/b"), contents={b"a": b"3"})
    assert applied.problems == [], applied.problems
    assert (node.root / "closed/a").read_bytes() == b"3"
    assert os.listdir(node.root / "closed/in") == []
    assert stat.S_IMODE((node.root / "closed/in").stat().st_mode) == 0o500
    applied = node.apply(file(b"owned", b"4", 0o4755, uid=0, gid=0), contents={b"owned": b"4"})
    assert [problem.path for problem in applied.problems] == [b"owned"]
    assert "does not run as root" in applied.problems[0].reason
    assert not (node.root / "owned").stat().st_mode & stat.S_ISUID
    for path in ("closed", "closed/in"):
        (node.root / path).chmod(0o755)
""")


@pytest.mark.needs_root
def test_without_root_closed_directories_work_and_owners_are_problems() -> None:
    # Not tmp_path: its parents are closed to others. The interpreter may be too, so it drops root itself.
    with tempfile.TemporaryDirectory() as where:
        os.chown(where, 65534, 65534)
        top = Path(__file__).parents[3]
        command = [sys.executable, "-c", UNPRIVILEGED, where]
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=top,
            env={"PYTHONPATH": str(top)},
            check=False,
        )
    assert result.returncode == 0, result.stderr


def test_drift_is_overwritten_where_production_changes_the_path(node: Node, tmp_path: Path) -> None:
    node.apply(directory(b"d"), file(b"d/x", b"1"), file(b"y", b"1"), contents={b"x": b"1"})
    os.remove(node.root / "y")
    os.mkfifo(node.root / "y")
    (node.root / "d/x").write_bytes(b"edited")
    old, _ = read_tree_without_fifo(node)
    applied = node.apply(file(b"d/x", b"1"), file(b"y", b"1"), contents={b"x": b"1"})
    assert applied.problems == []
    assert (node.root / "y").read_bytes() == b"1"
    assert (node.root / "d/x").read_bytes() == b"1"
    assert changes_between(old, read_tree(node.root)[0])


def read_tree_without_fifo(node: Node) -> tuple[dict[bytes, Entry], dict[bytes, bytes]]:
    os.rename(node.root / "y", node.root.parent / "fifo")
    try:
        return read_tree(node.root)
    finally:
        os.rename(node.root.parent / "fifo", node.root / "y")


def test_a_stage_that_was_made_ready_may_be_removed_while_the_history_keeps_the_area(node: Node) -> None:
    node.put(b"a", b"1")
    node.applier.tidy()
    [area] = (node.root.parent / ".syncer").iterdir()
    (area / "kept").mkdir(exist_ok=True)
    (area / "kept" / "content").write_bytes(b"")
    # As where a node that was failover before becomes failover again, within one life of its agent.
    node.applier.remove_empty()
    for number in range(2):
        node.put(b"b", b"%d" % number)
        assert (node.root / "b").read_bytes() == b"%d" % number
        node.applier.tidy()
