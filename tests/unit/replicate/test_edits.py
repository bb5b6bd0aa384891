"""What counts as an edit on a receiver: what stands here is compared with what production's entry means here."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from syncer.apply.owners import Owners
from syncer.capture.ignore import Scope
from syncer.capture.inspection import RACY_NS
from syncer.capture.keep_local import KeepLocal
from syncer.capture.reader import Reads
from syncer.capture.scan import Scanner
from syncer.model import DiskIdentity, Known, Patterns, name_of, parent_of
from syncer.replicate.edits import Edits

ELSEWHERE = DiskIdentity(0, 0, 0, 0, 0)


class Tree:
    """A base that holds what it was given."""

    def __init__(self) -> None:
        self.rows: dict[bytes, Known] = {}
        self.doubted: frozenset[bytes] = frozenset()

    def children(self, directory: bytes) -> dict[bytes, Known]:
        return {path: known for path, known in self.rows.items() if path and not directory}

    def get(self, path: bytes) -> Known | None:
        return self.rows.get(path)


def scope() -> Scope:
    return Scope(Patterns())


def edits_of(root: Path, tree: Tree, renamed: dict[str, str]) -> Edits:
    owners = Owners({"web": os.getuid()}.__getitem__, {"web": os.getgid()}.__getitem__, renamed)
    return Edits(root, scope, tree, KeepLocal(()), owners)  # type: ignore[arg-type]  # a fake base


@pytest.mark.needs_root
@pytest.mark.parametrize(("renamed", "drifted"), [({"nginx": "web"}, {}), ({}, {b"", b"page"})])
def test_another_name_for_an_owner_is_no_edit_where_the_map_says_so(
    tmp_path: Path, renamed: dict[str, str], drifted: set[bytes]
) -> None:
    (tmp_path / "page").write_text("x")
    tree = Tree()
    found = {item.path: item.found for item in Scanner(tmp_path, scope(), tree).full()}
    for path, known in found.items():
        assert known is not None
        # As production sent it, and touched here since, so that the entries are compared.
        entry = known.entry._replace(owner="nginx", uid=48, group="nginx", gid=48)
        tree.rows[path] = known._replace(entry=entry, identity=ELSEWHERE)
    edits = edits_of(tmp_path, tree, renamed)
    assert set(edits.drifted(dict(found))) == set(drifted)
    (tmp_path / "page").write_text("edited")
    found = {item.path: item.found for item in edits.scanner().full()}
    assert edits.drifted(found)[b"page"] == "edited"


def test_a_directory_that_stands_for_what_is_not_synchronized_is_no_edit(tmp_path: Path) -> None:
    for name in ("logs/deep", "pipes", "edited/deep", "empty"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("logs/deep/own.log", "edited/deep/file", "pipes/file"):
        (tmp_path / name).write_text("x")
    os.mkfifo(tmp_path / "pipes" / "pipe")
    tree = Tree()
    nobody: dict[str, int] = {}
    owners = Owners(nobody.__getitem__, nobody.__getitem__, {})
    excluding = Scope(Patterns(exclude=("*.log",)))
    edits = Edits(tmp_path, lambda: excluding, tree, KeepLocal(()), owners)  # type: ignore[arg-type]  # a fake base
    found = {item.path: item.found for item in edits.scanner().full()}
    created = {b"", b"edited", b"edited/deep", b"edited/deep/file", b"empty", b"pipes/file"}
    assert edits.drifted(found).keys() == created
    # That the pipe cannot go is for a synchronization to say: it is nothing that is excluded.
    edits.all()
    assert edits.held == {b"logs", b"logs/deep"}


class Applied(Tree):
    """A base that tells directories apart."""

    def children(self, directory: bytes) -> dict[bytes, Known]:
        rows = self.rows.items()
        return {name_of(path): known for path, known in rows if path and parent_of(path) == directory}


class Opened(Reads):
    """Remembers which files were opened."""

    def __init__(self) -> None:
        self.files: list[str] = []

    def open(  # type: ignore[override]
        self, name: str | Path, flags: int, *, dir_fd: int | None = None
    ) -> int:
        if not flags & os.O_DIRECTORY:
            self.files.append(str(name))
        return super().open(name, flags, dir_fd=dir_fd)


def old(path: Path) -> None:
    """Let the last change of a file be so old that a later one must show."""
    ends = time.monotonic() + 5
    while abs(time.time_ns() - path.lstat().st_ctime_ns) < 2 * RACY_NS:
        assert time.monotonic() < ends


def test_what_was_read_a_moment_ago_is_not_read_again_and_what_changed_since_is(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for name in ("same", "edited", "gone", "below/same", "below/kind"):
        (tmp_path / name).write_text(name)
    (tmp_path / "applied").write_text("applied")
    old(tmp_path / "applied")
    tree, reads = Applied(), Opened()
    found = {item.path: item.found for item in Scanner(tmp_path, scope(), tree).full()}
    applied = found.pop(b"applied")
    assert applied is not None
    tree.rows[b"applied"] = applied
    edits = edits_of(tmp_path, tree, {})
    edits.remember([known for known in found.values() if known is not None])
    (tmp_path / "edited").write_text("EDITED")
    (tmp_path / "gone").unlink()
    (tmp_path / "below/kind").unlink()
    (tmp_path / "below/kind").mkdir()
    (tmp_path / "new").write_text("new")
    plain = edits_of(tmp_path, tree, {}).all()
    assert edits.all(reads=reads) == plain
    assert sorted(reads.files) == ["edited", "new"]
    assert sorted(plain[0]) == [b"", b"below", b"below/kind", b"below/same", b"edited", b"new", b"same"]
    # The comparison itself is remembered, what is in the base meanwhile is not, and nothing is where it was forgotten.
    old(tmp_path / "new")
    edits.all()
    tree.rows |= {path: known for path, known in plain[0].items() if known is not None and path == b"same"}
    reads.files.clear()
    assert edits.all(reads=reads) == edits_of(tmp_path, tree, {}).all()
    assert reads.files == []
    edits.remember(())
    edits.all(reads=reads)
    assert sorted(reads.files) == ["edited", "new", "same"]


def test_what_does_not_belong_to_the_domain_any_more_is_no_edit_though_it_was_read(tmp_path: Path) -> None:
    for name in ("kept", "left.log"):
        (tmp_path / name).write_text(name)
    old(tmp_path / "left.log")
    tree = Applied()
    found = [item.found for item in Scanner(tmp_path, scope(), tree).full()]
    edits = Edits(
        tmp_path,
        lambda: Scope(Patterns(exclude=("*.log",))),
        tree,  # type: ignore[arg-type]  # a fake base
        KeepLocal(()),
        Owners(),
    )
    edits.remember([known for known in found if known is not None])
    assert sorted(edits.all()[0]) == [b"", b"kept"]
