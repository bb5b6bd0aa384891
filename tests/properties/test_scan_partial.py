"""Whatever is done to a tree: scanning the hinted paths gives what a scan from nothing gives."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from syncer.capture.ignore import Scope
from syncer.capture.scan import Scanner
from syncer.model import Patterns, join, parent_of
from tests.unit.capture.trees import MemoryTree, scanned

NAMES = st.sampled_from([b"a", b"b", b"a-b", b"c.conf", b"\xff"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(b"/".join)
SCOPES = st.sampled_from(
    [
        Scope(Patterns()),
        Scope(Patterns(("*.conf",))),
        Scope(Patterns(("**",), ("b/", "!a/b/"))),
        Scope(Patterns(("/a/**", "b/c.conf"))),
        Scope(Patterns(), [b"a/b"]),
    ]
)


class Editing(RuleBasedStateMachine):
    """Edits a tree, keeps the hints that inotify would give, and scans now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.top = Path(tempfile.mkdtemp())
        self.root = os.fsencode(self.top / "root")
        os.mkdir(self.root)
        self.dirty: set[bytes] = set()
        self.fresh: set[bytes] = set()

    @initialize(scope=SCOPES)
    def begin(self, scope: Scope) -> None:
        self.scope = scope
        self.tree = MemoryTree()
        self.scanner = Scanner(self.top / "root", scope, self.tree, forget=self.forget)
        self.tree.take(self.scanner.full())

    def forget(self, path: bytes) -> None:
        del self.tree.known[path]

    def at(self, path: bytes) -> bytes:
        return os.path.join(self.root, path)

    def named(self, path: bytes) -> None:
        self.dirty |= {path, parent_of(path)}

    def make_room(self, path: bytes) -> None:
        """Make the directories above `path`, whatever stands there, and clear `path` itself."""
        here = b""
        for name in path.split(b"/")[:-1]:
            here = join(here, name)
            if not os.path.isdir(self.at(here)) or os.path.islink(self.at(here)):
                self.clear(here)
                os.mkdir(self.at(here))
                self.named(here)
                self.fresh.add(here)
        self.clear(path)

    def clear(self, path: bytes) -> None:
        if not os.path.lexists(self.at(path)):
            return
        if os.path.isdir(self.at(path)) and not os.path.islink(self.at(path)):
            # Its contents give hints of their own; the last one is enough for what is proven here.
            shutil.rmtree(self.at(path))
        else:
            os.unlink(self.at(path))
        self.named(path)

    @rule(path=PATHS, data=st.sampled_from([b"", b"1", b"2", b"22"]))
    def write(self, path: bytes, data: bytes) -> None:
        if os.path.isdir(self.at(path)):
            return
        self.make_room(path)
        with open(self.at(path), "wb") as file:
            file.write(data)
        self.named(path)

    @rule(path=PATHS)
    def make_directory(self, path: bytes) -> None:
        self.make_room(path)
        os.mkdir(self.at(path))
        self.named(path)
        self.fresh.add(path)

    @rule(path=PATHS, text=PATHS)
    def make_symlink(self, path: bytes, text: bytes) -> None:
        self.make_room(path)
        os.symlink(text, self.at(path))
        self.named(path)

    @rule(path=PATHS)
    def remove(self, path: bytes) -> None:
        above = parent_of(path)
        if os.path.realpath(self.at(above)) == os.path.realpath(self.root) + (b"/" + above if above else b""):
            self.clear(path)

    @rule(old=PATHS, new=PATHS)
    def rename(self, old: bytes, new: bytes) -> None:
        if not os.path.lexists(self.at(old)) or new.startswith(old + b"/") or old.startswith(new + b"/") or old == new:
            return
        if os.path.realpath(self.at(parent_of(old))) != os.path.join(
            os.path.realpath(self.root), parent_of(old)
        ).rstrip(b"/"):
            return
        self.make_room(new)
        if not os.path.lexists(self.at(old)):
            return
        os.rename(self.at(old), self.at(new))
        self.named(old)
        self.named(new)
        if os.path.isdir(self.at(new)) and not os.path.islink(self.at(new)):
            self.fresh.add(new)

    @rule(path=PATHS, mode=st.sampled_from([0o600, 0o755]))
    def change_mode(self, path: bytes, mode: int) -> None:
        if os.path.lexists(self.at(path)) and not os.path.islink(self.at(path)):
            real = os.path.relpath(os.path.realpath(self.at(path)), os.path.realpath(self.root))
            if real == path:
                os.chmod(self.at(path), mode)
                self.dirty.add(path)

    @rule()
    def scan_hinted_paths(self) -> None:
        self.tree.take(self.scanner.paths(self.dirty, fresh=self.fresh))
        self.dirty, self.fresh = set(), set()
        assert self.tree.entries() == scanned(self.top / "root", self.scope)

    @rule()
    def scan_everything(self) -> None:
        self.tree.take(self.scanner.full())
        self.dirty, self.fresh = set(), set()
        assert self.tree.entries() == scanned(self.top / "root", self.scope)

    @invariant()
    def nothing_of_syncer_s_own_is_known(self) -> None:
        assert not any(self.scope.is_protected(path) for path in getattr(self, "tree", MemoryTree()).known)

    def teardown(self) -> None:
        shutil.rmtree(self.top)


TestEditing = Editing.TestCase
TestEditing.settings = settings(settings.default, max_examples=100, stateful_step_count=30)
