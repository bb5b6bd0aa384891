"""One domain on failover: its root, its base and its applier, and what may be done to them.

Lives as long as the node; every method that touches disk or base runs on the domain's one worker thread,
so a transaction, a dry run and a comparison never see each other half done.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Sequence

from syncer.apply.applier import Applied, Attempt
from syncer.apply.journal import Opening, Promise
from syncer.errors import ApplyError, Reason, RefusedError, UnavailableRootError
from syncer.model import Change, Problem, Term, shown
from syncer.replicate.destination_state import DestinationState
from syncer.replicate.messages import Ack, Begin, Hello
from syncer.state.base import BaseRow
from syncer.state.cursors import Standing, write_standing
from syncer.state.protected import settle_protected
from syncer.state.term import read_term

log = logging.getLogger(__name__)


class Destination(DestinationState):
    """Where one domain lands: attempts and commits of its transactions."""

    half_applied: str = ""
    """Why an interrupted transaction could not be carried to its end yet; "" where none waits for it."""
    _has_intent: bool = True
    """The journal may hold an intent: at first one that a crash has left."""
    _promised: bool = False
    """What the last opening promised was recorded with its intent."""

    def require_full(self) -> None:
        """Have production put back what was edited here: only a full synchronization does that. Durable."""
        standing = self.standing()
        if standing is not None:
            with self.store.transaction() as writer:
                write_standing(writer, self.domain, standing._replace(resumable=False))
            self.wants_full = True

    def attempt(self, changes: Sequence[Change], term: Term) -> Attempt:
        """Open a transaction; nothing becomes visible before its `finish`, nor where its check refuses it."""
        return self._applier.begin(changes, self.kept.reach(self.scope()), self.checked.check_for(term))

    def unchecked_attempt(self, changes: Sequence[Change]) -> Attempt:
        """Open a transaction that brings back what has passed before."""
        return self._applier.begin(changes, self.kept.reach(self.scope()))

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

    def refusal(self) -> str:
        """Say why the disk refuses what came last, or what a crash has left to end; "" where it does not."""
        return self.half_applied or self.failure

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
        if not self._has_intent and not self.root_trouble():
            self._applier.tidy()

    def begin_agent(self) -> None:
        """Do what an agent does once at its start, on the worker: remove what a kill left, and end what it cut off."""
        self._applier.remove_empty()
        self.checked.recover()

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
        changed, sent, kept = applied.changed, applied.bytes, self.kept.paths()
        return Ack(number, standing.cursor, changed, sent, seconds, applied.generation, tuple(problems), kept)

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
            if full:
                settle_protected(writer, self.domain, standing.generation)
            self.brake.commit()
            self.place.settle_shape(always=settle_shape)
            if opening is not None and opening.resumed:
                self.rolled_back.release(writer)
            if opening is not None and opening.promise is not None and not self._promised:
                opening.promise(writer, standing, changed=False)
        self.committed_at = time.monotonic()
        self._has_intent = self._promised = False
        self._summary = None
        self.edits.remember(())
        self.failure = ""
        self.rolled_back.refresh()
        if full:
            self._base.forget_approvals(self.domain)
            self._tree.doubted = ()
            self.wants_full = False
        self.after_commit(full)
        return problems


def unknown_domain(domain: str) -> RefusedError:
    """Return the refusal of a domain that this node's configuration does not name."""
    return RefusedError(
        f"domain {shown(domain.encode())} is not configured on failover: add [domains.{domain}] with its path there",
        Reason.UNKNOWN_DOMAIN,
    )
