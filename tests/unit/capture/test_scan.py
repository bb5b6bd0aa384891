"""Full scans: what they find, what they leave alone, what they cannot be led to."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest
from blake3 import blake3

from syncer.capture import inspection
from syncer.capture.contents import ContentCache
from syncer.capture.ignore import Scope
from syncer.capture.reader import PIECE_BYTES, Reads
from syncer.capture.scan import Scanner
from syncer.model import Kind, Patterns
from tests.unit.capture.trees import EVERYTHING, MemoryTree, scanned


def settled(tree: MemoryTree) -> None:
    """Take the racy marks away, as the second look of a capturer does."""
    tree.known = {path: known._replace(racy=False) for path, known in tree.known.items()}


class Counting(Reads):
    """Counts the files that are read."""

    def __init__(self) -> None:
        self.opened: list[object] = []

    def open(self, name: str | Path, flags: int, *, dir_fd: int | None = None) -> int:  # type: ignore[override]  # it counts
        if not flags & os.O_DIRECTORY:
            self.opened.append(name)
        return os.open(name, flags, dir_fd=dir_fd)


def test_every_kind_is_found_as_it_is(root: Path) -> None:
    (root / "dir").mkdir(mode=0o751)
    (root / "dir" / "empty").mkdir()
    (root / "f").write_bytes(b"content")
    (root / "f").chmod(0o4640)
    os.utime(root / "f", ns=(1, -5_000_000_001))
    (root / "link").symlink_to("nowhere/at all")
    found = scanned(root)
    assert found.keys() == {b"", b"dir", b"dir/empty", b"f", b"link"}
    file = found[b"f"]
    assert (file.kind, file.mode, file.size, file.mtime_ns) == (Kind.FILE, 0o4640, 7, -5_000_000_001)
    assert file.digest == blake3(b"content").digest()
    assert (file.uid, file.gid) == (os.getuid(), os.getgid())
    assert found[b"dir"].kind is Kind.DIRECTORY
    assert found[b"dir"].mode == stat.S_IMODE((root / "dir").stat().st_mode)
    assert found[b"dir"].mtime_ns == (root / "dir").stat().st_mtime_ns
    assert found[b"link"][1:3] == (Kind.SYMLINK, 0)
    assert found[b"link"].link_target == b"nowhere/at all"


def test_names_that_are_not_utf8(root: Path) -> None:
    odd = os.fsencode(root) + b"/caf\xe9 \n\xff"
    os.mkdir(odd)
    with open(odd + b"/\xfe.conf", "wb") as file:
        file.write(b"x")
    os.symlink(b"\xfd", odd + b"/l")
    found = scanned(root)
    assert b"caf\xe9 \n\xff/\xfe.conf" in found
    assert found[b"caf\xe9 \n\xff/l"].link_target == b"\xfd"


def test_nothing_changed_means_nothing_found_and_nothing_read(root: Path) -> None:
    for number in range(20):
        (root / f"f{number}").write_bytes(b"%d" % number)
    tree, reads = MemoryTree(), Counting()
    scanner = Scanner(root, EVERYTHING, tree, reads=reads)
    tree.take(scanner.full())
    assert len(reads.opened) == 20
    settled(tree)
    reads.opened.clear()
    assert list(scanner.full()) == []
    assert reads.opened == []


def test_a_racy_file_is_read_again_until_its_time_is_past(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    window = inspection.RACY_NS
    # So that a busy machine does not let it pass before the first look.
    monkeypatch.setattr(inspection, "RACY_NS", 60 * 10**9)
    (root / "f").write_bytes(b"1")
    tree, reads = MemoryTree(), Counting()
    scanner = Scanner(root, EVERYTHING, tree, reads=reads)
    tree.take(scanner.full())
    assert tree.known[b"f"].racy
    monkeypatch.setattr(inspection, "RACY_NS", window)
    later = time.time_ns() + 30_000_000
    while time.time_ns() < later:
        list(scanner.paths([b"f"]))
    reads.opened.clear()
    (finding,) = tree.take(scanner.full())
    assert finding.found is not None
    assert not finding.found.racy
    assert reads.opened == ["f"]
    assert list(scanner.full()) == []


def test_changes_are_found_also_where_size_and_mtime_are_put_back(root: Path) -> None:
    (root / "f").write_bytes(b"one")
    os.utime(root / "f", ns=(5, 5))
    tree = MemoryTree()
    scanner = Scanner(root, EVERYTHING, tree)
    tree.take(scanner.full())
    (root / "f").write_bytes(b"two")
    os.utime(root / "f", ns=(5, 5))
    (finding,) = tree.take(scanner.full())
    assert finding.path == b"f"
    assert tree.entries()[b"f"].digest == blake3(b"two").digest()


def test_two_edits_of_one_size_within_a_millisecond(root: Path) -> None:
    tree = MemoryTree()
    scanner = Scanner(root, EVERYTHING, tree)
    for number in range(200):
        (root / "f").write_bytes(b"%03d" % number)
        tree.take(scanner.full())
        assert tree.entries()[b"f"].digest == blake3(b"%03d" % number).digest()


def test_mode_alone_is_a_change(root: Path) -> None:
    (root / "f").write_bytes(b"x")
    tree = MemoryTree()
    scanner = Scanner(root, EVERYTHING, tree)
    tree.take(scanner.full())
    (root / "f").chmod(0o600)
    tree.take(scanner.full())
    assert tree.entries()[b"f"].mode == 0o600


def test_what_is_gone_is_named_with_all_that_lay_below(root: Path) -> None:
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "f").touch()
    tree = MemoryTree()
    scanner = Scanner(root, EVERYTHING, tree)
    tree.take(scanner.full())
    (root / "a" / "b" / "f").unlink()
    (root / "a" / "b").rmdir()
    (root / "a").rmdir()
    gone = {finding.path for finding in tree.take(scanner.full()) if finding.found is None}
    assert gone == {b"a", b"a/b", b"a/b/f"}


@pytest.mark.parametrize("before", ["file", "directory", "symlink", "fifo"])
@pytest.mark.parametrize("after", ["file", "directory", "symlink", "fifo"])
def test_one_kind_takes_the_place_of_another(root: Path, before: str, after: str) -> None:
    def make(kind: str) -> None:
        if kind == "file":
            (root / "x").write_bytes(b"x")
        elif kind == "directory":
            (root / "x").mkdir()
            (root / "x" / "y").touch()
        elif kind == "symlink":
            (root / "x").symlink_to("y")
        else:
            os.mkfifo(root / "x")

    tree = MemoryTree()
    scanner = Scanner(root, EVERYTHING, tree)
    make(before)
    tree.take(scanner.full())
    if before == "directory":
        (root / "x" / "y").unlink()
        (root / "x").rmdir()
    else:
        (root / "x").unlink()
    make(after)
    tree.take(scanner.full())
    if (before, after) == ("directory", "fifo"):
        # Nothing below what cannot be captured is called gone; the index hides it.
        assert tree.known.pop(b"x/y")
    assert tree.entries() == scanned(root)


@pytest.mark.parametrize("size", [0, 65536, 65537, PIECE_BYTES, 2 * PIECE_BYTES + 5])
def test_files_of_all_sizes_are_hashed_and_small_ones_kept(root: Path, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    (root / "f").write_bytes(data[:size])
    cache, tree = ContentCache(1 << 20), MemoryTree()
    tree.take(Scanner(root, EVERYTHING, tree, contents=cache).full())
    digest = tree.entries()[b"f"].digest
    assert digest == blake3(data[:size]).digest()
    assert (cache.get(digest) is not None) == (size <= 65536)


def test_a_root_may_be_reached_through_a_symlink(root: Path, tmp_path: Path) -> None:
    (root / "f").touch()
    (tmp_path / "link").symlink_to(root)
    assert scanned(tmp_path / "link").keys() == {b"", b"f"}


def test_excluded_and_own_files_are_not_even_opened(root: Path) -> None:
    for name in ("keep", "x.swp"):
        (root / name).touch()
    for directory in ("cache", "own", ".syncer"):
        (root / directory).mkdir()
        (root / directory / "f").touch()
    entered: list[bytes] = []
    reads, tree = Counting(), MemoryTree()
    scope = Scope(Patterns(("**",), ("*.swp", "cache/")), [b"own"])
    scanner = Scanner(root, scope, tree, reads=reads, enter=lambda path, _: entered.append(path))
    tree.take(scanner.full())
    assert tree.known.keys() == {b"", b"keep"}
    assert entered == [b""]
    assert reads.opened == ["keep"]


def test_what_becomes_excluded_is_forgotten_not_gone(root: Path) -> None:
    (root / "cache" / "deep").mkdir(parents=True)
    (root / "cache" / "deep" / "f").touch()
    (root / "a").touch()
    tree = MemoryTree()
    forgotten: list[bytes] = []
    tree.take(Scanner(root, EVERYTHING, tree).full())
    settled(tree)
    scope = Scope(Patterns(("**",), ("cache/", "a")))
    scanner = Scanner(root, scope, tree, forget=forgotten.append)
    assert list(scanner.full()) == []
    assert sorted(forgotten) == [b"a", b"cache", b"cache/deep", b"cache/deep/f"]


def test_parents_of_included_files_come_along_and_leave_with_them(root: Path) -> None:
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "x.conf").touch()
    (root / "a" / "b" / "x.txt").touch()
    (root / "empty").mkdir()
    scope = Scope(Patterns(("*.conf",)))
    tree = MemoryTree()
    scanner = Scanner(root, scope, tree)
    tree.take(scanner.full())
    assert tree.known.keys() == {b"", b"a", b"a/b", b"a/b/x.conf"}
    (root / "a" / "b" / "x.conf").unlink()
    tree.take(scanner.full())
    assert tree.known.keys() == {b""}


def test_only_directories_that_may_hold_something_included_are_entered(root: Path) -> None:
    for name in ("nginx", "ssh"):
        (root / name).mkdir()
        (root / name / "f").touch()
    entered: list[bytes] = []
    tree = MemoryTree()
    scope = Scope(Patterns(("nginx/**",)))
    tree.take(Scanner(root, scope, tree, enter=lambda path, _: entered.append(path)).full())
    assert tree.known.keys() == {b"", b"nginx", b"nginx/f"}
    assert entered == [b"", b"nginx"]


def test_hard_links_carry_their_count(root: Path) -> None:
    (root / "a").touch()
    os.link(root / "a", root / "b")
    links = {finding.path: finding.links for finding in Scanner(root, EVERYTHING, MemoryTree()).full()}
    assert links == {b"": 1, b"a": 2, b"b": 2}


def test_descriptors_are_given_back(root: Path) -> None:
    (root / "a" / "b").mkdir(parents=True)
    before = len(os.listdir("/proc/self/fd"))
    scanner = Scanner(root, EVERYTHING, MemoryTree())
    list(scanner.full())
    findings = scanner.full()
    next(findings)
    findings.close()  # type: ignore[attr-defined]  # it is a generator
    list(scanner.paths([b"a/b/c", b"x/y"]))
    assert len(os.listdir("/proc/self/fd")) == before
