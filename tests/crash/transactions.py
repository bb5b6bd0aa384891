"""The catalogue of transactions that the crash harness stops: one of each kind that a tree can change by."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from syncer.apply.build import FLUSHED_ONE_BY_ONE
from syncer.model import Change
from tests.crash.trees import Tree, changes_between

MANY = FLUSHED_ONE_BY_ONE + 14
"""So many paths that the file system is flushed once instead of path by path."""

MOUNT = b"mnt"
"""Where another file system is mounted below the root, in the kinds that cross mounts."""


class Step(NamedTuple):
    """One transaction as production sends it; `number` is the seq that it ends at."""

    number: int
    changes: list[Change]
    contents: dict[bytes, bytes]
    full: bool = False


class Transaction(NamedTuple):
    """A tree and what it becomes; the history before it begins with another content at `earlier`."""

    kind: str
    before: Tree
    after: Tree
    mounted: bool = False
    act: str = "apply"
    """What is stopped: "apply" what production sends, "roll back" to `origin`, or "tend" the history."""
    origin: Tree | None = None
    """What stood before `before`."""

    def later(self) -> Tree:
        """Return what the transaction after this one makes."""
        return self.after.copy().file(b"later", b"what comes later")

    def origins(self, cursor: int) -> dict[bytes, bytes]:
        """Return what the base must say of where files come from, once the step of this number was applied."""
        tree = self._trees()[cursor]
        return {path: entry.origin for path, entry in tree.entries.items()}

    def past(self) -> list[Step]:
        """Return what is applied before: the first filling, and what makes `before`."""
        return self._steps()[:-2]

    def stopped(self) -> Step:
        """Return the one that is stopped, where production sends it."""
        return self._steps()[-2]

    def following(self) -> Step:
        """Return one that comes after it."""
        return self._steps()[-1]

    def _trees(self) -> list[Tree]:
        first = Tree().file(b"earlier", b"the first content of earlier")
        if self.mounted:
            first.directory(MOUNT)
        origin = [] if self.origin is None else [self.origin]
        return [Tree(), first, *origin, self.before, self.after, self.later()]

    def _steps(self) -> list[Step]:
        trees = self._trees()
        steps = []
        for number in range(1, len(trees)):
            old, new = trees[number - 1], trees[number]
            changes = changes_between({} if number == 1 else old.entries, new.entries)
            steps.append(Step(number, changes, new.contents, full=number == 1))
        return steps


def start() -> Tree:
    """Return a tree with something of everything."""
    tree = Tree().file(b"earlier", b"the second content of earlier").file(b"plain", b"plain").file(b"empty", b"")
    tree.directory(b"conf").file(b"conf/a", b"one", 0o600).file(b"conf/b", b"two").link(b"conf/link", b"a")
    tree.directory(b"conf/sub", 0o750).file(b"conf/sub/deep", b"deep").directory(b"void").link(b"away", b"/nowhere")
    tree.directory(b"names").file(b"names/a", b"one file").name(b"names/a", b"names/b").name(b"names/a", b"conf/third")
    tree.attribute(b"names/a", b"user.colour", b"red").attribute(b"conf/b", b"user.note", b"two")
    tree.attribute(b"conf/sub", b"user.note", b"of a directory").origin(b"conf/a", b"one").origin(b"plain", b"")
    # What came last moves its directories' mtimes; then nothing of it is left to a default.
    return tree


def _many(tree: Tree) -> Tree:
    for number in range(MANY):
        tree.file(b"conf/many-%02d" % number, b"%d" % number)
    return tree


def _swap(tree: Tree) -> Tree:
    return tree.file(b"conf/a", b"two").file(b"conf/b", b"one")


def _move_content(tree: Tree) -> Tree:
    return tree.move(b"plain", b"conf/moved").file(b"plain", b"what stands there now")


def _mount_start() -> Tree:
    tree = start().directory(MOUNT).file(b"mnt/a", b"in the mount").directory(b"mnt/d").file(b"mnt/d/x", b"x")
    return tree.file(b"mnt/gone", b"goes")


def _across(tree: Tree) -> Tree:
    tree.file(b"mnt/a", b"changed there").remove(b"mnt/gone").file(b"mnt/d/new", b"n").file(b"plain", b"changed here")
    return tree.move(b"conf/a", b"mnt/from-here").move(b"mnt/d/x", b"from-there")


def _everything(tree: Tree) -> Tree:
    tree.file(b"plain", b"other").remove(b"conf/sub").link(b"conf/sub", b"b").mode(b"conf/b", 0o640)
    tree.directory(b"new").file(b"new/x", b"x").remove(b"away").mode(b"", 0o711)
    return tree.move(b"void", b"new/void")


EDITS: dict[str, Callable[[Tree], Tree]] = {
    "create file": lambda tree: tree.file(b"conf/new", b"new", 0o640),
    "create nested": lambda tree: tree.directory(b"x", 0o700).directory(b"x/y").file(b"x/y/z", b"z").link(b"x/l", b"y"),
    "create symlink": lambda tree: tree.link(b"conf/other", b"../plain"),
    "create empty directory": lambda tree: tree.directory(b"conf/void", 0o1777),
    "create empty file": lambda tree: tree.file(b"conf/nothing", b""),
    "overwrite": lambda tree: tree.file(b"conf/a", b"another content"),
    "overwrite several": lambda tree: tree.file(b"conf/a", b"1").file(b"conf/b", b"2").file(b"plain", b"3"),
    "delete file": lambda tree: tree.remove(b"conf/a"),
    "delete symlink": lambda tree: tree.remove(b"conf/link"),
    "delete subtree": lambda tree: tree.remove(b"conf"),
    "rename file": lambda tree: tree.move(b"plain", b"conf/renamed"),
    "rename directory": lambda tree: tree.move(b"conf", b"settings"),
    "file to directory": lambda tree: tree.directory(b"plain").file(b"plain/x", b"x"),
    "directory to file": lambda tree: tree.file(b"conf", b"was a directory"),
    "file to symlink": lambda tree: tree.link(b"plain", b"conf/a"),
    "symlink to file": lambda tree: tree.file(b"away", b"here now"),
    "symlink to directory": lambda tree: tree.directory(b"away").file(b"away/x", b"x"),
    "directory to symlink": lambda tree: tree.link(b"conf", b"void"),
    "retarget symlink": lambda tree: tree.link(b"conf/link", b"b"),
    "file metadata": lambda tree: tree.mode(b"conf/a", 0o4755).touch(b"conf/b"),
    "directory metadata": lambda tree: tree.mode(b"conf/sub", 0o2775).touch(b"conf"),
    "root mode": lambda tree: tree.mode(b"", 0o711),
    "file attributes": lambda tree: tree.attribute(b"conf/b", b"user.note", b"2").attribute(b"plain", b"user.x", b""),
    "directory attributes": lambda tree: tree.attribute(b"conf/sub", b"user.note", None).attribute(
        b"", b"user.r", b"r"
    ),
    "rendered file": lambda tree: tree.file(b"conf/a", b"rendered anew").origin(b"conf/a", b"two"),
    "origin alone": lambda tree: tree.origin(b"conf/a", b"another"),
    "origins come and go": lambda tree: tree.origin(b"conf/b", b"new").file(b"plain", b"as on production"),
    "another name": lambda tree: tree.name(b"plain", b"names/plain"),
    "one name less": lambda tree: tree.remove(b"names/b"),
    "all names gone": lambda tree: tree.remove(b"names").remove(b"conf/third"),
    "renamed name": lambda tree: tree.move(b"names/b", b"names/c"),
    "name written anew": lambda tree: tree.file(b"names/a", b"a file of its own"),
    "names written": lambda tree: (
        tree.file(b"names/a", b"new").name(b"names/a", b"names/b").name(b"names/a", b"conf/third")
    ),
    "name in another's place": lambda tree: tree.name(b"conf/a", b"names/b"),
    "metadata of names": lambda tree: tree.mode(b"names/a", 0o600).attribute(b"names/a", b"user.colour", b"blue"),
    "swap contents": _swap,
    "move content": _move_content,
    "many small": _many,
    "large in pieces": lambda tree: tree.file(b"conf/large", bytes(range(256)) * 1200).file(b"conf/a", b"small"),
    "everything": _everything,
}

ROOT_EDITS: dict[str, Callable[[Tree], Tree]] = {
    "owner": lambda tree: tree.owner(b"conf/a", 1234).owner(b"conf", 1234).owner(b"away", 1234),
}
"""Only root can carry these out."""


def catalogue(*, as_root: bool) -> dict[str, Transaction]:
    """Return every kind by its name, without those across mounts."""
    edits = EDITS | (ROOT_EDITS if as_root else {})
    return {kind: Transaction(kind, start(), edit(start().copy())) for kind, edit in edits.items()}


def across_mounts() -> Transaction:
    """Return the kind that changes two file systems at once."""
    before = _mount_start()
    return Transaction("across mounts", before, _across(before.copy()), mounted=True)


def history_kinds() -> dict[str, Transaction]:
    """Return what the history does on its own or for a person: taking in, and rolling back."""
    chosen = ("overwrite", "delete subtree", "rename directory", "directory to file", "metadata of names", "everything")
    found = {}
    for name in chosen:
        origin = start()
        changed = EDITS[name](origin.copy())
        found[f"roll back: {name}"] = Transaction(f"roll back: {name}", changed, origin, act="roll back", origin=origin)
        found[f"take in: {name}"] = Transaction(f"take in: {name}", changed, changed, act="tend", origin=origin)
    return found


def pruning() -> Transaction:
    """Return what forgets all generations but the last one, where no more may be kept."""
    origin = start()
    changed = _everything(origin.copy())
    return Transaction("forget generations", changed, changed, act="tend", origin=origin)
