"""The one place where the crash harness touches syncer: how a receiver is opened, applies, and is looked at."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import blake3

from syncer.capture.mounts import MOUNT_TABLE
from syncer.capture.root_shape import ShapeWatch
from syncer.config.settings import HistorySettings
from syncer.errors import ApplyError, StateError
from syncer.files import Disk, Observer
from syncer.model import Change, Cursor, Patterns, Term, is_beneath
from syncer.replicate import rollback
from syncer.replicate.destination import Destination
from syncer.replicate.incoming import Incoming
from syncer.replicate.messages import Ack, Begin, Content, Contents, FromFailover, Hello, Part, Reject, Want
from syncer.state.base import Base
from syncer.state.store import StateStore
from tests.crash.transactions import Step, Transaction
from tests.crash.trees import Tree, changes_between, difference, read_tree, without

DOMAIN = "tree"
PIECE_BYTES = 64 * 1024
INLINE_BYTES = 4096
STAGING = ".syncer"
HIDDEN = "lost+found"
"""Excluded from the domain: the power model keeps there what was removed on a mount below the root."""

PROBLEMS_EXCUSE_A_PATH = True
"""A path that cannot be replaced by itself (EACCES, EPERM) is a named problem, and the rest is acknowledged.

False asks for more: then such a transaction must be undone as a whole.
"""

_PATTERNS = Patterns(("**",), (f"/mnt/{HIDDEN}/",))
_HELLO = Hello(1, "test", "production-id", "prod-a", Term(1, "production-id"), DOMAIN, Cursor("index", "run", 9),
               _PATTERNS, b"patterns", b"", ("production-id",))  # fmt: skip  # one word of production


class Place(NamedTuple):
    """A folder with everything of one case: `root`, `state`, and what syncer puts beside the root."""

    folder: Path

    @property
    def root(self) -> Path:
        """The domain's tree."""
        return self.folder / "root"

    @property
    def state(self) -> Path:
        """Where node.db lies."""
        return self.folder / "state"


class Receiver(Protocol):
    """What the harness needs of a receiver; opening one is its recovery."""

    def apply(self, step: Step) -> None:
        """Apply a transaction and commit it; on return it is acknowledged. Raises SyncerError."""

    def cursor(self) -> int:
        """Return the seq that was acknowledged last, 0 before the first."""

    def generation(self) -> int:
        """Return the generation that stands, 0 where no history is kept."""

    def roll_back(self, target: int) -> None:
        """Go back to a generation, as a person does. Raises SyncerError."""

    def tend(self) -> None:
        """Do all background work of the history. Raises SyncerError."""

    def flaws(self, transaction: Transaction, *, rolled_back: bool = False) -> list[str]:
        """Say what is wrong apart from the tree: base and history."""

    def leftovers(self) -> list[str]:
        """Tidy up as in a quiet moment, and say what lies in the staging areas and belongs to no history."""

    def is_between(self) -> bool:
        """Tell whether a transaction is neither committed nor taken back."""

    def excused(self) -> set[bytes]:
        """Return paths that the last acknowledgement named as problems: they may hold either state."""

    def close(self) -> None:
        """Stop as the agent stops."""


Opener = Callable[[Place, Disk, Observer], Receiver]


class ObservedStore(StateStore):
    """node.db that announces each commit as it announces operations of the disk: before it and after it."""

    observer: Observer = staticmethod(lambda name, path: None)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run a durable transaction, with "commit" just before it counts and "committed" just after."""
        if self._depth:
            with super().transaction() as writer:
                yield writer
            return
        with super().transaction() as writer:
            yield writer
            try:
                self.observer("commit", b"")
            except OSError as error:
                # As the store itself says it where the disk below SQLite refuses.
                raise StateError(f"{self.path}: cannot be written ({error.strerror})") from error
        self.observer("committed", b"")


class _Mounts:
    """The kernel's list of mounts, without a descriptor that a cut would leave open."""

    def __init__(self) -> None:
        self._last = b""

    def has_changed(self) -> bool:
        """Compare with the last look."""
        last, self._last = self._last, self.read()
        return last != self._last

    def read(self) -> bytes:
        """Return all lines."""
        return MOUNT_TABLE.read_bytes()


class SyncerReceiver:
    """The real one: a Destination, fed with messages as a session feeds it."""

    def __init__(
        self,
        place: Place,
        disk: Disk,
        observer: Observer,
        limits: HistorySettings | None = None,
        *,
        must_be_whole: bool = True,
    ) -> None:
        self._place = place
        self._problems: set[bytes] = set()
        store = ObservedStore.open(place.state, create=True)
        assert isinstance(store, ObservedStore), "open makes what it is called on"
        self._store = store
        store.observer = observer
        try:
            watch = ShapeWatch(place.root, _Mounts())
            self._destination = Destination(DOMAIN, place.root, _PATTERNS, store, (), disk, watch=watch, limits=limits)
            if must_be_whole:
                self._recover()
        except BaseException:
            store.close()
            raise

    def apply(self, step: Step) -> None:
        """Send one transaction as a new session would, which first hears where failover stands; a Reject raises."""
        self._recover()
        if self.cursor() >= step.number:
            return
        start = None if step.full else Cursor("index", "run", step.number - 1)
        begin = Begin(step.full, start, Cursor("index", "run", step.number), entries=len(step.changes))
        total = sum(len(data) for data in step.contents.values())
        inline = step.contents.items() if total <= INLINE_BYTES else ()
        part = Part(
            step.number,
            begin,
            tuple(_named(change) for change in step.changes),
            tuple(Content(digest, data) for digest, data in inline),
            end=True,
        )
        incoming = Incoming(self._destination, _HELLO, "dr-a", part)
        replies = _accepted(incoming.open(part))
        wanted = [digest for reply in replies if isinstance(reply, Want) for digest in reply.digests]
        pieces = [piece for digest in wanted for piece in _pieces(digest, step.contents[digest])]
        for number, piece in enumerate(pieces):
            replies = _accepted(incoming.take_contents(Contents(step.number, (piece,), number == len(pieces) - 1)))
        [ack] = replies
        assert isinstance(ack, Ack), ack
        self._problems = {problem.path for problem in ack.problems}

    def refusal(self) -> str:
        """Return what status says of the disk."""
        return self._destination.refusal()

    def fill(self, number: int, tree: Tree) -> None:
        """Synchronize fully, until names of one file that somebody had given others to are together again."""
        for attempt in range(2):
            changes = changes_between({}, tree.entries)
            self.apply(Step(number + attempt, changes, tree.contents, full=True))
            if not difference(read_tree(self._place.root)[0], tree.entries):
                return

    def attempt(self, changes: list[Change]) -> None:
        """Open a transaction with changes that no message was checked for."""
        self._destination.attempt(changes, _HELLO.term).discard()

    def _recover(self) -> None:
        self._destination.require_whole()

    def cursor(self) -> int:
        """Return the seq of the standing."""
        standing = self._destination.standing()
        return 0 if standing is None else standing.cursor.seq

    def is_between(self) -> bool:
        """Look for an intent."""
        return not self._destination.is_undone()

    def generation(self) -> int:
        """Return that of the standing."""
        standing = self._destination.standing()
        return 0 if standing is None else standing.generation

    def roll_back(self, target: int) -> None:
        """Plan and carry out, as the command does."""
        self._destination.require_whole()
        done = rollback.roll_back(self._destination, rollback.plan(self._destination, target), "somebody")
        self._problems = {problem.path for problem in done.problems}

    def tend(self) -> None:
        """Tend until nothing is left to do."""
        self._destination.require_whole()
        while self._destination.tend_history():
            continue

    def excused(self) -> set[bytes]:
        """Return the paths of the last acknowledgement's problems."""
        return self._problems if PROBLEMS_EXCUSE_A_PATH else set()

    def flaws(self, transaction: Transaction, *, rolled_back: bool = False) -> list[str]:
        """Compare the base with the disk, and look for what was displaced."""
        rows = {known.entry.path: known.entry._replace(owner="", group="") for known in Base(self._store).rows(DOMAIN)}
        found = read_tree(self._place.root)[0]
        found = {path: entry for path, entry in found.items() if not _is_hidden(path)}
        named = {problem.path for problem in self._destination.problems()}
        # What could not be deleted keeps the directories that it lies in.
        kept = {path for path in found.keys() - rows.keys() if any(is_beneath(name, path) for name in named)}
        found = {path: entry for path, entry in found.items() if path not in kept}
        if rolled_back:
            # What had been edited here, or only looked so after a failed attempt, is an edit again.
            found = {path: entry for path, entry in found.items() if path in rows}
        wrong = difference(without(found, named), without(rows, named))
        lost = []
        if transaction.act == "apply" and not rolled_back:
            origins = transaction.origins(self.cursor())
            lost = [path for path, row in rows.items() if path not in named and row.origin != origins.get(path, b"")]
        return [
            *([f"the base does not say where these come from: {lost}"] if lost else []),
            *([f"the base is not what stands on the disk: {wrong}"] if wrong else []),
            *history_flaws(self._place, transaction, self.cursor()),
        ]

    def leftovers(self) -> list[str]:
        """Tidy up and tend, and list what is left."""
        self._destination.tidy()
        self.tend()
        return [*leftovers(self._place), *_orphans(self._place)]

    def close(self) -> None:
        """Close as the node does when it stops."""
        try:
            self._destination.close()
        finally:
            self._store.close()


def _named(change: Change) -> Change:
    """Add the names of the owners, as production sends them."""
    entry = change.entry
    if entry is None:
        return change
    owner = group = ""
    with contextlib.suppress(KeyError):
        owner = pwd.getpwuid(entry.uid).pw_name
    with contextlib.suppress(KeyError):
        group = grp.getgrgid(entry.gid).gr_name
    return change._replace(entry=entry._replace(owner=owner, group=group))


def rows_of_state(place: Place) -> dict[str, list[tuple[object, ...]]]:
    """Return all that node.db says, by table; no receiver may be open."""
    with contextlib.closing(sqlite3.connect(place.state / "node.db")) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in tables}


def staging_areas(place: Place) -> list[Path]:
    """Return every `.syncer` that there is beside and in the tree."""
    return [Path(parent) / STAGING for parent, names, _ in os.walk(place.folder) if STAGING in names]


def leftovers(place: Place) -> list[str]:
    """Return what lies in a staging area and belongs to no generation of the history."""
    kept = {"kept", "damaged"}
    with contextlib.closing(sqlite3.connect(place.state / "node.db")) as connection:
        kept |= {os.fsdecode(stage) for (stage,) in connection.execute("SELECT stage FROM generation") if stage}
    found = []
    for area in staging_areas(place):
        for own in area.iterdir():
            # An empty directory waits for the next transaction.
            found += [
                f"left over: {item.relative_to(place.folder)}"
                for item in own.iterdir()
                if item.name not in kept and (not item.is_dir() or any(item.iterdir()))
            ]
    return found


def history_flaws(place: Place, transaction: Transaction, cursor: int) -> list[str]:
    """Say which displaced content lies nowhere any more; nothing where this receiver keeps no history.

    Contents are looked for by digest wherever a staging area holds a file: how the history is laid out is its own
    affair, that nothing is lost is ours. What tending may forget is judged by a rollback.
    """
    if transaction.act == "tend":
        return []
    there = set(read_tree(place.root)[1])
    for area in staging_areas(place):
        for parent, _, names in os.walk(area):
            there |= {blake3.blake3((Path(parent) / name).read_bytes()).digest()
                      for name in names if not (Path(parent) / name).is_symlink()}  # fmt: skip  # one set
    past = transaction.past()
    due = set(past[0].contents)
    if transaction.act == "roll back" or cursor >= transaction.stopped().number:
        due |= {entry.digest for entry in transaction.before.entries.values() if entry.size}
    lost = due - there
    return [f"{len(lost)} displaced contents are neither in the tree nor in the history"] if lost else []


def _orphans(place: Place) -> list[str]:
    """Say which kept contents nothing records, or are recorded and not there, and what is named as not kept."""
    with contextlib.closing(sqlite3.connect(place.state / "node.db")) as connection:
        unkept = connection.execute("SELECT generation, path, reason FROM unkept").fetchall()
        recorded = {digest.hex() for (digest,) in connection.execute("SELECT digest FROM kept")}
    lying = {item.name for area in staging_areas(place) for item in area.glob("*/kept/*")}
    flaws = [f"not kept: {unkept}"] if unkept else []
    return [*flaws, *([f"kept and recorded differ: {sorted(lying ^ recorded)}"] if lying != recorded else [])]


def _is_hidden(path: bytes) -> bool:
    return os.fsencode(HIDDEN) in path.split(b"/")


def _pieces(digest: bytes, data: bytes) -> Iterator[Content]:
    for offset in range(0, max(len(data), 1), PIECE_BYTES):
        yield Content(digest, data[offset : offset + PIECE_BYTES], offset, offset + PIECE_BYTES < len(data))


def _accepted(replies: list[FromFailover]) -> list[FromFailover]:
    for reply in replies:
        if isinstance(reply, Reject):
            raise ApplyError(reply.message, reply.reason)
    return replies
