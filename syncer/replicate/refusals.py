"""Whom this node refuses as a sender, and why: for its status, and as an event once for each reason."""

from __future__ import annotations

import time
from typing import NamedTuple

from syncer.errors import Reason
from syncer.model import RecordEvent

_EVENTS = {
    Reason.STALE_TERM: "term.refused",
    Reason.RULES_DISAGREE: "rules.refused",
    Reason.WRONG_MODE: "session.refused",
    Reason.LOOP: "session.refused",
    Reason.COPIED_IDENTITY: "session.refused",
    Reason.RETIRED: "session.refused",
}
"""What a person must hear of; the others are shown by the node that was refused."""
_BY_ROLE = (Reason.STALE_TERM, Reason.WRONG_MODE)


class Refused(NamedTuple):
    """A peer that is refused (Unix seconds)."""

    peer: str
    reason: str
    at: float
    by_role: bool = False
    """For what it was, or under which term: nothing that outlives its role."""


class Refusals:
    """Which nodes are refused; used on the event loop, read by any thread."""

    def __init__(self, record: RecordEvent) -> None:
        """Raise events with `record`."""
        self._record = record
        self._told: dict[tuple[str, str], str] = {}
        self.standing: dict[str, Refused] = {}
        """By node id; replaced as a whole, never changed."""

    def refused(self, node_id: str, peer: str, reason: Reason, message: str) -> None:
        """Take in a refusal; the same again is no event."""
        event = _EVENTS.get(reason)
        if event is None:
            return
        if event != "rules.refused":
            self.standing = {**self.standing, node_id: Refused(peer, message, time.time(), reason in _BY_ROLE)}
        if self._told.get((node_id, event)) != message:
            self._told[node_id, event] = message
            self._record(event, {"peer": peer, "reason": message})

    def is_failover(self, node_id: str) -> None:
        """A peer says that it is failover: it sends nothing, and what it was refused for as production is over."""
        found = self.standing.get(node_id)
        if found is not None and found.by_role:
            self.admitted(node_id)

    def admitted(self, node_id: str) -> None:
        """A peer is listened to: what was said of it before is over, but for the rules, which each domain has."""
        if node_id not in self.standing:
            return
        self.standing = {key: found for key, found in self.standing.items() if key != node_id}
        self._told = {key: said for key, said in self._told.items() if key[0] != node_id or key[1] == "rules.refused"}
