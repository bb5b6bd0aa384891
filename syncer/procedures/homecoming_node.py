"""What the steps of a homecoming need of the node that they run on; each may raise SyncerError."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from syncer.model import EventValue, Head, Mode
from syncer.procedures.kinds import Tell
from syncer.procedures.steps import Procedure


class Looked(NamedTuple):
    """One domain of a fenced node."""

    domain: str
    head: Head
    unsent: int | None
    """Paths that nobody was sent; None where nobody ever had any of it."""


class ReturningNode(Protocol):
    """The node that comes home."""

    def mode(self) -> Mode:
        """Return what it is now."""

    async def require_followed(self, procedure: Procedure) -> None:
        """Raise RefusedError unless the other node is the production that this one follows; see SwitchNode."""

    async def require_filled(self, serving: str, serving_name: str, *, exact: bool) -> None:
        """Raise RefusedError where the serving node has not synchronized this failover node yet, or `exact`."""

    async def running(self) -> list[str]:
        """Return the domains whose services run."""

    async def look(self) -> list[Looked]:
        """Scan once more. Raises UnavailableRootError where a root cannot be read."""

    async def keep(self, reason: str) -> Mapping[str, int]:
        """Protect the generation that comes next in each domain, durably; returns domain → its number."""

    async def moved(self, heads: Mapping[str, Head]) -> Mapping[str, list[bytes]]:
        """Return what has changed in each domain behind what was compared, the domains without changes left out."""

    async def become_failover(self, why: str) -> None:
        """Be failover of whoever serves; at once where it is already."""

    async def turn_back(self, procedure: Procedure, generations: Mapping[str, int], running: Sequence[str]) -> str:
        """Undo that this node became failover, unless it has all of the serving node; returns what is not as before.

        `generations` are those that were protected before, `running` the domains whose services are started again.
        """

    async def stop_services(self, by: str) -> list[str]:
        """Stop the domains' services, in the reverse of their order; returns how some failed."""

    async def hook(self, hook: str, procedure: Procedure) -> str:
        """Run a hook; returns how it failed. HookError where one that comes before fails."""

    async def check(self, tell: Tell) -> list[str]:
        """Run the check of each domain that has one on what stands; returns these. Raises CheckFailedError."""

    def tell(self, event: str, variables: Mapping[str, EventValue]) -> None:
        """Raise an event."""


class ServingNode(Protocol):
    """The node that serves."""

    def mode(self) -> Mode:
        """Return what it is now."""

    async def compare(self, peer: str, procedure: str, wishes: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """Compare with what the peer has, decide by the wishes, and have the stream home obey, durably.

        Raises PlanError where a person must decide first, or something has moved since one did.
        """

    async def release(self, procedure: str) -> None:
        """Let the streams go on by themselves, by what was decided: the procedure is undone."""

    async def fill(self, peer: str, tell: Tell, *, exact: bool) -> dict[str, Any]:
        """Synchronize the peer in full as was decided, and let the stream go on by itself from then on.

        `exact`: nothing is lost there of which nothing was decided. Raises StepFailedError.
        """

    async def verify(self, peer: str, tell: Tell, *, exact: bool, reread: bool) -> dict[str, Any]:
        """Make sure that the peer has what it was sent; `reread`: every byte on both sides is read again."""
