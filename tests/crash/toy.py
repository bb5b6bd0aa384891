"""A tiny receiver of flat trees that keeps its promise, with switches that break it: it proves the harness."""

from __future__ import annotations

import contextlib
import os
import pickle
from typing import Any

from syncer.errors import ApplyError, StateError
from syncer.files import Disk, DiskError, Observer, Root
from syncer.model import Kind
from tests.crash.receiver import ObservedStore, Place, leftovers
from tests.crash.transactions import Step, Transaction

BREAKS = {
    "forgets its intent": {"dies", "power"},
    "intends before the stage is flushed": {"power"},
    "does not flush contents": {"power"},
    "commits before the names are flushed": {"power"},
    "gives up halfway": {"fails"},
    "leaves its stage behind": {"fails", "dies"},
    "keeps no intent": {"dies", "power"},
}
"""What can be broken, and by which ways of stopping that must be noticed."""


class Toy:
    """Stages, records an intent, renames, flushes, commits; recovery goes on where it stopped."""

    def __init__(self, place: Place, disk: Disk, observer: Observer, broken: str = "") -> None:
        self._place = place
        self._disk = disk
        self._broken = broken
        store = ObservedStore.open(place.state, create=True)
        assert isinstance(store, ObservedStore), "open makes what it is called on"
        self._store = store
        with store.transaction() as writer:
            writer.execute("CREATE TABLE IF NOT EXISTS toy (cursor INTEGER, intent BLOB)")
            if writer.execute("SELECT count(*) FROM toy").fetchone() == (0,):
                writer.execute("INSERT INTO toy VALUES (0, NULL)")
        store.observer = observer
        stage = place.folder / ".syncer" / "toy"
        # Not through the disk: as if it had always been there.
        stage.mkdir(parents=True, exist_ok=True)
        self._root = Root(place.root)
        self._stage = Root(stage)
        try:
            self._recover()
        except BaseException:
            self.close()
            raise

    def apply(self, step: Step) -> None:
        """Apply one transaction."""
        self._recover()
        try:
            intent = self._prepare(step)
        except (ApplyError, StateError):
            with contextlib.suppress(ApplyError):
                self._clear()
            raise
        try:
            self._carry_out(intent)
        except (ApplyError, StateError):
            if self._broken == "gives up halfway":
                raise
            self._carry_out(intent)

    def cursor(self) -> int:
        """Return what was acknowledged."""
        return int(self._row()[0])

    def flaws(self, transaction: Transaction, *, rolled_back: bool = False) -> list[str]:
        """Find none: there is no base and no history."""
        return []

    def leftovers(self) -> list[str]:
        """List what is staged still."""
        return leftovers(self._place)

    def generation(self) -> int:
        """Keep no history."""
        return 0

    def roll_back(self, target: int) -> None:
        """Fail: there is nothing to go back to."""
        raise ApplyError("the toy keeps no history")

    def tend(self) -> None:
        """Do nothing."""

    def is_between(self) -> bool:
        """Look for an intent."""
        return self._row()[1] is not None

    def excused(self) -> set[bytes]:
        """Name no problem, ever."""
        return set()

    def close(self) -> None:
        """Close; the stage stays."""
        self._root.close()
        self._stage.close()
        self._store.close()

    def _prepare(self, step: Step) -> dict[str, Any]:
        staged, gone, root = [], [], None
        for number, (_, path, entry) in enumerate(step.changes):
            if entry is None:
                gone.append(path)
            elif not path:
                root = entry
            else:
                assert entry.kind is Kind.FILE, "the toy knows files only"
                name = b"%d" % number
                descriptor = self._disk.create_file(self._stage.descriptor, name, path)
                try:
                    self._disk.write(descriptor, step.contents[entry.digest], path)
                    self._disk.set_mode(descriptor, entry.mode, path)
                    self._disk.set_times(descriptor, entry.mtime_ns, entry.mtime_ns, path)
                    if self._broken != "does not flush contents":
                        self._disk.flush_file(descriptor, path)
                finally:
                    os.close(descriptor)
                staged.append((name, path))
        if self._broken != "intends before the stage is flushed":
            self._disk.flush_directory(self._stage.descriptor)
        intent = {"staged": staged, "gone": gone, "root": root, "number": step.number}
        if self._broken != "keeps no intent":
            with self._store.transaction() as writer:
                writer.execute("UPDATE toy SET intent = ?", (pickle.dumps(intent),))
        return intent

    def _carry_out(self, intent: dict[str, Any]) -> None:
        top = self._root.descriptor
        for name, path in intent["staged"]:
            if self._stage.lstat(name) is not None:
                self._disk.rename(self._stage.descriptor, name, top, path, path)
        for path in intent["gone"]:
            if self._root.lstat(path) is not None:
                self._disk.unlink(top, path, path)
        entry = intent["root"]
        if entry is not None:
            self._disk.set_mode(top, entry.mode)
            self._disk.set_times(top, entry.mtime_ns, entry.mtime_ns)
        if self._broken == "commits before the names are flushed":
            self._commit(intent["number"])
        self._disk.flush_directory(top)
        self._commit(intent["number"])

    def _commit(self, number: int) -> None:
        with self._store.transaction() as writer:
            writer.execute("UPDATE toy SET cursor = ?, intent = NULL", (number,))

    def _recover(self) -> None:
        intent = self._row()[1]
        if intent is not None and self._broken != "forgets its intent":
            self._carry_out(pickle.loads(intent))
        elif intent is not None:
            with self._store.transaction() as writer:
                writer.execute("UPDATE toy SET intent = NULL")
        if self._broken != "leaves its stage behind":
            self._clear()

    def _clear(self) -> None:
        for name, _ in self._stage.entries(b""):
            with contextlib.suppress(FileNotFoundError):
                try:
                    self._disk.unlink(self._stage.descriptor, name, name)
                except DiskError as error:
                    raise ApplyError(f"the stage cannot be emptied: {error}") from error

    def _row(self) -> tuple[int, bytes | None]:
        with self._store.read() as reader:
            cursor, intent = reader.execute("SELECT cursor, intent FROM toy").fetchone()
        return cursor, intent
