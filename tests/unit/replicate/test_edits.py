"""What counts as an edit on a receiver: what stands here is compared with what production's entry means here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from syncer.apply.owners import Owners
from syncer.capture.ignore import Scope
from syncer.capture.keep_local import KeepLocal
from syncer.capture.scan import Scanner
from syncer.model import DiskIdentity, Known, Patterns
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
    assert edits.drifted(found).keys() == created - {b""}
    # That the pipe cannot go is for a synchronization to say: it is nothing that is excluded.
    counting, _ = edits.all()
    assert counting.keys() >= created - {b""} | {b"pipes", b"pipes/pipe"}
    assert not counting.keys() & {b"logs", b"logs/deep"}
