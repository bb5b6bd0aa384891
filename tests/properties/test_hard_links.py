"""Names of one file end as names of one file, whatever was linked, unlinked, renamed or broken in between."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from syncer.apply.applier import Applied, Applier
from syncer.apply.owners import Owners, same_here
from syncer.capture.ignore import Scope
from syncer.capture.scan import Scanner
from syncer.capture.tree_capture import TreeCapture
from syncer.errors import ApplyError
from syncer.files import Disk
from syncer.index.store import IndexStore
from syncer.model import Change, Entry, Kind, Known, Patterns
from syncer.replicate.compare import Comparison, Standing, order_of
from tests.unit.apply.trees import OPENING, MemoryBase, MemoryJournal, WholeReach
from tests.unit.capture.trees import MemoryTree

EVERYTHING = Scope(Patterns())
NAMES = ["a", "b", "c", "d/a", "d/b", "e/a"]


class Operation(NamedTuple):
    """Something that a program does to two names."""

    kind: str
    one: str
    other: str
    text: str


operations = st.builds(
    Operation,
    st.sampled_from(["write", "append", "link", "unlink", "rename", "copy_over", "mode", "times"]),
    st.sampled_from(NAMES),
    st.sampled_from(NAMES),
    st.sampled_from(["", "x", "y" * 20_000]),
)
groups_of_operations = st.lists(st.lists(operations, min_size=1, max_size=6), min_size=1, max_size=5)


def perform(root: Path, operation: Operation) -> set[bytes]:
    """Do it where it can be done; return what a watch would name."""
    one, other = root / operation.one, root / operation.other
    touched = {operation.one}
    if operation.kind == "write":
        one.unlink(missing_ok=True)
        one.write_text(operation.text)
    elif not one.exists():
        return set()
    elif operation.kind == "append":
        with one.open("a") as file:
            file.write(operation.text or "z")
    elif operation.kind == "unlink":
        one.unlink()
    elif operation.kind == "mode":
        one.chmod(0o600 if len(operation.text) == 1 else 0o640)
    elif operation.kind == "times":
        os.utime(one, ns=(10**18, 10**18 + len(operation.text)))
    elif one == other:
        return set()
    else:
        touched.add(operation.other)
        if operation.kind == "link":
            other.unlink(missing_ok=True)
            other.hardlink_to(one)
        elif operation.kind == "rename":
            one.replace(other)
        else:
            shutil.copy2(one, root / "copy")
            (root / "copy").replace(other)
    found = {os.fsencode(name) for name in touched}
    return found | {os.path.dirname(name) for name in found}


def described(root: Path) -> tuple[set[frozenset[str]], dict[str, tuple[int, int, int, bytes]]]:
    """Return which names go together, and what each is: mode, mtime, number of names, bytes."""
    together: defaultdict[int, set[str]] = defaultdict(set)
    files = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder) / name
            found = path.stat()
            relative = str(path.relative_to(root))
            together[found.st_ino].add(relative)
            files[relative] = (found.st_mode, found.st_mtime_ns, found.st_nlink, path.read_bytes())
    return {frozenset(names) for names in together.values()}, files


@contextmanager
def two_roots() -> Iterator[tuple[Path, Path, Path]]:
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        for root in ("production", "failover"):
            for below in ("d", "e"):
                (here / root / below).mkdir(parents=True)
        yield here, here / "production", here / "failover"


class Failover:
    """A root with its base, as a receiver has them."""

    def __init__(self, root: Path, disk: Disk | None = None) -> None:
        self.root = root
        self.base = MemoryBase()
        self.applier = Applier("d", root, "0123456789", self.base, disk or Disk(), Owners(), MemoryJournal())

    def apply(self, changes: list[Change], source: Path) -> Applied:
        contents = {
            change.entry.digest: change.path for change in changes if change.entry and change.entry.kind is Kind.FILE
        }
        attempt = self.applier.begin(changes, WholeReach())
        for digest in attempt.wanted():
            attempt.write(digest, (source / os.fsdecode(contents[digest])).read_bytes(), 0, False)
        applied = attempt.finish(OPENING)
        self.base.commit(applied)
        return applied


@given(groups_of_operations)
def test_partial_synchronization_keeps_names_together(groups: list[list[Operation]]) -> None:
    with two_roots() as (folder, production, root), IndexStore.open(folder / "index.db") as index:
        failover = Failover(root)
        capture = TreeCapture("d", production, EVERYTHING, index, enter=lambda *_: None, contents=None)
        seq = 0
        for number, group in enumerate([[], *groups]):
            dirty: set[bytes] = set()
            for operation in group:
                dirty |= perform(production, operation)
            if number:
                capture.look_at(dirty, (), ())
            else:
                capture.look_at_everything()
            capture.record(torn=False, force=True)
            with index.snapshot("d") as snapshot:
                changes = list(snapshot.changes_since(seq))
                seq = snapshot.head.seq
            applied = failover.apply(changes, production)
            assert applied.problems == []
            assert described(root) == described(production), (group, changes)
            # The base knows each path as it stands: nobody edited anything.
            assert not list(Scanner(root, EVERYTHING, known_here(failover.base)).full())


def known_here(base: MemoryBase) -> MemoryTree:
    tree = MemoryTree()
    tree.known = dict(base.rows)
    return tree


@given(st.lists(operations, max_size=12), st.lists(operations, max_size=12), st.booleans())
def test_full_synchronization_puts_names_together(
    ours: list[Operation], theirs: list[Operation], known_before: bool
) -> None:
    with two_roots() as (_, production, root):
        failover = Failover(root)
        for operation in ours:
            perform(production, operation)
        wanted = scanned(production)
        if known_before:
            failover.apply([Change(0, known.entry.path, known.entry) for known in wanted], production)
        for operation in theirs:
            perform(root, operation)
        changes = compared(failover, [known.entry for known in wanted])
        assert failover.apply(changes, production).problems == []
        assert described(root) == described(production)
        assert compared(failover, [known.entry for known in wanted]) == []


@given(st.lists(operations, max_size=10), st.lists(operations, min_size=1, max_size=10), st.integers(0, 40))
def test_the_same_changes_after_a_stop_at_any_operation_end_together(
    before: list[Operation], after: list[Operation], stop_at: int
) -> None:
    left = 10**9

    def stop(operation: str, name: bytes) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(5, f"stopped at {operation}", name)

    with two_roots() as (_, production, root):
        failover = Failover(root, Disk(stop))
        for operation in before:
            perform(production, operation)
        first = {known.entry.path: known.entry for known in scanned(production)}
        failover.apply([Change(0, path, entry) for path, entry in first.items()], production)
        for operation in after:
            perform(production, operation)
        second = {known.entry.path: known.entry for known in scanned(production)}
        changes = [Change(0, path, entry) for path, entry in second.items() if first.get(path) != entry]
        changes += [Change(0, path, None) for path in first if path not in second]
        left = stop_at
        with contextlib.suppress(ApplyError):
            failover.apply(changes, production)
        left = 10**9
        failover.apply(changes, production)
        assert described(root) == described(production)


def scanned(root: Path) -> list[Known]:
    tree = MemoryTree()
    tree.take(Scanner(root, EVERYTHING, tree).full())
    return sorted(tree.known.values(), key=lambda known: order_of(known.entry.path))


def compared(failover: Failover, wanted: list[Entry]) -> list[Change]:
    """Return what a full synchronization would change, as the receiver finds it out."""
    edits = {
        finding.path: finding.found for finding in Scanner(failover.root, EVERYTHING, known_here(failover.base)).full()
    }
    current = {path: Standing(known, False) for path, known in failover.base.rows.items() if path not in edits}
    current |= {path: Standing(known, True) for path, known in edits.items() if known is not None}
    ordered = [current[path] for path in sorted(current, key=order_of)]
    owners = Owners()
    comparison = Comparison(iter(ordered), EVERYTHING.wants, lambda one, other: same_here(owners, one, other))
    comparison.feed(wanted)
    changes = [difference.change for difference in comparison.finish()]
    for known in comparison.adopted:
        failover.base.rows[known.entry.path] = known
    for path, known_or_gone in edits.items():
        if known_or_gone is None:
            failover.base.rows.pop(path, None)
    return changes
