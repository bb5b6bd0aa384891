"""Full scans: what they find, what they leave alone, what they cannot be led to."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from blake3 import blake3

from syncer.capture.contents import ContentCache
from syncer.capture.ignore import Scope
from syncer.capture.reader import PIECE_BYTES, Reads
from syncer.capture.scan import DEEPEST, Scanner
from syncer.errors import UnavailableRootError
from syncer.model import Kind, Patterns
from tests.unit.capture.trees import EVERYTHING, MemoryTree, scanned

ROOT = Path(__file__).parents[3]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


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


def test_a_racy_file_is_read_again_until_its_time_is_past(root: Path) -> None:
    (root / "f").write_bytes(b"1")
    tree, reads = MemoryTree(), Counting()
    scanner = Scanner(root, EVERYTHING, tree, reads=reads)
    tree.take(scanner.full())
    assert tree.known[b"f"].racy
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


def test_what_cannot_be_copied_is_unknown_and_the_rest_goes_on(root: Path) -> None:
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "socket"))
    (root / "a").touch()
    os.utime(root / "a", ns=(0, 0))
    found = scanned(root)
    assert found[b"fifo"].note == "FIFO: not copied"
    assert found[b"socket"].note == "socket: not copied"
    assert {found[b"fifo"].kind, found[b"socket"].kind} == {Kind.UNKNOWN}
    assert found[b"a"].kind is Kind.FILE


@pytest.mark.needs_root
def test_a_device_is_unknown(root: Path) -> None:
    os.mknod(root / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    assert scanned(root)[b"null"].note == "character device: not copied"


@pytest.mark.needs_root
def test_what_another_user_cannot_read_is_unknown_and_nothing_below_is_gone(root: Path) -> None:
    (root / "closed").mkdir()
    (root / "closed" / "x").touch()
    (root / "closed").chmod(0)
    (root / "secret").write_bytes(b"s")
    (root / "secret").chmod(0)
    (root / "open").touch()
    # pytest's own directories are closed to other users; the child is led in by its working directory.
    code = (
        "import os\n"
        "from pathlib import Path\n"
        "from tests.unit.capture.trees import scanned\n"
        f"os.chdir({str(root)!r})\n"
        # Only after the imports: the interpreter itself may lie where only root can read.
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "for path, entry in sorted(scanned(Path('.')).items()):\n"
        "    print(path.decode(), entry.kind.name, entry.note)"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines() == [
        " DIRECTORY ",
        "closed UNKNOWN cannot be read: Permission denied",
        "open FILE ",
        "secret UNKNOWN cannot be read: Permission denied",
    ]


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG, errno.ESTALE])
def test_a_fault_of_the_disk_is_unknown(root: Path, code: int) -> None:
    class Faulty(Reads):
        @staticmethod
        def read(descriptor: int, size: int) -> bytes:
            raise OSError(code, os.strerror(code))

    (root / "f").write_bytes(b"x")
    (root / "d").mkdir()
    tree = MemoryTree()
    tree.take(Scanner(root, EVERYTHING, tree).full())
    (finding,) = Scanner(root, EVERYTHING, tree, reads=Faulty()).paths([b"f"], reread=[b"f"])
    assert finding.found is not None
    assert finding.found.entry.kind is Kind.UNKNOWN
    assert os.strerror(code) in finding.found.entry.note


def test_a_directory_that_cannot_be_listed_is_unknown(root: Path) -> None:
    class Faulty(Reads):
        @staticmethod
        def names(descriptor: int) -> list[str]:
            if os.readlink(f"/proc/self/fd/{descriptor}").endswith("/d"):
                raise OSError(errno.EIO, "Input/output error")
            return os.listdir(descriptor)

    (root / "d").mkdir()
    (root / "d" / "x").touch()
    tree = MemoryTree()
    tree.take(Scanner(root, EVERYTHING, tree).full())
    findings = list(Scanner(root, EVERYTHING, tree, reads=Faulty()).full())
    unknown = [finding.path for finding in findings if finding.found and finding.found.entry.kind is Kind.UNKNOWN]
    assert unknown == [b"d"]
    assert not any(finding.found is None for finding in findings)


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENOMEM])
def test_a_fault_of_this_moment_leaves_everything_as_known(root: Path, code: int) -> None:
    class Faulty(Reads):
        @staticmethod
        def open(name: str | Path, flags: int, *, dir_fd: int | None = None) -> int:
            if dir_fd is not None:
                raise OSError(code, os.strerror(code))
            return os.open(name, flags)

    (root / "d").mkdir()
    (root / "d" / "x").touch()
    (root / "f").touch()
    tree = MemoryTree()
    tree.take(Scanner(root, EVERYTHING, tree).full())
    told: list[bytes] = []
    scanner = Scanner(root, EVERYTHING, tree, reads=Faulty(), unstable=lambda path, _: told.append(path))
    assert [finding for finding in scanner.full() if finding.path] == []
    assert sorted(told) == [b"d", b"f"]


def test_a_file_that_never_stands_still_keeps_its_known_state(root: Path) -> None:
    class Growing(Reads):
        @staticmethod
        def read(descriptor: int, size: int) -> bytes:
            with open(root / "f", "ab") as file:
                file.write(b"+")
            return os.read(descriptor, size)

    (root / "f").write_bytes(b"x")
    tree = MemoryTree()
    tree.take(Scanner(root, EVERYTHING, tree).full())
    before = dict(tree.known)
    told: list[tuple[bytes, str]] = []
    scanner = Scanner(root, EVERYTHING, tree, reads=Growing(), unstable=lambda *what: told.append(what))
    assert list(scanner.full()) == []
    assert tree.known == before
    assert told == [(b"f", "it changes faster than it can be read")]


def test_a_file_that_is_changed_once_while_it_is_read_is_read_again(root: Path) -> None:
    edits = iter([b"other"])

    class Racing(Reads):
        @staticmethod
        def read(descriptor: int, size: int) -> bytes:
            data = os.read(descriptor, size)
            for edit in edits:
                (root / "f").write_bytes(edit)
            return data

    (root / "f").write_bytes(b"first")
    tree, cache = MemoryTree(), ContentCache(1000)
    tree.take(Scanner(root, EVERYTHING, tree, contents=cache, reads=Racing()).full())
    digest = tree.entries()[b"f"].digest
    assert digest == blake3(b"other").digest()
    assert cache.get(digest) == b"other"
    assert cache.get(blake3(b"first").digest()) is None


@pytest.mark.parametrize("size", [0, 65536, 65537, PIECE_BYTES, 2 * PIECE_BYTES + 5])
def test_files_of_all_sizes_are_hashed_and_small_ones_kept(root: Path, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    (root / "f").write_bytes(data[:size])
    cache, tree = ContentCache(1 << 20), MemoryTree()
    tree.take(Scanner(root, EVERYTHING, tree, contents=cache).full())
    digest = tree.entries()[b"f"].digest
    assert digest == blake3(data[:size]).digest()
    assert (cache.get(digest) is not None) == (size <= 65536)


def test_a_symlink_that_takes_a_directory_s_place_is_not_followed(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"s")

    class Swapping(Reads):
        @staticmethod
        def open(name: str | Path, flags: int, *, dir_fd: int | None = None) -> int:
            if name == "d" and not (root / "d").is_symlink():
                (root / "d").rmdir()
                (root / "d").symlink_to(outside)
            return os.open(name, flags, dir_fd=dir_fd)

    (root / "d").mkdir()
    tree = MemoryTree()
    tree.take(Scanner(root, EVERYTHING, tree, reads=Swapping()).full())
    assert tree.entries()[b"d"].kind is Kind.SYMLINK
    assert b"d/secret" not in tree.known


def test_a_fifo_that_takes_a_file_s_place_does_not_block(root: Path) -> None:
    class Swapping(Reads):
        @staticmethod
        def open(name: str | Path, flags: int, *, dir_fd: int | None = None) -> int:
            if name == "f" and (root / "f").is_file():
                (root / "f").unlink()
                os.mkfifo(root / "f")
            return os.open(name, flags, dir_fd=dir_fd)

    (root / "f").touch()
    tree = MemoryTree()
    told: list[bytes] = []
    tree.take(Scanner(root, EVERYTHING, tree, reads=Swapping(), unstable=lambda path, _: told.append(path)).full())
    assert told == [b"f"]
    assert tree.take(Scanner(root, EVERYTHING, tree).paths([b"f"]))[0].path == b"f"


@pytest.mark.parametrize("trouble", ["missing", "file", "unlisted"])
def test_a_root_that_cannot_be_read_raises(tmp_path: Path, trouble: str) -> None:
    class Faulty(Reads):
        @staticmethod
        def names(descriptor: int) -> list[str]:
            raise OSError(errno.EIO, "Input/output error")

    path = tmp_path / "root"
    if trouble == "file":
        path.touch()
    elif trouble == "unlisted":
        path.mkdir()
    tree = MemoryTree()
    scanner = Scanner(path, EVERYTHING, tree, reads=Faulty())
    with pytest.raises(UnavailableRootError, match="cannot be read"):
        list(scanner.full())
    assert tree.known == {}


@pytest.mark.parametrize("how", ["full", "paths"])
def test_a_root_that_is_replaced_during_a_scan_raises_at_the_end(root: Path, how: str) -> None:
    (root / "f").touch()
    tree = MemoryTree()
    scanner = Scanner(root, EVERYTHING, tree)
    tree.take(scanner.full())
    (root / "f").unlink()
    findings = scanner.full() if how == "full" else scanner.paths([b"f"])
    next(findings)
    root.rename(root.with_name("away"))
    root.mkdir()
    with pytest.raises(UnavailableRootError, match="another directory took its place"):
        list(findings)


def test_a_root_may_be_reached_through_a_symlink(root: Path, tmp_path: Path) -> None:
    (root / "f").touch()
    (tmp_path / "link").symlink_to(root)
    assert scanned(tmp_path / "link").keys() == {b"", b"f"}


def test_a_time_that_no_integer_holds_is_unknown(root: Path) -> None:
    (root / "f").touch()
    (root / "d").mkdir()
    far = 2**63 + 1_000_000_000

    class Far(Reads):
        @staticmethod
        def lstat(  # type: ignore[override]  # as Scanner calls it
            name: str, *, dir_fd: int, follow_symlinks: bool
        ) -> os.stat_result:
            status = os.stat(name, dir_fd=dir_fd, follow_symlinks=follow_symlinks)
            return _with_mtime(status, far) if name == "f" else status

    tree = MemoryTree()
    tree.take(Scanner(root, EVERYTHING, tree, reads=Far()).full())
    assert tree.entries()[b"f"].kind is Kind.UNKNOWN
    assert "touch" in tree.entries()[b"f"].note
    assert tree.entries()[b"d"].kind is Kind.DIRECTORY


def _with_mtime(status: os.stat_result, mtime_ns: int) -> os.stat_result:
    class Changed:
        st_mtime_ns = mtime_ns

        def __getattr__(self, name: str) -> object:
            return getattr(status, name)

    return Changed()  # type: ignore[return-value]  # has every field of one


def test_a_tree_that_is_too_deep_is_unknown_from_there_on(root: Path) -> None:
    path = root
    for _ in range(DEEPEST + 3):
        path /= "d"
        path.mkdir()
    found = scanned(root)
    deepest = max(found, key=len)
    assert found[deepest].kind is Kind.UNKNOWN
    assert len(found) == DEEPEST + 2


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
