"""One domain on failover: its root, its base and its applier, and what may be done to them.

Lives as long as the node; every method that touches disk or base runs on the domain's one worker thread,
so a transaction, a dry run and a comparison never see each other half done.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

from syncer.apply.applier import Applied, Applier, Attempt
from syncer.capture.ignore import Scope
from syncer.capture.scan import Scanner
from syncer.errors import Reason, RefusedError, UnavailableRootError
from syncer.files import Disk
from syncer.model import Change, Cursor, Known, Patterns, Problem, shown
from syncer.replicate.compare import Difference, destroys, overlay, plan_item
from syncer.replicate.compare import Standing as StandingPath
from syncer.replicate.messages import Ack, Approval, Begin, Hello
from syncer.state.base import Base
from syncer.state.cursors import Standing, read_standing
from syncer.state.store import StateStore
from syncer.summary import summarize

SAMPLE = 20
"""How many paths of a plan that waits for approval are shown."""


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
    ) -> None:
        """Take a domain of this node's configuration; `protected` are syncer's own paths below `root`."""
        self.domain = domain
        self.root = root
        self._patterns = patterns
        self._protected = tuple(protected)
        self._store = store
        self._disk = disk or Disk()
        self._base = Base(store)
        self._tree = _BaseTree(self._base, domain)
        self._summary: tuple[Cursor, bytes] | None = None
        self._scopes: dict[Patterns, Scope] = {}
        self._applier = Applier(domain, root, store.node_id, self._tree, self._disk)
        self.received_patterns = patterns
        self.failure = ""
        """Why the disk refused the last transaction; "" once one was applied. For any thread."""

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
        theirs = self.received_patterns
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
        return ""

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

    def attempt(self, changes: Sequence[Change]) -> Attempt:
        """Open a transaction; nothing becomes visible before its `finish`."""
        return self._applier.begin(changes, self.scope())

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

    def commit(self, applied: Applied, hello: Hello, begin: Begin, seconds: float, number: int) -> Ack:
        """Record base and cursor in one durable transaction, and return the acknowledgement."""
        before = self.standing()
        generation = (before.generation if before else 0) + (1 if applied.changed else 0)
        standing = Standing(
            begin.end,
            hello.node_id,
            hello.pattern_hash,
            hello.rule_hash,
            resumable=True,
            generation=generation,
        )
        problems = list(applied.problems)
        if not begin.full:
            touched = {row.entry.path for row in applied.upserts} | set(applied.deletions)
            touched |= {problem.path for problem in problems}
            problems += [old for old in self._base.problems(self.domain) if old.path not in touched]
        # CRASH: everything on disk is flushed before this commit, and the ack leaves after it.
        self._base.commit(self.domain, applied.upserts, applied.deletions, standing, problems)
        self.failure = ""
        if begin.full:
            self._base.forget_approvals(self.domain)
        return Ack(number, begin.end, applied.changed, applied.bytes, seconds, generation, tuple(problems))


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
