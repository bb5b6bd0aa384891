"""What the working parts count and measure, as a seam: who keeps the numbers is no affair of theirs."""

from __future__ import annotations


class Observations:
    """Takes what happens, from any thread, within a microsecond or so; raises nothing, blocks nobody, keeps nothing."""

    def acknowledged(
        self, target: str, domain: str, *, full: bool, changes: int, sent_bytes: int, seconds: float
    ) -> None:
        """Note a transaction that a target has made durable, `seconds` after its first message came there."""

    def failed(self, target: str, domain: str, cause: str) -> None:
        """Note a connection that failed or was lost; `cause` is one of a few words."""

    def rejected(self, target: str, domain: str, cause: str, *, full: bool) -> None:
        """Note a transaction that a target has rejected; `cause` is one of a few words."""

    def applied(self, domain: str, *, full: bool, changes: int, received_bytes: int, seconds: float) -> None:
        """Note a transaction that this node has made durable, `seconds` after its first message came."""

    def refused(self, domain: str, cause: str) -> None:
        """Note a transaction that this node rejected; `cause` is one of a few words."""

    def flushed(self, what: str, seconds: float) -> None:
        """Note a flush to disk; `what` is file, directory or filesystem."""

    def raised(self, event: str) -> None:
        """Note an event of the catalogue."""


UNOBSERVED = Observations()
"""For commands without an agent, and for tests that do not look."""
