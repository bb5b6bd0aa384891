"""Whatever a transaction does: what its check sees at the real path is what stands there afterwards."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings

from syncer.apply.applier import Applier
from syncer.apply.candidate import Candidate
from syncer.apply.owners import Owners
from syncer.errors import ViewError
from syncer.files import Disk
from syncer.services.command import Command, CommandRunner
from tests.properties.test_apply_trees import Node, prepare, three_roots, trees
from tests.unit.apply.trees import OPENING, MemoryBase, MemoryJournal, WholeReach, changes_between, read_tree

LIST = """
import json, os, stat, sys
root, answer = map(os.fsencode, sys.argv[1:])
found = {}
waiting = [b""]
while waiting:
    path = waiting.pop()
    where = os.path.join(root, path)
    here = os.lstat(where)
    if stat.S_ISDIR(here.st_mode):
        content = ""
        waiting += [os.path.join(path, name) for name in os.listdir(where)]
    elif stat.S_ISLNK(here.st_mode):
        content = os.fsdecode(os.readlink(where))
    else:
        with open(where, "rb") as file:
            content = file.read().hex()
    found[os.fsdecode(path)] = [here.st_mode, here.st_uid, here.st_gid, here.st_mtime_ns, content]
with open(answer, "w") as file:
    json.dump(found, file)
"""
Listing = dict[str, list[object]]


def listed(root: Path, candidate: Candidate | ViewError | None) -> Listing:
    """Return what a command sees at `root`: the candidate, or what is live."""
    assert not isinstance(candidate, ViewError)
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer"
        words = [sys.executable, "-I", "-S", "-c", LIST, os.fspath(root), os.fspath(answer)]
        ended = CommandRunner().run(Command(words, {}, 30.0), candidate)
        assert ended.is_ok, ended
        found: Listing = json.loads(answer.read_text())
        return found


@pytest.mark.needs_root
# Each example mounts an overlay in a process of its own.
@settings(max_examples=12)
@given(trees, trees)
def test_the_check_sees_what_stands_afterwards(before: dict[bytes, Node], after: dict[bytes, Node]) -> None:
    with three_roots() as (old, new, target):
        prepare(old, new, target, before, after)
        seen: list[Listing] = []
        lived: list[Listing] = []

        def check(candidate: Candidate | ViewError) -> None:
            seen.append(listed(target, candidate))
            lived.append(listed(target, None))

        standing = listed(target, None)
        base = MemoryBase()
        wanted, contents = read_tree(new)
        journal = MemoryJournal()
        applier = Applier("nginx", target, "0123456789", base, Disk(), Owners(), journal)
        attempt = applier.begin(changes_between(read_tree(target)[0], wanted), WholeReach(), check)
        for digest in attempt.wanted():
            attempt.write(digest, contents[digest], 0, False)
        applied = attempt.finish(OPENING)
        base.commit(applied)
        assert applied.problems == []
        assert seen in ([], [listed(target, None)])
        assert lived in ([], [standing])
        for path, known in base.rows.items():
            here = os.lstat(os.path.join(os.fsencode(target), path))
            assert (here.st_ino, here.st_ctime_ns) == (known.identity.inode, known.identity.ctime_ns), path
        # What the transaction displaced stays there for the history: nothing of the view does.
        work = journal.open
        staged = {place.path for place in work.places.values()} | set(work.asides.values()) if work else set()
        left = {os.fsencode(found.name) for found in target.parent.glob(".syncer/*/stage-*/*")}
        assert left <= staged
        applier.tidy()
        applier.close()
        assert sorted(os.listdir(target.parent)) == ["new", "old", "target"]
