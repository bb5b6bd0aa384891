"""What production does with the words of its targets: whom it believes, and what their terms lead to."""

from __future__ import annotations

from collections.abc import Callable

from syncer.errors import PeerRejectedError, Reason
from syncer.model import RecordEvent, Start, Term
from syncer.replicate.fencing import copy_sentence, is_copy
from syncer.replicate.messages import Welcome
from syncer.replicate.stream import Stream
from syncer.state.starts import read_peer_start, remember_peer_start
from syncer.state.store import StateStore


class TargetWords:
    """Listens to every target of a production node, on the event loop."""

    def __init__(
        self,
        store: StateStore,
        name: str,
        start: Start,
        record: RecordEvent,
        saw_term: Callable[[str, Term], None],
    ) -> None:
        """Listen for the node `name`; `saw_term` is told a target's name with each term that it refuses with."""
        self.start = start
        """Which start of this node it is."""
        self._store = store
        self._name = name
        self._record = record
        self._saw_term = saw_term
        self._told: dict[str, str] = {}

    def greeted(self, stream: Stream, welcome: Welcome) -> None:
        """Look whether the target is who was known; PeerRejectedError where two machines have its identity."""
        self._told.pop(stream.target, None)
        if is_copy(read_peer_start(self._store, welcome.node_id), welcome.start):
            cure = f"pair it again with `syncer invite` there and `syncer join` on {self._name}"
            raise PeerRejectedError(copy_sentence(stream.target, cure), Reason.COPIED_IDENTITY)
        if welcome.start.instance:
            remember_peer_start(self._store, welcome.node_id, welcome.start)

    def rejected(self, stream: Stream, failure: PeerRejectedError) -> None:
        """Raise the event of a term that was refused, once, and be fenced where the target's term is higher."""
        why = str(failure)
        if failure.reason is Reason.STALE_TERM and self._told.get(stream.target) != why:
            self._told[stream.target] = why
            self._record("term.refused", {"peer": stream.target, "reason": why})
        if failure.term is not None:
            self._saw_term(stream.target, failure.term)


def nobody_is_fenced(_: str, __: Term) -> None:
    """No agent runs: the next one hears of the term by itself."""
