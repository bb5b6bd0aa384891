"""Full scans of what cannot be read, never stands still, or leads elsewhere."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from blake3 import blake3

from syncer.capture.contents import ContentCache
from syncer.capture.reader import Reads
from syncer.capture.scan import DEEPEST, Scanner
from syncer.errors import UnavailableRootError
from syncer.model import Kind
from tests.unit.capture.trees import EVERYTHING, MemoryTree, scanned

ROOT = Path(__file__).parents[3]


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
