"""One transaction on failover, message by message: entries, what is wanted, contents, commit.

Blocking; all calls come from the domain's one worker thread, in the order in which messages came.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from syncer.apply.applier import Applied, Attempt
from syncer.apply.journal import Opening
from syncer.errors import ApplyError, CheckFailedError, PeerProtocolError, Reason, UnavailableRootError
from syncer.model import Change, Kind, Known
from syncer.replicate.checks import require
from syncer.replicate.compare import Comparison, Difference, plan_item, staying
from syncer.replicate.destination import Destination
from syncer.replicate.inherited import is_inherited
from syncer.replicate.kept import KeptOut
from syncer.replicate.messages import (
    Abandon,
    Approval,
    Content,
    Contents,
    FromFailover,
    Hello,
    Part,
    Plan,
    Reject,
    Want,
    WantEntries,
)
from syncer.replicate.progress import approval_sentence
from syncer.state.base import BaseRow

DIGESTS_IN_ONE_WANT = 8192
ITEMS_IN_ONE_PLAN = 2048
MAXIMUM_INLINE = 4 * 1024 * 1024
"""Bytes of inline contents that one transaction may hold in memory."""


class Incoming:
    """The state of one transaction: collecting entries, then contents, then done."""

    def __init__(self, destination: Destination, hello: Hello, node_name: str, part: Part) -> None:
        """Open the transaction that `part` begins; PeerProtocolError where it begins none."""
        require(part.begin is not None, "a transaction does not open with its begin")
        assert part.begin is not None, "checked by require"
        self.number = part.transaction
        self.done = False
        self._destination = destination
        self._hello = hello
        self._node_name = node_name
        self._begin = part.begin
        self.full = part.begin.full
        self._started = time.monotonic()
        self._changes: list[Change] = []
        self._inline: dict[bytes, Content] = {}
        self._inline_bytes = 0
        self._comparison: Comparison | None = None
        self._first = False
        self._inherited = False
        self._edited: frozenset[bytes] = frozenset()
        self._kept_out = KeptOut(destination.kept, destination.known)
        self._kept_here: set[bytes] = set()
        self._adopted: list[BaseRow] = []
        self._vanished: list[bytes] = []
        self._stays: set[bytes] | None = None
        """Of a whole comparison; None where none was made."""
        self._attempt: Attempt | None = None
        self._entries_ended = False

    def open(self, part: Part) -> list[FromFailover]:
        """Check where the transaction starts, and take its first part."""
        return self._guarded(lambda: self._open(part))

    def take_part(self, part: Part) -> list[FromFailover]:
        """Take more entries; with the last ones, answer what is wanted or apply."""
        require(part.begin is None and not self._entries_ended, "a part comes out of order")
        return self._guarded(lambda: self._take_part(part))

    def take_contents(self, contents: Contents) -> list[FromFailover]:
        """Take wanted contents; with the last ones, apply and acknowledge."""
        require(self._attempt is not None, "contents come before they are wanted")
        return self._guarded(lambda: self._take_contents(contents))

    def abandon(self, _: Abandon | None = None) -> None:
        """Give the transaction up; nothing of it becomes visible."""
        self.done = True
        if self._attempt is not None:
            self._attempt.discard()
            self._attempt = None

    def _guarded(self, step: object) -> list[FromFailover]:
        """Run a step; what this node's disk or the plan forbids becomes a Reject, never a half-done state."""
        assert callable(step)
        try:
            replies: list[FromFailover] = step()
            return replies
        except CheckFailedError as error:
            self.abandon()
            return [Reject(self.number, error.reason, str(error), failure=error.failure)]
        except ApplyError as error:
            self.abandon()
            if error.reason in (Reason.DISK_FULL, Reason.IO):
                self._destination.failure = str(error)
            return [Reject(self.number, error.reason, str(error))]
        except UnavailableRootError as error:
            self.abandon()
            return [Reject(self.number, Reason.ROOT_UNAVAILABLE, str(error))]
        except PeerProtocolError:
            self.abandon()
            raise

    def _open(self, part: Part) -> list[FromFailover]:
        begin = self._begin
        self._destination.require_whole()
        standing = self._destination.standing()
        if not (begin.resume and begin.full) and not begin.dry_run and self._destination.rolled_back.done is not None:
            return self._reject(Reason.ROLLED_BACK, self._destination.rolled_back.sentence())
        self._destination.require_root(on_demand=begin.on_demand)
        self._destination.brake.begin()
        known = standing is not None and standing.source_node == self._hello.node_id
        is_same_tree = is_inherited(self._destination.store, self._hello.domain, standing, self._hello.node_id)
        place = self._destination.place
        # Another directory in the root's place is as foreign as at the first time.
        is_other_place = not place.is_same() or bool(place.shape_change())
        self._inherited = is_same_tree and not is_other_place
        self._first = not known or is_other_place
        if not begin.full:
            start = None if standing is None or self._first or not standing.resumable else standing.cursor
            if start is None or start != begin.start:
                return self._reject(
                    Reason.CURSOR_MISMATCH,
                    "the changes do not start where failover stands: it must be filled anew",
                )
            return self._take_part(part)
        self._destination.receive(self._hello.patterns)
        edits: dict[bytes, Known | None] = {}
        if not begin.against_base:
            edits, self._kept_here = self._destination.local_edits(reread=begin.reread)
        self._edited = frozenset(edits)
        if not edits and not self._first and self._destination.summary() == begin.summary:
            return self._nothing_to_do()
        self._vanished = [path for path, known in edits.items() if known is None]
        self._comparison = Comparison(
            self._destination.current(edits), self._destination.may_go(), self._destination.is_same
        )
        return [WantEntries(self.number)] if not part.changes and not part.end else self._take_part(part)

    def _nothing_to_do(self) -> list[FromFailover]:
        self.done = True
        if self._begin.dry_run:
            return [Plan(self.number, (), last=True, approval="")]
        opening = self._destination.opening(self._hello, self._begin)
        kept = self._destination.problems()
        return [self._commit(Applied([], [], 0, 0, kept, opening.standing.generation), opening)]

    def _take_part(self, part: Part) -> list[FromFailover]:
        if self._comparison is not None:
            require(
                all(change.entry is not None for change in part.changes),
                "a deletion in a full synchronization",
            )
            self._comparison.feed(change.entry for change in part.changes if change.entry is not None)
        else:
            self._changes.extend(part.changes)
        for content in part.inline:
            require(not content.more and content.offset == 0, "an inline content comes in pieces")
            self._inline_bytes += len(content.data)
            require(self._inline_bytes <= MAXIMUM_INLINE, "more inline contents than one transaction may carry")
            self._inline[content.digest] = content
        if not part.end:
            return []
        self._entries_ended = True
        return self._plan()

    def _plan(self) -> list[FromFailover]:
        """All entries are here: answer a dry run, wait for a person, or find out what is wanted."""
        if self._comparison is not None:
            require(self._comparison.entries <= self._begin.entries, "more entries than announced")
            differences = self._kept_out.differences(self._comparison.finish())
            approval, sentence = self._question(differences)
            if self._begin.dry_run:
                self.done = True
                return list(self._plan_messages(differences, approval))
            if approval is not None:
                return self._reject(Reason.APPROVAL_REQUIRED, sentence, approval)
            self._changes = [difference.change for difference in differences]
            self._adopted = [BaseRow(known.entry, known.identity) for known in self._comparison.adopted]
            self._vanished += self._comparison.unscoped
            self._stays = self._comparison.stays
            self._comparison = None
        else:
            self._changes = self._kept_out.changes(self._changes)
            asked = self._destination.brake.ask_partial(self._changes, self._begin, self._destination.scope().wants)
            if asked is not None:
                return self._reject(Reason.APPROVAL_REQUIRED, asked.sentence, asked.approval)
        return self._start_attempt()

    def _question(self, differences: list[Difference]) -> tuple[Approval | None, str]:
        """Return what a person must agree to first, and the sentence that asks."""
        if self._first:
            # What another production has left here, and nobody has edited, is no foreign tree.
            foreign = [item for item in differences if not self._inherited or item.change.path in self._edited]
            if not self._inherited:
                self._destination.brake.start_anew()
            approval = self._destination.require_approval(foreign, self._begin)
            if approval is not None or not self._inherited:
                return approval, approval_sentence(approval, self._node_name) if approval else ""
        asked = self._destination.brake.ask_full(differences, self._begin)
        return (asked.approval, asked.sentence) if asked is not None else (None, "")

    def _start_attempt(self) -> list[FromFailover]:
        # What production itself could not read is not touched here; it shows as production's problem.
        known = [c for c in self._changes if c.entry is None or c.entry.kind is not Kind.UNKNOWN]
        if self._stays is None and (len(known) != len(self._changes) or self._destination.stays):
            self._stays = staying(self._destination.stays, self._changes)
        self._attempt = self._destination.attempt(known, self._hello.term)
        self._changes = []
        missing = []
        for digest in self._attempt.wanted(frozenset(self._inline)):
            content = self._inline.get(digest)
            if content is None:
                missing.append(digest)
            else:
                self._attempt.write(digest, content.data, 0, more=False)
        self._inline.clear()
        if not missing:
            return [self._finish()]
        steps = range(0, len(missing), DIGESTS_IN_ONE_WANT)
        return [
            Want(
                self.number,
                tuple(missing[step : step + DIGESTS_IN_ONE_WANT]),
                last=step + DIGESTS_IN_ONE_WANT >= len(missing),
            )
            for step in steps
        ]

    def _take_contents(self, contents: Contents) -> list[FromFailover]:
        assert self._attempt is not None, "checked by take_contents"
        for content in contents.contents:
            self._attempt.write(content.digest, content.data, content.offset, content.more)
        return [self._finish()] if contents.last else []

    def _finish(self) -> FromFailover:
        assert self._attempt is not None, "an attempt was begun"
        # The base also learns what was equal already, and forgets what is gone or not synchronized any more.
        adopted = [*self._adopted, *self._kept_out.rows]
        vanished = [*self._vanished, *self._kept_out.forgotten]
        opening = self._destination.opening(self._hello, self._begin, adopted, vanished)
        applied = self._destination.finish(self._attempt, opening)
        self._attempt = None
        applied = applied._replace(upserts=[*adopted, *applied.upserts], deletions=[*vanished, *applied.deletions])
        self.done = True
        return self._commit(applied, opening)

    def _commit(self, applied: Applied, opening: Opening) -> FromFailover:
        seconds = time.monotonic() - self._started
        self._kept_out.note(self._kept_here, full=self._begin.full)
        if self._stays is not None:
            self._destination.note_stays(self._stays)
        settle_shape = self._first or self._begin.on_demand
        return self._destination.commit(applied, opening, seconds, self.number, settle_shape=settle_shape)

    def _reject(self, reason: Reason, message: str, approval: Approval | None = None) -> list[FromFailover]:
        self.abandon()
        return [Reject(self.number, reason, message, approval)]

    def _plan_messages(self, differences: list[Difference], approval: Approval | None) -> Iterator[FromFailover]:
        items = [plan_item(difference) for difference in differences]
        for step in range(0, max(len(items), 1), ITEMS_IN_ONE_PLAN):
            last = step + ITEMS_IN_ONE_PLAN >= len(items)
            yield Plan(
                self.number,
                tuple(items[step : step + ITEMS_IN_ONE_PLAN]),
                last,
                approval.id if approval is not None and last else "",
            )
