"""One domain on failover: its root, its base and its applier, and what may be done to them.

Lives as long as the node; every method that touches disk or base runs on the domain's one worker thread,
so a transaction, a dry run and a comparison never see each other half done.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from syncer.apply.applier import Applied, Applier, Attempt
from syncer.apply.journal import Opening, StateJournal
from syncer.apply.owners import Owners, same_here
from syncer.capture.ignore import Scope
from syncer.capture.root_shape import ShapeWatch
from syncer.config.settings import BrakeSettings
from syncer.errors import ApplyError, Reason, RefusedError, UnavailableRootError
from syncer.files import Disk
from syncer.model import Change, Cursor, Entry, Known, Patterns, Problem, shown
from syncer.replicate.compare import Difference, destroys, overlay, plan_item
from syncer.replicate.compare import Standing as StandingPath
from syncer.replicate.edits import BaseTree, Edits
from syncer.replicate.kept import KeptFiles
from syncer.replicate.messages import Ack, Approval, Begin, Hello
from syncer.replicate.receiving_brake import ReceivingBrake
from syncer.replicate.shape import shape_change
from syncer.state.base import Base, BaseRow
from syncer.state.brake import BrakeStore
from syncer.state.cursors import Standing, read_standing, write_standing
from syncer.state.drift import count_drift, read_received_patterns, record_received_patterns
from syncer.state.store import StateStore
from syncer.summary import summarize

log = logging.getLogger(__name__)

SAMPLE = 20
"""How many paths of a plan that waits for approval are shown."""


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
        name: str = "failover",
        watch: ShapeWatch | None = None,
        keep_local: Sequence[str] = (),
        verify_rate: int = 0,
    ) -> None:
        """Take a domain of the configuration of node `name`; `protected` are syncer's own paths below `root`.

        `owners` tells what names of users and groups of production are called here. `keep_local` are patterns of
        files that win over what arrives; a verification in the background reads at most `verify_rate` bytes a
        second, 0: as fast as it goes.
        """
        self.domain = domain
        self.root = root
        self._patterns = patterns
        self._protected = tuple(protected)
        self._store = store
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
        self.edits = Edits(root, self.scope, self._tree, self.kept.keep, Owners(renamed=owners))
        self.drift_count = count_drift(store, domain)
        """Paths that were edited here since they were applied; for the heartbeats, from any thread."""
        self.wants_full = False
        """What was edited here is to be put back; for the heartbeats. A new session hears it from the standing."""
        self.verify_rate = verify_rate
        self.examined = 0
        self.is_busy = False
        """A transaction is open: what stands here may be about to change."""
        self.after_commit: Callable[[bool], None] = lambda full: None
        """Called on the worker's thread after each commit."""
        remembered = BrakeStore(store, domain)
        self.brake = ReceivingBrake(domain, root, brake or BrakeSettings(), self._base, remembered, name)
        self._remembered = remembered
        self._watch = watch or ShapeWatch(root)
        self._accepted_shape = remembered.shape()
        # CRASH: before anything else may look at the tree, what was becoming visible is carried to its end.
        self.half_applied = ""
        self._has_intent = True
        self.recover()

    def close(self) -> None:
        """Remove the staging areas."""
        self._applier.close()

    def known(self, path: bytes) -> Known | None:
        """Return what was last applied at `path`."""
        return self._tree.get(path)

    def standing(self) -> Standing | None:
        """Return how far this domain has come, and from whom; None before the first synchronization."""
        return read_standing(self._store, self.domain)

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
        """Say why the root must not be written to as things are, "" where it may; cheap, for any thread.

        A root that is missing, that another directory has replaced (an unmounted file system leaves its mount
        point), or that was emptied, is no place for changes that build upon what was applied before. On
        demand an emptied root may be filled again.
        """
        applied = self._tree.get(b"")
        try:
            found = os.stat(self.root)
            with os.scandir(self.root) as listed:
                empty = all(item.name == ".syncer" for item in listed)
        except FileNotFoundError:
            if applied is None and self.root.parent.is_dir():
                return ""
            return f"the root {self.root} of domain {self.domain} is missing on failover: mount or create it"
        except OSError as error:
            return (
                f"the root {self.root} of domain {self.domain} cannot be used on failover ({error.strerror}): "
                "it must be a directory that the agent can read and write"
            )
        if applied is None or on_demand:
            return ""
        if empty and self._base.count(self.domain) > 1:
            return (
                f"the root {self.root} of domain {self.domain} is empty on failover though it was filled before: "
                "mount it, or fill it again with `syncer snapshot`"
            )
        if not self.is_same_root(found):
            return (
                f"the root {self.root} of domain {self.domain} is another directory on failover than the one that "
                "was filled: mount or restore it, or fill this one with `syncer snapshot`"
            )
        change = self.shape_change()
        if change:
            return (
                f"{change} on failover: put it back as it was, or fill the tree as it is now with `syncer snapshot`, "
                "which asks first"
            )
        return ""

    def shape_change(self) -> str:
        """Say which mount at or below the root went or came since the last commit, "" where none did."""
        accepted = self._accepted_shape
        return shape_change(accepted, self._watch.look().shape, str(self.root)) if accepted is not None else ""

    def is_same_root(self, found: os.stat_result | None = None) -> bool:
        """Tell whether the root is the directory that was filled (by inode: devices are renumbered at boot)."""
        applied = self._tree.get(b"")
        try:
            inode = (found or os.stat(self.root)).st_ino
        except OSError:
            return False
        return applied is None or applied.identity.inode == inode

    def require_root(self, *, on_demand: bool) -> None:
        """Make sure that the root can be written to, and make it for the first synchronization.

        Raises UnavailableRootError.
        """
        trouble = self.trouble(on_demand=on_demand)
        if trouble:
            raise UnavailableRootError(trouble)
        if not self.root.exists():
            self._make_root()

    def _make_root(self) -> None:
        parent = os.open(self.root.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._disk.make_directory(parent, os.fsencode(self.root.name), 0o755)
            self._disk.flush_directory(parent)
        finally:
            os.close(parent)

    def local_edits(self, *, reread: bool = False) -> tuple[dict[bytes, Known | None], set[bytes]]:
        """Compare the disk with what was last applied; see Edits.all."""
        return self.edits.all(reread=reread)

    def require_full(self) -> None:
        """Have production put back what was edited here: only a full synchronization does that. Durable."""
        standing = self.standing()
        if standing is not None:
            with self._store.transaction() as writer:
                write_standing(writer, self.domain, standing._replace(resumable=False))
            self.wants_full = True

    def receive(self, patterns: Patterns) -> None:
        """Take note of which paths production synchronizes."""
        self.received_patterns = patterns
        record_received_patterns(self._store, self.domain, patterns)

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

    def is_same(self, wanted: Entry, current: Entry) -> bool:
        """Tell whether what a scan found here is what production's entry means here."""
        return same_here(self._owners, wanted, current)

    def attempt(self, changes: Sequence[Change]) -> Attempt:
        """Open a transaction; nothing becomes visible before its `finish`."""
        return self._applier.begin(changes, self.kept.reach(self.scope()))

    def finish(self, attempt: Attempt, opening: Opening) -> Applied:
        """Make a transaction visible and durable; raises as Attempt.finish."""
        self._has_intent = True
        return attempt.finish(opening)

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
        scope = self.kept.reach(self._scope_of(intent.patterns))
        try:
            applied = self._applier.recover(intent, scope)
            self._record(applied, intent.standing, full=intent.full, settle_shape=False)
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
        if not self._has_intent and not self.trouble():
            self._applier.tidy()

    def require_approval(self, differences: Sequence[Difference], begin: Begin) -> Approval | None:
        """Return the approval that a first synchronization onto other files still lacks, else None.

        What was offered is kept, so that an approval lets pass exactly what the person saw, or less.
        """
        destroyed = [difference for difference in differences if destroys(difference)]
        if not destroyed:
            return None
        paths = {difference.change.path for difference in destroyed}
        if begin.approval:
            approved = self._base.approved_paths(self.domain, begin.approval)
            if approved is not None and paths <= approved:
                return None
        items = [plan_item(difference) for difference in destroyed]
        deletions = sum(1 for item in items if item.action == "delete")
        approval_id = "" if begin.dry_run else secrets.token_hex(8)
        if approval_id:
            self._base.offer_approval(self.domain, approval_id, paths)
        return Approval(approval_id or "dry-run", deletions, len(items) - deletions, tuple(items[:SAMPLE]))

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
        return Opening(
            standing, begin.full, self.received_patterns, kind, hello.node_name, hello.term, adopted, vanished
        )

    def commit(
        self, applied: Applied, opening: Opening, seconds: float, number: int, *, settle_shape: bool = False
    ) -> Ack:
        """Record base, cursor and the end of the intent in one durable transaction; return the acknowledgement.

        With `settle_shape` the mounts of now are those that count from then on.
        """
        standing = opening.standing._replace(generation=applied.generation)
        problems = self._record(applied, standing, full=opening.full, settle_shape=settle_shape)
        changed, sent, kept = applied.changed, applied.bytes, self.kept.paths()
        return Ack(number, standing.cursor, changed, sent, seconds, applied.generation, tuple(problems), kept)

    def _record(self, applied: Applied, standing: Standing, *, full: bool, settle_shape: bool) -> list[Problem]:
        problems = list(applied.problems)
        if not full:
            touched = {row.entry.path for row in applied.upserts} | set(applied.deletions)
            touched |= {problem.path for problem in problems}
            problems += [old for old in self._base.problems(self.domain) if old.path not in touched]
        with self._store.transaction():
            # CRASH: everything on disk is flushed before this commit, and the ack leaves after it.
            self._base.commit(self.domain, applied.upserts, applied.deletions, standing, problems)
            self._journal.end(standing.generation)
            self.brake.commit()
            self._settle_shape(always=settle_shape)
        self._has_intent = False
        if full:
            self._base.forget_approvals(self.domain)
            self._tree.doubted = ()
            self.wants_full = False
        self.after_commit(full)
        return problems

    def _settle_shape(self, *, always: bool) -> None:
        if always or self._accepted_shape is None:
            shape = self._watch.look().shape
            if shape != self._accepted_shape:
                self._remembered.accept_shape(shape)
                self._accepted_shape = shape


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
