"""Guarantee 9: what getfacl, getfattr, stat and find say of both trees is identical after full and partial runs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.harness import EQUAL_SECONDS, TARGET, Pair, paired, wait_until

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.needs("getfacl", "setfacl", "getfattr", "setfattr", "setcap", "find", "stat"),
]

MIB = 1 << 20
NAME_255 = "n" * 255
NOT_UTF8 = os.fsdecode(b"caf\xe9-\xff")
STAT = "%n|%A|%a|%u|%U|%g|%G|%s|%h|%y|%F|%t|%T"
FIND = r"%P|%y|%m|%M|%U|%G|%u|%g|%s|%n|%T@|%l\n"


def run(*command: str | Path, cwd: Path | None = None) -> bytes:
    done = subprocess.run(command, cwd=cwd, capture_output=True, check=False)
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


def described(root: Path) -> dict[str, list[bytes]]:
    """Return what the four programs say of a tree; sizes of directories are the file system's own affair."""
    paths = sorted(run("find", ".", "-print0", cwd=root).split(b"\0")[:-1])
    arguments = [os.fsdecode(path) for path in paths]
    together: dict[bytes, bytes] = {}
    for line in sorted(run("find", ".", "-type", "f", "-links", "+1", "-printf", r"%i %p\n", cwd=root).splitlines()):
        inode, _, name = line.partition(b" ")
        together[inode] = together.get(inode, b"") + name + b" "
    stats = run("stat", f"--printf={STAT}\\n", *arguments, cwd=root).splitlines()
    found = run("find", ".", "-printf", FIND, cwd=root).splitlines()
    return {
        "getfacl": run(
            "getfacl", "-R", "-P", "-p", *[name for name in arguments if "/" not in name], cwd=root
        ).splitlines(),
        "getfattr": sorted_blocks(run("getfattr", "-d", "-m-", "-R", "-h", "-e", "hex", ".", cwd=root)),
        "stat": [without_directory_size(line, 7, b"directory") for line in stats],
        "together": sorted(together.values()),
        "find": sorted(without_directory_size(line, 8, b"|d|") for line in found),
    }


def without_directory_size(line: bytes, field: int, mark: bytes) -> bytes:
    parts = line.split(b"|")
    if mark in line:
        parts[field] = b"-"
    return b"|".join(parts)


def sorted_blocks(text: bytes) -> list[bytes]:
    """Getfattr lists directories in the order of the file system: order them by path."""
    return sorted(text.strip().split(b"\n\n"))


def unequal(pair: Pair) -> list[str]:
    one, other = described(pair.production.root), described(pair.failover.root)
    one["getfacl"], other["getfacl"] = (sorted_blocks(b"\n".join(found["getfacl"])) for found in (one, other))
    return [
        f"{program}: {line!a}"
        for program in one
        for line in sorted(set(one[program]) ^ set(other[program]))
    ]  # fmt: skip  # a nested loop in its order


def wait_identical(pair: Pair) -> None:
    """Return once all four outputs are equal."""
    found: list[str] = []

    def is_identical() -> bool:
        nonlocal found
        if pair.differences():
            found = pair.differences()
            return False
        found = unequal(pair)
        return not found

    try:
        wait_until(is_identical, EQUAL_SECONDS, "both trees were described equally")
    except Exception as error:
        raise AssertionError(f"{found[:20]} ({len(found)})\n{pair.failover.last_words()}") from error
    assert pair.production.stream()["problems"] == []


def build(root: Path) -> None:
    """Make a folder of everything that is hard to copy."""
    root.mkdir()
    for folder in ("acl", "acl/below", "empty", NOT_UTF8):
        (root / folder).mkdir()
    (root / "acl/file").write_text("named user and group\n")
    run("setfacl", "-m", "u:daemon:rwx,g:adm:r,u:4242:r,m:rx", root / "acl/file")
    run("setfacl", "-d", "-m", "u:daemon:rwx,g:4243:rx", root / "acl")
    run("setfacl", "-m", "u:bin:x", root / "acl")
    run("setfacl", "-d", "-m", "u:daemon:rw,g:4243:r", root / "acl/below")
    (root / "acl/below/inherits").write_text("born with an access list\n")
    (root / "attributes").write_bytes(b"a")
    run("setfattr", "-n", "user.comment", "-v", "0x00ff0a", root / "attributes")
    run("setfattr", "-n", "user.empty", root / "attributes")
    run("setfattr", "-n", "user.large", "-v", "v" * 2000, root / "attributes")
    run("setfattr", "-n", "trusted.origin", "-v", "here", root / "attributes")
    run("setfattr", "-n", "user.folder", "-v", "yes", root / "empty")
    shutil.copy("/bin/true", root / "capable")
    os.chown(root / "capable", 1, 4)
    run("setcap", "cap_net_bind_service=+ep", root / "capable")
    (root / "setuid").write_bytes(b"#!/bin/sh\n")
    os.chown(root / "setuid", 2, 54321)
    (root / "setuid").chmod(0o6755)
    (root / "sticky").mkdir()
    os.chown(root / "sticky", 54321, 54322)
    (root / "sticky").chmod(0o3777)
    (root / "nothing").touch()
    make_sparse(root / "sparse")
    (root / NAME_255).write_text("long\n")
    (root / NOT_UTF8 / NOT_UTF8).write_text("latin\n")
    (root / "link").symlink_to("nowhere")
    os.chown(root / "link", 7, 8, follow_symlinks=False)
    run("setfattr", "-h", "-n", "trusted.of_link", "-v", "itself", root / "link")
    (root / "one").write_text("three names\n")
    os.link(root / "one", root / "two")
    os.link(root / "one", root / "acl/below/three")
    (root / "linked-nothing").touch()
    os.link(root / "linked-nothing", root / "linked-nothing-too")
    make_sparse(root / "linked-sparse")
    os.link(root / "linked-sparse", root / "empty-no-more")


def make_sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.seek(3 * MIB)
        file.write(b"data" * 5000)
        file.truncate(16 * MIB)


def change(root: Path) -> None:
    """Change all of it, in place where that is possible."""
    run("setfacl", "-m", "u:daemon:r,g:bin:rw", root / "acl/file")
    run("setfacl", "-b", root / "acl/below/inherits")
    run("setfacl", "-k", root / "acl")
    run("setfattr", "-x", "user.comment", root / "attributes")
    run("setfattr", "-n", "user.empty", "-v", "no more", root / "attributes")
    run("setfattr", "-x", "user.folder", root / "empty")
    run("setfattr", "-h", "-n", "trusted.of_link", "-v", "other", root / "link")
    run("setcap", "cap_chown=+p", root / "capable")
    (root / "setuid").chmod(0o2711)
    with (root / "two").open("a") as file:
        file.write("written through the second\n")
    (root / "three").hardlink_to(root / "one")
    (root / "linked-nothing-too").unlink()
    # A name that leaves its file with the same bytes, and one that changes sides.
    shutil.copy2(root / "empty-no-more", root / "copy")
    (root / "copy").replace(root / "empty-no-more")
    os.chown(root / "one", 2, 3)
    os.utime(root / "one", ns=(10**18, 10**18 + 123456789))


@pytest.fixture
def pair(tmp_path: Path) -> object:
    with paired(tmp_path, start=False) as pair:
        yield pair


def test_the_comparison_sees_every_difference(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    build(one)
    run("cp", "-a", one, other)
    before = described(one)
    assert before == described(other)
    for command in (
        ("setfacl", "-m", "u:bin:r", other / "acl/file"),
        ("setfattr", "-n", "user.new", other / "nothing"),
        ("setcap", "-r", other / "capable"),
        ("chown", "3", other / "sticky"),
        ("touch", other / "empty"),
        ("cp", "--remove-destination", other / "one", other / "two"),
    ):
        run(*command)
        after = described(other)
        assert after != before, command
        before = after


def test_guarantee_9_a_full_synchronization_is_exact(pair: Pair) -> None:
    build(pair.production.root / "tree")
    pair.start()
    wait_identical(pair)
    blocks = (pair.failover.root / "tree/sparse").stat().st_blocks
    assert blocks * 512 < 2 * MIB
    change(pair.production.root / "tree")
    pair.production.cli("snapshot")
    wait_identical(pair)


def test_guarantee_9_partial_synchronization_is_exact(pair: Pair) -> None:
    pair.start()
    wait_identical(pair)
    build(pair.production.root / "tree")
    wait_identical(pair)
    change(pair.production.root / "tree")
    wait_identical(pair)
    (pair.production.root / "tree").rename(pair.production.root / "moved")
    wait_identical(pair)


def test_a_full_synchronization_repairs_what_was_changed_on_failover(pair: Pair) -> None:
    build(pair.production.root / "tree")
    pair.start()
    wait_identical(pair)
    theirs = pair.failover.root / "tree"
    run("setfattr", "-n", "user.foreign", theirs / "nothing")
    run("setfacl", "-b", theirs / "acl/file")
    run("setcap", "-r", theirs / "capable")
    run("cp", "-p", "--remove-destination", theirs / "one", theirs / "two")
    run("ln", "-f", theirs / "setuid", theirs / "attributes")
    pair.production.cli("snapshot")
    wait_identical(pair)


def test_what_failover_cannot_hold_is_said_before_anything_is_applied(tmp_path: Path) -> None:
    with paired(tmp_path, start=False, domain='owners = { daemon = "nobody-of-failover", bin = "sys" }\n') as pair:
        root = pair.production.root
        (root / "theirs").write_text("x")
        shutil.chown(root / "theirs", "daemon", "daemon")
        (root / "mapped").write_text("y")
        shutil.chown(root / "mapped", "bin", "bin")
        pair.start()
        pair.wait_for(lambda stream: stream["changes_behind"] == 0 and stream["cursor_seq"], "all was applied")
        limits = pair.production.stream()["limits"]
        assert [limit.split(":")[0] for limit in limits] == [
            "user nobody-of-failover", "group nobody-of-failover",
        ]  # fmt: skip  # one line for each
        shown = pair.production.cli("status", check=False).stdout
        assert f"limit: {TARGET} tree: user nobody-of-failover" in shown
        assert (pair.failover.root / "theirs").stat().st_uid == (root / "theirs").stat().st_uid
        assert (pair.failover.root / "mapped").owner() == "sys"
        assert pair.production.stream()["problems"] == []
        # Compared again by what it means here, nothing differs.
        os.utime(pair.failover.root / "mapped", ns=(1, 1))
        assert pair.production.json("snapshot")["targets"][0]["domains"][0]["changes"] == 1
        assert pair.production.json("snapshot")["targets"][0]["domains"][0]["changes"] == 0
