"""When a domain's commands are run around its transactions, and what a crash in between leaves to do.

Where the candidate can be shown, the check comes before anything is visible. Elsewhere it comes after the
commit: the transaction is recorded as unchecked in that very commit, and the acknowledgement waits until the
check has passed; where it does not, the domain is rolled back. Start and reload come after the acknowledgement.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from typing import Protocol

from syncer.apply.candidate import Candidate, Check
from syncer.errors import ApplyError, CheckFailedError, CommandFailure, SyncerError, ViewError
from syncer.model import ServiceLife, Term
from syncer.replicate.messages import Begin, Hello
from syncer.state.cursors import Standing, read_standing, write_standing
from syncer.state.store import StateStore
from syncer.state.term import read_term
from syncer.state.unchecked import (
    PendingReload,
    Unchecked,
    forget_pending_reload,
    forget_unchecked,
    read_pending_reload,
    read_unchecked,
    write_pending_reload,
    write_unchecked,
)

log = logging.getLogger(__name__)

Rollback = Callable[[int], None]
"""Puts the domain's tree and base back to a generation; ApplyError where that fails."""


class Services(Protocol):
    """What runs a domain's commands."""

    has_check: bool
    has_reload: bool
    check_failure: CommandFailure | None

    @property
    def life(self) -> ServiceLife | None:
        """Return how the services are; None where nothing tells."""

    def check(self, generation: int, term: int, candidate: Candidate | None) -> None:
        """Run the check; CheckFailedError, ViewError, ApplyError."""

    def attend(self, generation: int, term: int, *, start: bool, reloaded: Callable[[], None] | None) -> None:
        """Start and reload the services where that is due, on a thread of its own."""


SERVICE_SHOWN = 500
"""Characters of how services are that a heartbeat carries."""


class CheckedCommits:
    """One domain's commits with its commands around them; all but `acknowledged` on the domain's worker."""

    def __init__(
        self, domain: str, store: StateStore, services: Services | None, rollback: Rollback | None = None
    ) -> None:
        """Run the commands of `services`; `rollback` makes checks after the commit possible."""
        self.services = services
        self.trouble = ""
        """Why nothing may be applied: what stands is unchecked, and could not be rolled back."""
        self._domain = domain
        self._store = store
        self._rollback = rollback
        self._is_due = False
        self._is_warned = False
        self._is_torn = False
        self.services_run = False
        """Services are meant to run here, as production said last; False while it has not."""
        self._may_start: tuple[int, int] | None = None
        """What stands: generation and term (its counter), where services are to be started for it."""
        self._pending: PendingReload | None = None

    @property
    def service(self) -> str:
        """How the services are, in one line for the heartbeats, "" where nothing tells; for any thread."""
        life = self.services.life if self.services is not None else None
        if life is None:
            return ""
        return f"{life.state.value}: {life.detail}"[:SERVICE_SHOWN] if life.detail else life.state.value

    def check_for(self, term: Term) -> Check | None:
        """Return what looks at the candidate of the next transaction, or None where no check is configured."""
        self._is_due = False
        if self.services is None or not self.services.has_check:
            return None
        return lambda view: self._check(view, term)

    def record(self, writer: sqlite3.Connection, before: Standing | None, after: Standing, hello: Hello, begin: Begin,
               *, changed: bool) -> None:  # fmt: skip  # one argument list
        """Note, within the commit, what is left to do for it: its check, its reload."""
        term = hello.term.counter
        if self.services is not None and not self._is_due:
            # What stands from now on has passed, or is what stood before.
            self.services.check_failure = None
        if self._is_due:
            standing = (before.generation, before.cursor) if before else (0, None)
            write_unchecked(writer, self._domain, Unchecked(after.generation, term, *standing))
        self.services_run = hello.start_services
        self._may_start = (after.generation, term) if self.services_run else None
        if changed:
            self._want_reload(writer, after, term)
        self._is_torn = begin.torn

    def record_rollback(self, writer: sqlite3.Connection, after: Standing, *, changed: bool) -> None:
        """Note, within the commit of a rollback, that services are to be reloaded where they run."""
        if changed:
            self._want_reload(writer, after, read_term(self._store).counter)
        # Going back is no synchronization: it starts nothing.
        self._may_start = None
        self._is_torn = False

    def withdraw(self) -> None:
        """The transaction was given up, with everything visible taken back: nothing is left to do for it."""
        if self._is_due:
            self._is_due = False
            with self._store.transaction() as writer:
                forget_unchecked(writer, self._domain)

    def require_passed(self) -> None:
        """Run the check that could not come before the commit; raises as `require_checked` does."""
        if self._is_due:
            self.require_checked()

    def require_checked(self) -> None:
        """Check what was committed unchecked, and roll it back where it must not stand.

        Raises CheckFailedError after the rollback, ApplyError where there can be none.
        """
        # CRASH: until the check has passed or the rollback is done, the row stays, and the next start comes here.
        unchecked = read_unchecked(self._store, self._domain)
        self._is_due = False
        if unchecked is None:
            return
        try:
            if self.services is not None and self.services.has_check:
                self.services.check(unchecked.generation, unchecked.term, None)
        except CheckFailedError as failed:
            self._roll_back(unchecked, failed)
            raise
        except ApplyError as error:
            # It stands and may be wrong: nothing may build upon it, nor be acknowledged, before it was checked.
            self.trouble = str(error)
            raise
        with self._store.transaction() as writer:
            forget_unchecked(writer, self._domain)
        self.trouble = ""

    def result(self) -> CommandFailure | None:
        """Return how the latest check failed; None where it passed, or there is none."""
        return self.services.check_failure if self.services is not None else None

    def keep_result(self, failure: CommandFailure | None) -> None:
        """Show `failure` as the latest: what was checked since is not what stands."""
        if self.services is not None:
            self.services.check_failure = failure

    def greeted(self, hello: Hello, standing: Standing | None) -> None:
        """Production has connected: where nothing is left to send, services are started for what stands."""
        self.services_run = hello.start_services
        is_equal = (
            standing is not None
            and (standing.source_node, standing.resumable) == (hello.node_id, True)
            and (standing.cursor.index_id, standing.cursor.seq) == (hello.head.index_id, hello.head.seq)
            and (standing.pattern_hash, standing.rule_hash) == (hello.pattern_hash, hello.rule_hash)
        )
        is_passed = not self.trouble and not self._is_torn and read_unchecked(self._store, self._domain) is None
        starts = self.services_run and is_equal and is_passed
        self._may_start = (standing.generation, hello.term.counter) if standing is not None and starts else None
        if self.services is not None:
            # Also where nothing is to be started: that withdraws what still waits for its start.
            generation, term = self._may_start or (0, hello.term.counter)
            self.services.attend(generation, term, start=starts, reloaded=None)

    def acknowledged(self) -> None:
        """The acknowledgement has left: start or reload, unless the group that it ended was torn. Returns at once."""
        pending, may_start = self._pending, self._may_start
        if self.services is None or self._is_torn or (pending is None and may_start is None):
            return
        self._pending = None
        generation, term = pending or may_start or (0, 0)
        self.services.attend(
            generation, term, start=may_start is not None, reloaded=self._forgetting(pending) if pending else None
        )

    def recover(self) -> None:
        """Do at the start of the agent what a crash has left to do; what fails is shown, and logged."""
        try:
            self.require_checked()
        except CheckFailedError as failed:
            log.warning("domain %s was rolled back at the start: %s", self._domain, failed)
        except SyncerError as error:
            self.trouble = str(error)
            log.error("%s", error)  # noqa: TRY400 - a sentence for the operator, no traceback
            return
        self._pending = read_pending_reload(self._store, self._domain)
        self.acknowledged()

    def _forgetting(self, pending: PendingReload) -> Callable[[], None]:
        return lambda: forget_pending_reload(self._store, self._domain, pending.generation)

    def _want_reload(self, writer: sqlite3.Connection, after: Standing, term: int) -> None:
        if self.services_run and self.services is not None and self.services.has_reload:
            self._pending = PendingReload(after.generation, term)
            write_pending_reload(writer, self._domain, self._pending)

    def _check(self, view: Candidate | ViewError, term: Term) -> None:
        assert self.services is not None, "check_for has looked"
        standing = read_standing(self._store, self._domain)
        try:
            if isinstance(view, ViewError):
                raise view
            self.services.check((standing.generation if standing else 0) + 1, term.counter, view)
        except ViewError as error:
            if self._rollback is None:
                raise ApplyError(
                    f"the check of domain {self._domain} cannot be run before its changes stand, and there is no "
                    f"way back afterwards: {error}; let the agent run as root on a kernel with overlayfs"
                ) from error
            if not self._is_warned:
                log.warning("domain %s: checks come after the commit here: %s", self._domain, error)
            self._is_warned = self._is_due = True

    def _roll_back(self, unchecked: Unchecked, failed: CheckFailedError) -> None:
        if self._rollback is None:
            raise ApplyError(
                f"{failed}; it stands all the same, since it cannot be rolled back: correct it on failover"
            )
        try:
            self._rollback(unchecked.before_generation)
        except ApplyError as error:
            self.trouble = f"{failed}; it stands all the same, since rolling back failed: {error}"
            raise ApplyError(self.trouble) from error
        with self._store.transaction() as writer:
            standing = read_standing(self._store, self._domain)
            if unchecked.before_cursor is None:
                writer.execute("DELETE FROM standing WHERE domain = ?", (self._domain,))
            elif standing is not None:
                # What production sends next builds upon what stands again.
                write_standing(writer, self._domain, standing._replace(cursor=unchecked.before_cursor))
            forget_unchecked(writer, self._domain)
        self.trouble = ""
