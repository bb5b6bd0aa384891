"""What this node is, for whoever listens to peers: mode, term, start; records the terms that need only be known."""

from __future__ import annotations

from collections.abc import Callable

from syncer import __version__
from syncer.config import Settings
from syncer.model import Start, Term
from syncer.replicate.fencing import Rank, judge
from syncer.state.introductions import is_retired
from syncer.state.starts import read_peer_start, remember_peer_start
from syncer.state.store import StateStore
from syncer.state.term import observe_term, read_held, read_mode


class OwnRank:
    """What the receiver asks of the node it lives in."""

    def __init__(
        self, settings: Settings, store: StateStore, start: Start, saw_term: Callable[[str, Term], None]
    ) -> None:
        """Answer from the configuration and node.db; `saw_term` does what is more than to record a term."""
        self.node_id = store.node_id
        self.name = settings.node.name
        self.software = __version__
        self.echoes = 0
        self.start = start
        self._store = store
        self._start_mode = settings.node.mode
        self._saw_term = saw_term

    def rank(self) -> Rank:
        """Return what this node is now, and the highest term seen, of one moment."""
        return Rank(*read_mode(self._store, self._start_mode))

    def held(self) -> Term:
        """Return the highest term that this node took for itself."""
        return read_held(self._store)

    def hear(self, peer: str, term: Term) -> None:
        """Do what follows from a peer's term: record a higher one durably, or be fenced by it. Raises StateError."""
        if is_retired(self._store, term.node_id):
            # It counts nowhere; production answers it with a higher one.
            self._saw_term(peer, term)
            return
        verdict = judge(self.rank(), term)
        # The node is told first: of a split brain nothing is left to see once the term is recorded.
        if verdict.fences or verdict.split_brain:
            self._saw_term(peer, term)
        if verdict.records and not verdict.fences:
            observe_term(self._store, term)

    def known_start(self, node_id: str) -> Start:
        """Return which start of a peer was seen last."""
        return read_peer_start(self._store, node_id)

    def remember_start(self, node_id: str, start: Start) -> None:
        """Make durable which start of a peer was seen last."""
        remember_peer_start(self._store, node_id, start)
