"""Trees on disk and in memory for tests of capture."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

from syncer.capture.capturer import Capturer, CaptureState
from syncer.capture.contents import ContentCache
from syncer.capture.findings import Finding
from syncer.capture.ignore import Scope
from syncer.capture.reader import Reads
from syncer.capture.scan import Scanner
from syncer.capture.watch import EventReceiver, Watcher
from syncer.index.store import IndexStore
from syncer.model import Entry, Head, Known, Patterns, name_of, parent_of

EVERYTHING = Scope(Patterns())


class MemoryTree:
    """A store that is a dictionary."""

    def __init__(self) -> None:
        self.known: dict[bytes, Known] = {}

    def children(self, directory: bytes) -> dict[bytes, Known]:
        return {name_of(path): known for path, known in self.known.items() if path and parent_of(path) == directory}

    def get(self, path: bytes) -> Known | None:
        return self.known.get(path)

    def take(self, findings: Iterable[Finding]) -> list[Finding]:
        """Apply findings as they come, as an index does."""
        taken = []
        for finding in findings:
            taken.append(finding)
            if finding.found is None:
                assert finding.path in self.known, f"{finding.path!r} was never known"
                del self.known[finding.path]
            else:
                self.known[finding.path] = finding.found
        return taken

    def entries(self) -> dict[bytes, Entry]:
        return {path: known.entry for path, known in self.known.items()}


def scanned(root: Path, scope: Scope = EVERYTHING) -> dict[bytes, Entry]:
    """Return what a scan from nothing finds."""
    tree = MemoryTree()
    tree.take(Scanner(root, scope, tree).full())
    return tree.entries()


class OverflowingWatcher(Watcher):
    """A watcher whose queue overflows when a test says so."""

    def __init__(self, on_failure: Callable[[BaseException], None]) -> None:
        super().__init__(on_failure)
        self._receivers: list[EventReceiver] = []

    def add(self, directory: int, receiver: EventReceiver) -> tuple[int, int]:
        if receiver not in self._receivers:
            self._receivers.append(receiver)
        return super().add(directory, receiver)

    def overflow(self) -> None:
        """Tell everybody who watches anything that events were lost: everything is scanned again."""
        for receiver in self._receivers:
            receiver.on_queue_overflow()


class Running:
    """A capturer with its index, and a way to wait for what it does."""

    def __init__(
        self,
        directory: Path,
        *,
        root: Path | None = None,
        scope: Scope = EVERYTHING,
        settle: float = 0.0,
        settle_max: float = 0.5,
        rescan: float = 3600.0,
        reads: Reads | None = None,
    ) -> None:
        self.root = root or directory / "root"
        if root is None:
            self.root.mkdir(exist_ok=True)
        self.failures: list[BaseException] = []
        self.heads: list[Head] = []
        self.states: list[CaptureState] = []
        self.changed = threading.Condition()
        self.index = IndexStore.open(directory / "index.db")
        self.watcher = OverflowingWatcher(self.failures.append)
        self.contents = ContentCache(1 << 20)
        self.capturer = Capturer(
            "d",
            self.root,
            scope,
            settle=settle,
            settle_max=settle_max,
            rescan=rescan,
            index=self.index,
            watcher=self.watcher,
            contents=self.contents,
            on_head=lambda _, head: self._note(self.heads, head),
            on_state=lambda _, state: self._note(self.states, state),
            on_failure=self.failures.append,
            reads=reads,
        )

    def __enter__(self) -> Self:
        self.capturer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.capturer.stop()
        assert not self.capturer.is_alive()
        self.watcher.close()
        self.index.close()
        assert not self.failures

    @property
    def state(self) -> CaptureState:
        return self.states[-1]

    def wait(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        """Return once `condition` holds; it is asked again whenever the capturer tells anything."""
        with self.changed:
            assert self.changed.wait_for(condition, seconds), (self.states[-3:], self.heads[-3:])

    def flush(self) -> Head:
        return self.capturer.flush().result(60.0)

    def entries(self) -> dict[bytes, Entry]:
        with self.index.snapshot("d") as snapshot:
            return {entry.path: entry for entry in snapshot.entries()}

    def assert_equal(self) -> None:
        """Flush, and compare the index with a scan from nothing."""
        self.flush()
        assert self.entries() == scanned(self.root)

    def _note(self, where: list[Any], what: object) -> None:
        with self.changed:
            where.append(what)
            self.changed.notify_all()
