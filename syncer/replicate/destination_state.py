"""What stands at a destination: a domain's root, its base, and what is known about both on failover."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from syncer.apply.applier import Applier
from syncer.apply.areas import Areas
from syncer.apply.history import History
from syncer.apply.journal import StateJournal
from syncer.apply.owners import Owners, same_here
from syncer.capture.ignore import Scope
from syncer.capture.root_shape import ShapeWatch
from syncer.config.settings import BrakeSettings, HistorySettings
from syncer.errors import UnavailableRootError
from syncer.files import Disk
from syncer.model import Cursor, Entry, Known, Patterns, Problem, RecordEvent
from syncer.replicate.checked import CheckedCommits, Rollback, Services
from syncer.replicate.compare import Difference, overlay
from syncer.replicate.compare import Standing as StandingPath
from syncer.replicate.destination_root import DestinationRoot
from syncer.replicate.edits import BaseTree, Edits
from syncer.replicate.first_approval import first_approval
from syncer.replicate.kept import KeptFiles
from syncer.replicate.messages import Approval, Begin
from syncer.replicate.receiving_brake import ReceivingBrake
from syncer.replicate.rolled_back import RolledBackHold
from syncer.state.base import Base
from syncer.state.brake import BrakeStore
from syncer.state.cursors import Standing, read_standing
from syncer.state.drift import count_drift, read_received_patterns, record_received_patterns
from syncer.state.stays import read_stays, record_stays
from syncer.state.store import StateStore
from syncer.summary import summarize


class DestinationState(ABC):
    """One domain on failover, to look at; all but what says so on the domain's one worker thread."""

    wants_full: bool = False
    """What was edited here is to be put back; for the heartbeats. A new session hears it from the standing."""
    examined: int = 0
    """Paths that a verification has read so far."""
    is_busy: bool = False
    """A transaction is open: what stands here may be about to change."""
    failure: str = ""
    """Why the disk refused the last transaction; "" once one was applied. For any thread."""
    committed_at: float = 0.0
    """When the last transaction was committed, on the monotonic clock; for any thread."""

    def __init__(
        self,
        domain: str,
        root: Path,
        patterns: Patterns,
        store: StateStore,
        protected: Sequence[bytes],
        disk: Disk | None = None,
        *,
        owners: Mapping[str, str] | None = None,
        brake: BrakeSettings | None = None,
        services: Services | None = None,
        rollback: Rollback | None = None,
        name: str = "failover",
        watch: ShapeWatch | None = None,
        limits: HistorySettings | None = None,
        record: RecordEvent = lambda name, variables: None,
        keep_local: Sequence[str] = (),
        verify_rate: int = 0,
    ) -> None:
        """Take a domain of the configuration of node `name`; `protected` are syncer's own paths below `root`.

        `owners` tells what names of users and groups of production are called here, `services` runs the domain's
        commands, `rollback` puts it back to a generation that stood before, `limits` are the history's.
        `keep_local` are patterns of files that win over what arrives; a verification in the background reads at
        most `verify_rate` bytes a second, 0: as fast as it goes.
        """
        self.domain = domain
        self.root = root
        self._patterns = patterns
        self._name = name
        self._protected = tuple(protected)
        self.store = store
        self._disk = disk or Disk()
        self._base = Base(store)
        self._tree = BaseTree(self._base, domain)
        self._owners = Owners(renamed=owners)
        self._summary: tuple[Cursor, bytes] | None = None
        self._scopes: dict[Patterns, Scope] = {}
        self._journal = StateJournal(store, domain, self._tree)
        self._applier = Applier(domain, root, store.node_id, self._tree, self._disk, self._owners, self._journal)
        self.received_patterns = read_received_patterns(store, domain) or patterns
        self.kept = KeptFiles(domain, root, keep_local, store)
        self.stays = read_stays(store, domain)
        """Paths at which production wants what stands here to stay: no edits. Replaced as a whole, for any thread."""
        self.edits = self._edits(Owners(renamed=owners))
        self.drift_count = count_drift(store, domain)
        """Paths that were edited here since they were applied; for the heartbeats, from any thread."""
        self.verify_rate = verify_rate
        self.after_commit: Callable[[bool], None] = lambda full: None
        """Called on the worker's thread after each commit."""
        self._areas = Areas(root, domain, store.node_id, self._disk)
        self.history = History(domain, store, self._disk, self._areas.current, limits or HistorySettings(), record)
        self.rolled_back = RolledBackHold(domain, store)
        self.checked = CheckedCommits(domain, store, services, rollback)
        remembered = BrakeStore(store, domain)
        self.brake = ReceivingBrake(domain, root, brake or BrakeSettings(), self._base, remembered, name)
        self.place = self._place(remembered, watch or ShapeWatch(root))
        # CRASH: before anything else may look at the tree, what was becoming visible is carried to its end.
        self.recover()

    @abstractmethod
    def recover(self) -> bool:
        """Carry a transaction to its end that a crash or the disk had interrupted; tell whether there was one."""

    def _edits(self, owners: Owners) -> Edits:
        return Edits(self.root, self.scope, self._tree, self.kept.keep, owners, stays=lambda: self.stays)

    def _place(self, remembered: BrakeStore, watch: ShapeWatch) -> DestinationRoot:
        return DestinationRoot(self.domain, self.root, self._tree.get, self.count, remembered, watch, self._disk)

    def close(self) -> None:
        """Remove the staging areas."""
        self.history.close()
        self._areas.close()
        self._applier.close()

    def tend_history(self) -> bool:
        """Do a slice of the history's background work; True where more waits. Raises as History.tend does."""
        try:
            return self.history.tend()
        finally:
            # An open descriptor would keep another mount from being unmounted.
            self._areas.close()

    def is_quiet(self, seconds: float) -> bool:
        """Tell whether no transaction is open, nor was committed within the last `seconds`; for any thread."""
        return not self.is_busy and time.monotonic() - self.committed_at >= seconds

    def known(self, path: bytes) -> Known | None:
        """Return what was last applied at `path`."""
        return self._tree.get(path)

    def note_stays(self, paths: Collection[bytes]) -> None:
        """Remember at which paths what stands here is to stay."""
        if paths != self.stays:
            record_stays(self.store, self.domain, paths)
            self.stays = frozenset(paths)

    def standing(self) -> Standing | None:
        """Return how far this domain has come, and from whom; None before the first synchronization."""
        return read_standing(self.store, self.domain)

    def problems(self) -> list[Problem]:
        """Return the paths of the last transactions that could not be handled here."""
        return self._base.problems(self.domain)

    def count(self) -> int:
        """Return how many paths were applied."""
        return self._base.count(self.domain)

    def scope(self) -> Scope:
        """Return which paths production synchronizes, less this node's own files and its own excludes."""
        return self._scope_of(self.received_patterns)

    def _scope_of(self, theirs: Patterns) -> Scope:
        found = self._scopes.get(theirs)
        if found is None:
            both = tuple(dict.fromkeys((*theirs.exclude, *self._patterns.exclude)))
            found = Scope(Patterns(theirs.include, both), self._protected)
            self._scopes = {theirs: found}
        return found

    def trouble(self, *, on_demand: bool = False) -> str:
        """Say why nothing of production may be applied as things are, "" where it may; cheap, for any thread.

        On demand an emptied root may be filled again.
        """
        return self.root_trouble(on_demand=on_demand) or self.rolled_back.sentence()

    def require_usable_root(self) -> None:
        """Make sure that a rollback may write to the root; raises UnavailableRootError."""
        trouble = self.place.trouble()
        if trouble:
            raise UnavailableRootError(trouble)

    def root_trouble(self, *, on_demand: bool = False) -> str:
        """Say why nothing at all may be written, "" where it may: as `trouble`, but for a rollback."""
        return self.checked.trouble or self.place.trouble(on_demand=on_demand)

    def require_root(self, *, on_demand: bool) -> None:
        """Make sure that the root can be written to, and make it for the first synchronization.

        Raises UnavailableRootError.
        """
        trouble = self.root_trouble(on_demand=on_demand)
        if trouble:
            raise UnavailableRootError(trouble)
        self.place.make_where_missing()

    def paths_with_digest(self, digest: bytes) -> list[bytes]:
        """Return the paths whose content was applied under `digest`."""
        return self._tree.paths_with_digest(digest)

    def local_edits(self, *, reread: bool = False) -> tuple[dict[bytes, Known | None], set[bytes]]:
        """Compare the disk with what was last applied; see Edits.all."""
        return self.edits.all(reread=reread)

    def may_go(self) -> Callable[[bytes, bool], bool]:
        """Return what tells whether a path that production does not have is to be deleted here."""
        wants, held = self.scope().wants, self.edits.held
        return lambda path, is_directory: path not in held and wants(path, is_directory)

    def receive(self, patterns: Patterns) -> None:
        """Take note of which paths production synchronizes."""
        self.received_patterns = patterns
        record_received_patterns(self.store, self.domain, patterns)

    def summary(self) -> bytes:
        """Return the summary of what was last applied (cached until the cursor moves)."""
        standing = self.standing()
        if standing is None or self._summary is None or self._summary[0] != standing.cursor:
            digest = summarize(row.entry for row in self._base.rows(self.domain))
            if standing is None:
                return digest
            self._summary = (standing.cursor, digest)
        return self._summary[1]

    def current(self, edits: dict[bytes, Known | None]) -> Iterator[StandingPath]:
        """Yield what stands here in order: what was applied, with `edits` put over it."""
        return overlay(self._base.rows(self.domain), edits)

    def limits(self, users: tuple[str, ...], groups: tuple[str, ...]) -> list[str]:
        """Return a sentence for each thing that cannot be held here, of what production may send."""
        return self._applier.limits(users, groups, may_probe=not self.trouble())

    def is_same(self, wanted: Entry, current: Entry) -> bool:
        """Tell whether what a scan found here is what production's entry means here."""
        return same_here(self._owners, wanted, current)

    def require_approval(self, differences: Sequence[Difference], begin: Begin) -> Approval | None:
        """Return the approval that a first synchronization onto other files still lacks, else None."""
        return first_approval(self._base, self.domain, differences, begin)
