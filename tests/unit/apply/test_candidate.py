"""What a check sees and cannot do: across mounts, inside roots that are mounts, and when it writes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from syncer.apply.candidate import Candidate, Check, going
from syncer.apply.plan import Removal
from syncer.errors import ApplyError, CheckFailedError, CommandError, CommandFailure, ViewError
from syncer.model import Change
from syncer.services.command import Command, CommandRunner
from tests.unit.apply.test_applier import Node, directory, file, gone, link
from tests.unit.apply.trees import OPENING

pytestmark = pytest.mark.needs_root


def see(root: Path, script: str, candidate: Candidate | ViewError) -> str:
    """Return what a shell in the root of the candidate prints; fails where it does."""
    assert isinstance(candidate, Candidate)
    ended = CommandRunner().run(Command(("/bin/sh", "-ec", f"cd '{root}'\n{script}"), {}, 30.0), candidate)
    assert ended.is_ok, ended
    return ended.output


def applied(node: Node, look: Check, *changes: Change, contents: dict[bytes, bytes]) -> None:
    attempt = node.applier.begin(changes, node.reach, look)
    for wanted in attempt.wanted():
        attempt.write(wanted, contents[wanted], 0, False)
    node.base.commit(attempt.finish(OPENING))


def contents_of(*changes: Change, data: bytes) -> dict[bytes, bytes]:
    return {change.entry.digest: data for change in changes if change.entry is not None and change.entry.digest}


@contextmanager
def mounted(where: Path) -> Iterator[Path]:
    where.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", where], check=True)
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", where], check=True)


def test_nothing_is_live_while_the_check_looks_nor_after_it_refused(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.put(b"a", b"old")
    before = {path: path.lstat() for path in (node.root, node.root / "a")}

    def refuse(candidate: Candidate | ViewError) -> None:
        assert see(node.root, "cat a", candidate) == "new"
        assert (node.root / "a").read_bytes() == b"old"
        raise CheckFailedError("no", CommandFailure())

    change = file(b"a", b"new")
    with pytest.raises(CheckFailedError):
        applied(node, refuse, change, contents=contents_of(change, data=b"new"))
    assert (node.root / "a").read_bytes() == b"old"
    assert {path: path.lstat().st_mtime_ns for path in before} == {path: at.st_mtime_ns for path, at in before.items()}
    # What was staged may serve the next attempt; of the view nothing is left.
    assert [left for left in (tmp_path / ".syncer").rglob("[0-9]*") if left.is_dir()] == []
    # The same place works again.
    applied(node, lambda candidate: None, change, contents=contents_of(change, data=b"new"))
    assert (node.root / "a").read_bytes() == b"new"


def test_a_command_that_writes_into_the_root_changes_neither_the_live_tree_nor_what_is_staged(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.put(b"kept", b"kept")
    changes = (directory(b"d"), file(b"d/x", b"new"), file(b"y", b"new"))
    look = "echo spoilt > d/x; echo spoilt > y; echo spoilt > kept; rm -r d; echo log > made; chmod 777 . ; cat y"
    applied(
        node,
        lambda candidate: None if see(node.root, look, candidate) == "spoilt" else pytest.fail("it could not write"),
        *changes,
        contents=contents_of(*changes, data=b"new"),
    )
    assert (node.root / "d/x").read_bytes() == (node.root / "y").read_bytes() == b"new"
    assert (node.root / "kept").read_bytes() == b"kept"
    assert not (node.root / "made").exists()
    assert (node.root / "y").stat().st_nlink == 1


def test_a_staged_file_that_is_spoilt_all_the_same_is_never_placed(tmp_path: Path) -> None:
    node = Node(tmp_path)
    change = file(b"a", b"new")

    def spoil(candidate: Candidate | ViewError) -> None:
        assert isinstance(candidate, Candidate)
        with open(os.path.join(candidate.layers[0].path, b"a"), "ab") as staged:
            staged.write(b"!")

    with pytest.raises(ApplyError, match="while the check ran"):
        applied(node, spoil, change, contents=contents_of(change, data=b"new"))
    assert os.listdir(node.root) == []


def test_mounts_below_the_root_are_seen_with_their_own_changes(tmp_path: Path) -> None:
    node = Node(tmp_path)
    (node.root / "m").mkdir()
    (node.root / "o").mkdir()
    with mounted(node.root / "m") as changed, mounted(node.root / "o") as other, mounted(changed / "deep") as deep:
        (changed / "old").write_text("old")
        (other / "theirs").write_text("theirs")
        (deep / "in").write_text("in")
        changes = (file(b"m/new", b"1"), gone(b"m/old"), file(b"m/deep/new", b"1"), file(b"top", b"1"))
        seen: list[str] = []
        script = (
            "ls -A m; ls m/deep o; cat m/new m/deep/new m/deep/in o/theirs top; echo x > o/theirs; echo x > m/deep/in"
        )
        applied(
            node,
            lambda candidate: seen.append(see(node.root, script, candidate)),
            *changes,
            contents=contents_of(*changes, data=b"1"),
        )
        assert seen == ["deep\nnew\nm/deep:\nin\nnew\n\no:\ntheirs\n11intheirs1"]
        assert (other / "theirs").read_text() == "theirs"
        assert (deep / "in").read_text() == "in"
        assert sorted(os.listdir(changed)) == [".syncer", "deep", "new"]


def test_a_root_that_is_a_mount_is_seen_without_the_staging_in_it(tmp_path: Path) -> None:
    with mounted(tmp_path / "root"):
        node = Node(tmp_path)
        node.put(b"old", b"old")
        changes = (file(b"a, b:c\xff", b"1"), directory(b"d", 0o750), link(b"d/l", b"old"), gone(b"old"))
        seen: list[str] = []
        script = "ls -A; stat -c %a d; readlink d/l; cat a*"
        applied(
            node,
            lambda candidate: seen.append(see(node.root, script, candidate)),
            *changes,
            contents=contents_of(*changes, data=b"1"),
        )
        assert seen == ["a, b:c\\xff\nd\n750\nold\n1"]


def test_nothing_is_mounted_on_the_host_at_any_moment(tmp_path: Path) -> None:
    node = Node(tmp_path)
    change = file(b"a", b"1")

    def look(candidate: Candidate | ViewError) -> None:
        inside = see(node.root, f"grep -c ' {node.root} ' /proc/self/mountinfo", candidate)
        assert inside == "1"
        assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()

    applied(node, look, change, contents=contents_of(change, data=b"1"))


def test_a_missing_program_is_told_from_a_view_that_cannot_be_shown(tmp_path: Path) -> None:
    node = Node(tmp_path)
    change = file(b"a", b"1")

    def look(candidate: Candidate | ViewError) -> None:
        assert isinstance(candidate, Candidate)
        CommandRunner().run(Command(("no-such-program",), {}, 30.0), candidate)

    with pytest.raises(CommandError, match="no-such-program cannot be started"):
        applied(node, look, change, contents=contents_of(change, data=b"1"))


def test_a_check_that_ends_with_1_and_says_nothing_is_a_check_that_failed(tmp_path: Path) -> None:
    node = Node(tmp_path)
    change = file(b"a", b"1")
    codes: list[int] = []

    def look(candidate: Candidate | ViewError) -> None:
        assert isinstance(candidate, Candidate)
        words = (sys.executable, "-I", "-S", "-c", "raise SystemExit(1)")
        codes.append(CommandRunner().run(Command(words, {}, 30.0), candidate).code)

    applied(node, look, change, contents=contents_of(change, data=b"1"))
    assert codes == [1]


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -9 $$", -9), ("kill -TERM $$", -15)])
def test_how_a_command_ends_is_told_as_it_was(tmp_path: Path, script: str, code: int) -> None:
    node = Node(tmp_path)
    change = file(b"a", b"1")
    codes: list[int] = []

    def look(candidate: Candidate | ViewError) -> None:
        assert isinstance(candidate, Candidate)
        codes.append(CommandRunner().run(Command(("/bin/sh", "-c", script), {}, 30.0), candidate).code)

    applied(node, look, change, contents=contents_of(change, data=b"1"))
    assert codes == [code]


@pytest.mark.needs("setsid")
@pytest.mark.parametrize("ending", ["exit 0", "exec sleep 600"])
def test_nothing_outlives_the_check_not_even_what_left_its_group(tmp_path: Path, ending: str) -> None:
    node = Node(tmp_path)
    change = file(b"a", b"1")
    limit = 60.0 if ending == "exit 0" else 3.0
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    # Reading ends when the last process that could write has gone.
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)

    def look(candidate: Candidate | ViewError) -> None:
        assert isinstance(candidate, Candidate)
        script = f"exec 9>{fifo}; echo begun >&9; setsid sh -c 'trap \"\" TERM; sleep 600' & {ending}"
        ended = CommandRunner().run(Command(("/bin/sh", "-c", script), {}, limit), candidate)
        assert ended.timed_out is (ending != "exit 0")
        assert ended.seconds < 60

    try:
        applied(node, look, change, contents=contents_of(change, data=b"1"))
        os.set_blocking(reading, True)
        assert os.read(reading, 100) == b"begun\n"
        assert os.read(reading, 100) == b""
    finally:
        os.close(reading)


def test_a_directory_goes_only_with_all_that_it_holds() -> None:
    held = {b"d": {b"d/a", b"d/e"}, b"d/e": {b"d/e/x"}, b"k": {b"k/a", b"k/mine"}}
    removals = [
        Removal(b"d", True),
        Removal(b"k", True),
        Removal(b"d/a", False),
        Removal(b"d/e", True),
        Removal(b"k/a", False),
        Removal(b"d/e/x", False),
    ]
    assert going(removals, lambda path: held[path]) == {b"d", b"d/a", b"d/e", b"d/e/x", b"k/a"}


UNPRIVILEGED = textwrap.dedent("""
    import os, sys
    from pathlib import Path
    from syncer.errors import ViewError
    from tests.unit.apply.trees import OPENING
    from tests.unit.apply.test_applier import Node, file
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    node = Node(Path(sys.argv[1]))
    told = []
    change = file(b"a", b"1")
    attempt = node.applier.begin([change], node.reach, told.append)
    for wanted in attempt.wanted():
        attempt.write(wanted, b"1", 0, False)
    attempt.finish(OPENING)
    assert isinstance(told[0], ViewError) and "does not run as root" in str(told[0]), told
    assert (node.root / "a").read_bytes() == b"1"
""")


def test_without_root_the_check_is_told_why_there_is_no_view() -> None:
    # Not tmp_path: its parents are closed to others. The interpreter may be too, so it drops root itself.
    with tempfile.TemporaryDirectory() as where:
        os.chown(where, 65534, 65534)
        top = Path(__file__).parents[3]
        result = subprocess.run(
            [sys.executable, "-c", UNPRIVILEGED, where],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=top,
            env={"PYTHONPATH": str(top)},
            check=False,
        )
    assert result.returncode == 0, result.stderr


def test_where_the_kernel_refuses_the_overlay_that_is_said(tmp_path: Path) -> None:
    node = Node(tmp_path)
    change = file(b"a", b"1")

    def look(candidate: Candidate | ViewError) -> None:
        assert isinstance(candidate, Candidate)
        elsewhere = candidate._replace(inode=candidate.inode + 1)
        CommandRunner().run(Command(("true",), {}, 30.0), elsewhere)

    with pytest.raises(ViewError, match="another directory than a moment ago"):
        applied(node, look, change, contents=contents_of(change, data=b"1"))
    assert os.listdir(node.root) == []
