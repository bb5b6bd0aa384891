"""One domain on failover: its root, its base and its applier, and what may be done to them.

Lives as long as the node; every method that touches disk or base runs on the domain's one worker thread,
so a transaction, a dry run and a comparison never see each other half done.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from syncer.apply.applier import Applied, Applier, Attempt
from syncer.apply.areas import Areas
from syncer.apply.history import History
from syncer.apply.integrity import RecordEvent
from syncer.apply.journal import Opening, Promise, StateJournal
from syncer.apply.owners import Owners, same_here
from syncer.capture.ignore import Scope
from syncer.capture.root_shape import ShapeWatch
from syncer.capture.scan import Scanner
from syncer.config.settings import BrakeSettings, HistorySettings
from syncer.errors import ApplyError, Reason, RefusedError, UnavailableRootError
from syncer.files import Disk
from syncer.model import Change, Cursor, Entry, Known, Patterns, Problem, Term, shown
from syncer.replicate.checked import CheckedCommits, Rollback, Services
from syncer.replicate.compare import Difference, overlay
from syncer.replicate.compare import Standing as StandingPath
from syncer.replicate.destination_root import DestinationRoot
from syncer.replicate.first_approval import first_approval
from syncer.replicate.messages import Ack, Approval, Begin, Hello
from syncer.replicate.receiving_brake import ReceivingBrake
from syncer.replicate.rolled_back import RolledBackHold
from syncer.state.base import Base, BaseRow
from syncer.state.brake import BrakeStore
from syncer.state.cursors import Standing, read_standing
from syncer.state.store import StateStore
from syncer.state.term import read_term
from syncer.summary import summarize

log = logging.getLogger(__name__)


class _BaseTree:
    """The base of one domain, in the form in which a scanner asks for it."""

    def __init__(self, base: Base, domain: str) -> None:
        self._base = base
        self._domain = domain

    def children(self, directory: bytes) -> dict[bytes, Known]:
        """Return name → what was last applied, of one directory."""
        return self._base.children(self._domain, directory)

    def get(self, path: bytes) -> Known | None:
        """Return what was last applied at `path`."""
        return self._base.get(self._domain, path)

    def paths_with_digest(self, digest: bytes) -> list[bytes]:
        """Return the paths whose content was applied under `digest`."""
        return self._base.paths_with_digest(self._domain, digest)

    def names_of_link(self, link: int) -> list[Known]:
        """Return what was applied under this link number: names of one file on production."""
        return self._base.names_of_link(self._domain, link)


class Destination:
    """Where one domain lands: plans, approvals, attempts and commits of its transactions."""

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
    ) -> None:
        """Take a domain of the configuration of node `name`; `protected` are syncer's own paths below `root`.

        `owners` tells what names of users and groups of production are called here, `services` runs the domain's
        commands, `rollback` puts it back to a generation that stood before.
        """
        self.domain = domain
        self.root = root
        self._patterns = patterns
        self._name = name
        self._protected = tuple(protected)
        self.store = store
        self._disk = disk or Disk()
        self._base = Base(store)
        self._tree = _BaseTree(self._base, domain)
        self._owners = Owners(renamed=owners)
        self._summary: tuple[Cursor, bytes] | None = None
        self._scopes: dict[Patterns, Scope] = {}
        self._journal = StateJournal(store, domain, self._tree)
        self._applier = Applier(domain, root, store.node_id, self._tree, self._disk, self._owners, self._journal)
        self.received_patterns = patterns
        self.failure = ""
        """Why the disk refused the last transaction; "" once one was applied. For any thread."""
        self._areas = Areas(root, domain, store.node_id, self._disk)
        self.history = History(domain, store, self._disk, self._areas.current, limits or HistorySettings(), record)
        self.rolled_back = RolledBackHold(domain, store)
        self.checked = CheckedCommits(domain, store, services, rollback)
        remembered = BrakeStore(store, domain)
        self.brake = ReceivingBrake(domain, root, brake or BrakeSettings(), self._base, remembered, name)
        self.place = DestinationRoot(
            domain, root, self._tree.get, self.count, remembered, watch or ShapeWatch(root), self._disk
        )
        # CRASH: before anything else may look at the tree, what was becoming visible is carried to its end.
        self.half_applied = ""
        self._has_intent = True
        self._promised = False
        self.recover()

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

    def known(self, path: bytes) -> Known | None:
        """Return what was last applied at `path`."""
        return self._tree.get(path)

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
        return self._root_trouble(on_demand=on_demand) or self.rolled_back.sentence()

    def require_usable_root(self) -> None:
        """Make sure that a rollback may write to the root; raises UnavailableRootError."""
        trouble = self.place.trouble()
        if trouble:
            raise UnavailableRootError(trouble)

    def _root_trouble(self, *, on_demand: bool = False) -> str:
        return self.checked.trouble or self.place.trouble(on_demand=on_demand)

    def require_root(self, *, on_demand: bool) -> None:
        """Make sure that the root can be written to, and make it for the first synchronization.

        Raises UnavailableRootError.
        """
        trouble = self._root_trouble(on_demand=on_demand)
        if trouble:
            raise UnavailableRootError(trouble)
        self.place.make_where_missing()

    def paths_with_digest(self, digest: bytes) -> list[bytes]:
        """Return the paths whose content was applied under `digest`."""
        return self._tree.paths_with_digest(digest)

    def local_edits(self) -> dict[bytes, Known | None]:
        """Compare the disk with what was last applied; None stands for a path that is gone."""
        scanner = Scanner(self.root, self.scope(), self._tree)
        return {finding.path: finding.found for finding in scanner.full()}

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

    def attempt(self, changes: Sequence[Change], term: Term) -> Attempt:
        """Open a transaction; nothing becomes visible before its `finish`, nor where its check refuses it."""
        return self._applier.begin(changes, self.scope(), self.checked.check_for(term))

    def unchecked_attempt(self, changes: Sequence[Change]) -> Attempt:
        """Open a transaction that brings back what has passed before."""
        return self._applier.begin(changes, self.scope())

    def finish(self, attempt: Attempt, opening: Opening) -> Applied:
        """Make a transaction visible and durable; raises as Attempt.finish."""
        self._has_intent, self._promised = True, False
        try:
            return attempt.finish(opening)
        except BaseException:
            if self.is_undone():
                self.checked.withdraw()
            raise

    def is_undone(self) -> bool:
        """Tell whether nothing is going to come of the last transaction: no intent of it is left."""
        return self._journal.pending() is None

    def recover(self) -> bool:
        """Carry a transaction to its end that a crash or the disk had interrupted; tell whether there was one.

        Where that cannot be done now, `half_applied` says why, and `require_whole` refuses everything else.
        """
        if not self._has_intent:
            return False
        intent = self._journal.pending()
        if intent is None:
            self._has_intent, self.half_applied = False, ""
            return False
        scope = self._scope_of(intent.patterns)
        try:
            applied = self._applier.recover(intent, scope)
            self._record(applied, intent.standing, None, full=intent.full)
        except (ApplyError, UnavailableRootError, OSError) as error:
            self.half_applied = (
                f"an interrupted transaction of domain {self.domain} could not be carried to its end on failover yet "
                f"({error}): it is tried again with every synchronization"
            )
            log.warning("%s", self.half_applied)
            return False
        self.half_applied = ""
        log.info("domain %s: an interrupted transaction was carried to its end", self.domain)
        return True

    def require_whole(self) -> bool:
        """Make sure that no transaction stands half applied; ApplyError where it cannot be ended now.

        Returns whether one was ended, so that the domain stands elsewhere than before.
        """
        recovered = self.recover()
        if self.half_applied:
            raise ApplyError(self.half_applied)
        return recovered

    def tidy(self) -> None:
        """Use a quiet moment: remove what is not needed any more, and prepare the next transaction."""
        if not self._has_intent and not self._root_trouble():
            self._applier.tidy()

    def require_approval(self, differences: Sequence[Difference], begin: Begin) -> Approval | None:
        """Return the approval that a first synchronization onto other files still lacks, else None."""
        return first_approval(self._base, self.domain, differences, begin)

    def opening(
        self, hello: Hello, begin: Begin, adopted: Sequence[BaseRow] = (), vanished: Sequence[bytes] = ()
    ) -> Opening:
        """Return what a transaction is for: where the domain stands afterwards, and who says so."""
        before = self.standing()
        standing = Standing(
            begin.end,
            hello.node_id,
            hello.pattern_hash,
            hello.rule_hash,
            resumable=True,
            generation=before.generation if before else 0,
        )
        kind = "full" if begin.full else "partial"

        def promise(writer: sqlite3.Connection, after: Standing, *, changed: bool) -> None:
            self._promised = changed
            self.checked.record(writer, before, after, hello, begin, changed=changed)

        return Opening(
            standing, begin.full, self.received_patterns, kind, hello.node_name, hello.term, adopted, vanished,
            promise, begin.resume,
        )  # fmt: skip  # one opening

    def opening_of_rollback(self, promise: Promise | None) -> Opening:
        """Return what a rollback is for: production's cursor means nothing any more behind it."""
        before = self.standing()
        assert before is not None, "a domain without a standing has no generation to go back from"

        def promised(writer: sqlite3.Connection, after: Standing, /, *, changed: bool) -> None:
            self._promised = changed
            self.checked.record_rollback(writer, after, changed=changed)
            if promise is not None:
                promise(writer, after, changed=changed)

        return Opening(
            before._replace(resumable=False), False, self.received_patterns, "rollback", self._name,
            read_term(self.store), promise=promised,
        )  # fmt: skip  # one opening

    def commit(
        self, applied: Applied, opening: Opening, seconds: float, number: int, *, settle_shape: bool = False
    ) -> Ack:
        """Record base, cursor and the end of the intent in one durable transaction; return the acknowledgement.

        With `settle_shape` the mounts of now are those that count from then on. Raises CheckFailedError where the
        check could only come now, and refused: it is rolled back then.
        """
        standing = opening.standing._replace(generation=applied.generation)
        problems = self._record(applied, standing, opening, settle_shape=settle_shape)
        self.checked.require_passed()
        return Ack(
            number, standing.cursor, applied.changed, applied.bytes, seconds, applied.generation, tuple(problems)
        )

    def commit_rollback(self, applied: Applied, opening: Opening) -> int:
        """Record what a rollback did, as `commit` does, and return the generation that it made."""
        standing = opening.standing._replace(generation=applied.generation)
        self._record(applied, standing, opening)
        self._base.forget_approvals(self.domain)
        return applied.generation

    def _record(
        self, applied: Applied, standing: Standing, opening: Opening | None, *, full: bool = False,
        settle_shape: bool = False,
    ) -> list[Problem]:  # fmt: skip  # one argument list
        """`opening` is None where a crash has come between: what it promised was recorded with the intent."""
        full = opening.full if opening is not None else full
        problems = list(applied.problems)
        if not full:
            touched = {row.entry.path for row in applied.upserts} | set(applied.deletions)
            touched |= {problem.path for problem in problems}
            problems += [old for old in self._base.problems(self.domain) if old.path not in touched]
        with self.store.transaction() as writer:
            # CRASH: everything on disk is flushed before this commit, and the ack leaves after it.
            self._base.commit(self.domain, applied.upserts, applied.deletions, standing, problems)
            self._journal.end(standing.generation, applied)
            self.brake.commit()
            self.place.settle_shape(always=settle_shape)
            if opening is not None and opening.resumed:
                self.rolled_back.release(writer)
            if opening is not None and opening.promise is not None and not self._promised:
                opening.promise(writer, standing, changed=False)
        self._has_intent = self._promised = False
        self._summary = None
        self.failure = ""
        self.rolled_back.refresh()
        if full:
            self._base.forget_approvals(self.domain)
        return problems


def refuse_unless_failover(mode_is_failover: bool, node: str) -> None:
    """Raise RefusedError(WRONG_MODE) unless this node may accept contents."""
    if not mode_is_failover:
        raise RefusedError(
            f"{node} is not in mode failover, so it accepts no changes: only one node of a pair may be production",
            Reason.WRONG_MODE,
        )


def unknown_domain(domain: str) -> RefusedError:
    """Return the refusal of a domain that this node's configuration does not name."""
    return RefusedError(
        f"domain {shown(domain.encode())} is not configured on failover: add [domains.{domain}] with its path there",
        Reason.UNKNOWN_DOMAIN,
    )
