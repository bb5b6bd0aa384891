from __future__ import annotations

import pytest

from syncer.capture.keep_local import KeepLocal, ancestors, without_kept
from syncer.model import DiskIdentity, Entry, Kind, Known


def known(path: bytes, kind: Kind = Kind.FILE, mtime: int = 1) -> Known:
    digest = b"d" * 32 if kind is Kind.FILE else b""
    return Known(Entry(path, kind, 0o644, 0, 0, "", "", mtime, 1, digest, b""), DiskIdentity(1, mtime, 1, 1, 1))


@pytest.mark.parametrize(
    ("patterns", "path", "is_directory", "kept"),
    [
        ([], b"a", False, False),
        (["a"], b"a", False, True),
        (["a"], b"d/a", False, True),
        (["/a"], b"d/a", False, False),
        (["d/"], b"d", True, True),
        (["d/"], b"d", False, False),
        (["d/"], b"d/x/y", False, True),
        (["/d/**"], b"d", True, False),
        (["/d/**"], b"d/x", False, True),
        (["/d/*", "!/d/x"], b"d/x", False, False),
        (["/d/", "!/d/x"], b"d/x", False, True),
        (["**"], b"", True, False),
        (["**"], b".syncer/x", False, False),
        (["*.\udcff"], b"a.\xff", False, True),
    ],
)
def test_which_paths_are_kept(patterns: list[str], path: bytes, is_directory: bool, kept: bool) -> None:
    assert KeepLocal(patterns).keeps(path, is_directory) is kept


def test_ancestors_are_all_directories_above() -> None:
    assert ancestors([b"a/b/c", b"a/d"]) == {b"a/b", b"a", b""}
    assert ancestors([]) == set()


def test_a_directory_that_holds_kept_files_does_not_count_but_what_else_is_in_it_does() -> None:
    found: dict[bytes, Known | None] = {
        b"new": known(b"new", Kind.DIRECTORY),
        b"new/local": known(b"new/local"),
        b"new/other": known(b"new/other"),
        b"empty": known(b"empty", Kind.DIRECTORY),
        b"gone/local": None,
    }
    counting, standing = without_kept(found, KeepLocal(["local"]), lambda _: None)
    assert set(counting) == {b"new/other", b"empty"}
    assert standing == {b"new/local"}


def test_a_directorys_time_counts_unless_a_kept_file_moved_it() -> None:
    before = {path: known(path, Kind.DIRECTORY, 1) for path in (b"touched", b"other", b"mode")}
    changed = known(b"mode", Kind.DIRECTORY, 2)
    found: dict[bytes, Known | None] = {
        b"touched": known(b"touched", Kind.DIRECTORY, 2),
        b"touched/local": known(b"touched/local"),
        b"other": known(b"other", Kind.DIRECTORY, 2),
        b"mode": changed._replace(entry=changed.entry._replace(mode=0o700)),
        b"mode/local": known(b"mode/local"),
    }
    counting, _ = without_kept(found, KeepLocal(["local"]), before.get)
    assert set(counting) == {b"other", b"mode"}
