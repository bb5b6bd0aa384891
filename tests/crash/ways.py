"""The ways in which a transaction is stopped at one of its operations, and what must hold afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import traceback
from collections.abc import Iterator
from pathlib import Path

from syncer.errors import SyncerError
from syncer.files import Disk
from syncer.model import Entry, Kind, parent_of
from syncer.state.store import StateStore
from tests.crash.receiver import HIDDEN, Opener, Place, Receiver, rows_of_state
from tests.crash.recording import RecordingDisk
from tests.crash.stops import Counter, Cutting, Ending, Failing, Operation, PowerCutError
from tests.crash.transactions import MOUNT, Transaction
from tests.crash.trees import difference, read_tree, without


class Bench:
    """Runs cases of one receiver, each in a folder of its own below `folder`."""

    def __init__(self, folder: Path, opener: Opener) -> None:
        self._folder = folder
        self._opener = opener
        self._number = 0
        self._operations: dict[str, list[Operation]] = {}
        self._origin = self._before = 0
        """Generations of the two states that stood before the stop."""

    @contextlib.contextmanager
    def prepared(self, transaction: Transaction) -> Iterator[Place]:
        """Make a place where the transaction's `before` was applied and the receiver was closed."""
        self._number += 1
        place = Place(self._folder / f"case-{self._number}")
        place.root.mkdir(parents=True)
        shutil.copytree(self._fresh_state(), place.state)
        mount = place.root / os.fsdecode(MOUNT)
        if transaction.mounted:
            mount.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", mount], check=True)
        try:
            receiver = self._opener(place, Disk(), _ignore)
            try:
                generations = []
                for step in transaction.past():
                    receiver.apply(step)
                    generations.append(receiver.generation())
                self._origin, self._before = generations[-2:]
            finally:
                receiver.close()
            assert not difference(_tree(place), transaction.before.entries), "the start was not reached"
            yield place
        finally:
            if transaction.mounted:
                subprocess.run(["umount", mount], check=True)
            shutil.rmtree(place.folder)

    def _fresh_state(self) -> Path:
        """Return a state directory in which all migrations are done: each case would do them anew."""
        fresh = self._folder / "fresh-state"
        if not fresh.exists():
            StateStore.open(fresh, create=True).close()
        return fresh

    def operations(self, transaction: Transaction) -> list[Operation]:
        """List what an undisturbed run does, and make sure that it reaches the new tree."""
        if transaction.kind not in self._operations:
            self._operations[transaction.kind] = self._count(transaction)
        return self._operations[transaction.kind]

    def _count(self, transaction: Transaction) -> list[Operation]:
        counter = Counter()
        with self.prepared(transaction) as place:
            receiver = self._opener(place, Disk(counter), counter)
            self._perform(receiver, transaction)
            found = difference(_tree(place), transaction.after.entries)
            receiver.close()
        assert not found, f"{transaction.kind}, undisturbed: {found}"
        return counter.operations

    def fails(self, transaction: Transaction, point: int, number: int, lasting: str = "") -> str:
        """Let an operation fail; the process lives on. Return what is wrong, "" where nothing is."""
        failing = Failing(point, number, lasting)
        with self.prepared(transaction) as place, _descriptors_closed():
            try:
                return self._fail_and_go_on(place, transaction, failing, lasting)
            except SyncerError as error:
                return f"it did not go on once nothing failed: {error}"

    def _fail_and_go_on(self, place: Place, transaction: Transaction, failing: Failing, lasting: str) -> str:
        flaw, receiver = "", None
        is_between = False
        try:
            try:
                receiver = self._opener(place, Disk(failing), failing)
                self._perform(receiver, transaction)
            except SyncerError as error:
                flaw = "" if str(error) else "an error without a word"
            if receiver is not None:
                # Where the way back is refused as well, recovery ends it later. Going back takes room only where an
                # attribute that was removed comes back.
                is_between = receiver.is_between() and (lasting == "all" or "attribute" in failing.refused[-1])
                flaw = flaw or self._while_it_fails(place, transaction, receiver, is_between=is_between)
            failing.is_on = False
            receiver = receiver or self._opener(place, Disk(failing), failing)
            if not flaw and not (self._is_new(receiver, transaction) and transaction.act == "apply"):
                self._perform_again(receiver, transaction)
                flaw = _difference_but(_tree(place), transaction.after.entries, receiver.excused())
                flaw = flaw and f"applied again once nothing failed: {flaw}"
        finally:
            if receiver is not None:
                receiver.close()
        return flaw or self._look(place, transaction, receiver.excused())

    def dies(self, transaction: Transaction, point: int, again: int | None = None) -> str:
        """Kill a real process there, and with `again` another one while it recovers; return what is wrong."""
        with self.prepared(transaction) as place:
            flaw = self._in_child(place, transaction, Ending(point), apply=True)
            if not flaw and again is not None:
                flaw = self._in_child(place, transaction, Ending(again), apply=False)
            return flaw or self._look(place, transaction, set())

    def kill(self, place: Place, transaction: Transaction, ending: Ending) -> None:
        """Kill a real process there."""
        flaw = self._in_child(place, transaction, ending, apply=True)
        assert not flaw, flaw

    def loses_power(self, transaction: Transaction, point: int, seed: int, most: int) -> Iterator[str]:
        """Cut the power there; yield what is wrong for each wreck that may be found afterwards."""
        number, count = 0, 1
        while number < count:
            # A wreck is made of the very inodes, so each one needs a run of its own.
            with self.prepared(transaction) as place, _descriptors_closed():
                cutting = Cutting(point)
                disk = RecordingDisk(place, cutting)
                self._run_into_cut(place, transaction, disk, cutting)
                wrecks = list(disk.model.wrecks(seed, most))
                count = len(wrecks)
                # From one run to the next only the order of sets could differ, and that is fixed in a process.
                disk.strew(wrecks[number])
                for hidden in (place.folder / "pool", place.root / os.fsdecode(MOUNT) / HIDDEN):
                    shutil.rmtree(hidden, ignore_errors=True)
                if transaction.mounted:
                    top = place.root / os.fsdecode(MOUNT)
                    here = wrecks[number].metadata[(top.stat().st_dev, top.stat().st_ino)]
                    os.utime(top, ns=(here.atime_ns, here.mtime_ns))
                yield self._look(place, transaction, set())
            number += 1

    def _run_into_cut(self, place: Place, transaction: Transaction, disk: Disk, cutting: Cutting) -> None:
        receiver: Receiver | None = None
        try:
            receiver = self._opener(place, disk, cutting)
            self._perform(receiver, transaction)
            receiver.close()
        except PowerCutError:
            pass
        except SyncerError:
            # What cleans up on the way out finds no power either.
            if not cutting.is_cut:
                raise
        cutting.is_cut = True
        if receiver is not None:
            with contextlib.suppress(SyncerError, OSError):
                receiver.close()

    def _while_it_fails(self, place: Place, transaction: Transaction, receiver: Receiver, *, is_between: bool) -> str:
        """Look at the tree before the failure ends: whole, or (where it was said) not acknowledged."""
        is_new = self._is_new(receiver, transaction)
        excused = receiver.excused() if is_new else set()
        flaw = _wrong(_tree(place), transaction, is_new=is_new, excused=excused)
        if flaw and not is_new:
            # Wholly new but not acknowledged is whole too: node.db could not be written, and is behind for now.
            flaw = _wrong(_tree(place), transaction, is_new=True, excused=excused)
            if not flaw or is_between:
                return ""
        return flaw and f"while it fails: {flaw}"

    def _in_child(self, place: Place, transaction: Transaction, ending: Ending, *, apply: bool) -> str:
        pid = os.fork()
        if pid == 0:
            code = 3
            try:
                receiver = self._opener(place, Disk(ending), ending)
                if apply:
                    self._perform(receiver, transaction)
                receiver.close()
                code = 0
            except BaseException:  # noqa: BLE001 - a child must not run on as its parent
                traceback.print_exc()
            finally:
                os._exit(code)
        status = os.waitpid(pid, 0)[1]
        ended = os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
        return "" if ended else "the process failed instead of being killed"

    def _look(self, place: Place, transaction: Transaction, excused: set[bytes]) -> str:
        """Open the receiver anew, twice, and say what is wrong with what it finds and leaves."""
        try:
            flaw = self._look_once(place, transaction, excused)
            if flaw:
                return flaw
            rows, tree = rows_of_state(place), _tree(place)
            flaw = self._look_once(place, transaction, excused)
            if flaw or rows_of_state(place) != rows or _tree(place) != tree:
                return f"a second recovery changed something ({flaw or 'rows of node.db'})"
            return self._go_on(place, transaction, excused)
        except SyncerError as error:
            return f"recovery failed: {error}"

    def _go_on(self, place: Place, transaction: Transaction, excused: set[bytes]) -> str:
        """Do what was stopped where it is not done yet, then what comes next, then go back to what stood before."""
        receiver = self._opener(place, Disk(), _ignore)
        try:
            is_new = self._is_new(receiver, transaction)
            self._perform_again(receiver, transaction)
            made = receiver.generation() != self._before
            flaw = _difference_but(_tree(place), transaction.after.entries, excused)
            if not flaw and is_new and not excused and transaction.act == "apply":
                receiver.apply(transaction.following())
                flaw = difference(_tree(place), transaction.later().entries)
            # Only now: until then, what was staged may be used again.
            flaws = [f"applied after recovery: {flaw}" if flaw else "", *receiver.leftovers()]
            if not any(flaws) and not excused and receiver.generation():
                flaws = [self._back(place, transaction, receiver, made=made)]
            return "; ".join(filter(None, flaws))
        finally:
            receiver.close()

    def _back(self, place: Place, transaction: Transaction, receiver: Receiver, *, made: bool) -> str:
        """Roll back over what was stopped: everything that it displaced must come back."""
        wanted, target = transaction.before, self._before
        if transaction.act == "tend":
            assert transaction.origin is not None, "what is tended has displaced something"
            wanted, target = transaction.origin, self._origin
        elif not made:
            # What moves only mtimes of directories belongs to the generation that stood.
            wanted = transaction.after
        if receiver.generation() == target:
            return ""
        try:
            receiver.roll_back(target)
        except SyncerError as error:
            return f"it cannot be rolled back: {error}"
        flaw = difference(_tree(place), wanted.entries)
        return (flaw and f"rolled back: {flaw}") or "; ".join(receiver.flaws(transaction, rolled_back=True))

    def _perform(self, receiver: Receiver, transaction: Transaction) -> None:
        """Do what is stopped."""
        if transaction.act == "apply":
            receiver.apply(transaction.stopped())
        elif transaction.act == "roll back":
            receiver.roll_back(self._origin)
        else:
            receiver.tend()

    def _perform_again(self, receiver: Receiver, transaction: Transaction) -> None:
        """Do it where it is not done; whether the history is tended cannot be seen."""
        if transaction.act == "tend" or not self._is_new(receiver, transaction):
            self._perform(receiver, transaction)

    def _is_new(self, receiver: Receiver, transaction: Transaction) -> bool:
        """Tell by node.db whether it is done."""
        if transaction.act == "apply":
            return receiver.cursor() == transaction.stopped().number
        return transaction.act == "tend" or receiver.generation() == self._before + 1

    def _look_once(self, place: Place, transaction: Transaction, excused: set[bytes]) -> str:
        receiver = self._opener(place, Disk(), _ignore)
        try:
            is_new = self._is_new(receiver, transaction)
            wrong = _wrong(_tree(place), transaction, is_new=is_new, excused=excused)
            flaws = [wrong] if wrong else receiver.flaws(transaction)
            strange = {item.name for item in place.folder.iterdir()} - {"root", "state", ".syncer", "pool"}
            flaws += [f"beside the root: {sorted(strange)}"] if strange else []
            return "; ".join(flaws[:3])
        finally:
            receiver.close()


def _wrong(tree: dict[bytes, Entry], transaction: Transaction, *, is_new: bool, excused: set[bytes]) -> str:
    """Say how a tree is not the whole state that node.db tells of."""
    before, after = transaction.before.entries, transaction.after.entries
    wanted, other = (after, before) if is_new else (before, after)
    wrong = _difference_but(tree, wanted, excused)
    if wrong and not difference(tree, other):
        wrong = "it is the other state"
    for path in excused:
        # Named as a problem: it holds what it held, or its new content where only metadata was refused.
        here, new, old = (_alone(found.get(path)) for found in (tree, after, before))
        content = here is not None and new is not None and _content(here) == _content(new)
        if not content and here not in (old, new):
            wrong = wrong or f"the problem {path!r} holds neither state"
    return wrong and f"the cursor says {'new' if is_new else 'old'}, but: {wrong}"


def _difference_but(tree: dict[bytes, Entry], wanted: dict[bytes, Entry], excused: set[bytes]) -> str:
    # What could not be deleted keeps the directories that it lies in.
    kept = {parent for path in excused for parent in _parents(path) if parent not in wanted}
    tree = {path: entry for path, entry in tree.items() if path not in kept}
    return difference(without(tree, excused), without(wanted, excused))


def _parents(path: bytes) -> Iterator[bytes]:
    while path := parent_of(path):
        yield path


def _alone(entry: Entry | None) -> Entry | None:
    return entry and entry._replace(link=0)


def _content(entry: Entry) -> tuple[Kind, bytes, bytes]:
    return entry.kind, entry.digest, entry.link_target


def _tree(place: Place) -> dict[bytes, Entry]:
    hidden = os.fsencode(HIDDEN)
    return {path: entry for path, entry in read_tree(place.root)[0].items() if hidden not in path.split(b"/")}


def _ignore(name: str, path: bytes) -> None:
    """Observe nothing."""


@contextlib.contextmanager
def _descriptors_closed() -> Iterator[None]:
    """Close afterwards what the body left open, as the end of a process does."""
    before = set(os.listdir("/proc/self/fd"))
    yield
    for descriptor in set(os.listdir("/proc/self/fd")) - before:
        with contextlib.suppress(OSError):
            os.close(int(descriptor))
