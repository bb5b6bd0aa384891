"""What a switch asks of the node that its steps are on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from syncer.model import Cursor, Head, Mode, Term
from syncer.procedures.kinds import Tell
from syncer.procedures.steps import Procedure


class SwitchNode(Protocol):
    """A node as far as a switch concerns it; every method may be called again after a crash at any moment."""

    def mode_and_term(self) -> tuple[Mode, Term]:
        """Return what it is, and the highest term that it has seen."""

    async def require_followed(self, procedure: Procedure) -> None:
        """Raise RefusedError unless the other node is the production that this one follows, by the highest term seen.

        UnreachableError where it does not answer.
        """

    async def refusals(self, procedure: Procedure, *, forced: bool) -> Sequence[str]:
        """Say what forbids a promotion of this node; nothing where all is well."""

    def domains(self) -> list[str]:
        """Return the domains in the order of the configuration."""

    async def running(self) -> list[str]:
        """Return the domains whose services run."""

    async def run_hook(self, hook: str, procedure: Procedure, term: Term) -> object:
        """Run a hook to its end. Raises HookError where one that comes before fails; what comes after is told."""

    async def freeze(self, procedure: Procedure) -> list[str]:
        """Freeze every domain; returns those whose services a thaw starts again. Raises as Freezes.freeze."""

    async def thaw(self, procedure: Procedure, starting: Sequence[str]) -> None:
        """End that freeze; start the services of `starting` that do not run, where this node is production."""

    def require_target(self, peer: str) -> None:
        """Raise RefusedError where the peer is not sent everything that this production node has."""

    async def drained(self, peer: str, tell: Tell) -> Mapping[str, Head]:
        """Return once the peer stands where every domain does, and nothing has moved meanwhile.

        Raises StepFailedError where that cannot come about.
        """

    async def hurried(self, peer: str, seconds: float) -> None:
        """Let what changed since arrive, for at most so long."""

    async def cursors(self, peer: str) -> Mapping[str, Cursor | None]:
        """Return how far each domain was applied here; None: not as that peer sent it."""

    async def drift(self) -> Mapping[str, int]:
        """Return how many paths of each domain were edited here."""

    async def reserve_term(self, procedure: Procedure) -> Term:
        """Choose the term of a promotion; no later call returns it."""

    async def confirm_handover(self, procedure: Procedure) -> None:
        """Make sure that what was handed over was not taken back since.

        Raises RefusedError where it was, UnreachableError where nobody can tell.
        """

    async def decided(self) -> None:
        """Return once every change of the mode that was begun is durable, or was refused.

        A step that was interrupted leaves the change that it began under way; what undoes it must not look before.
        """

    async def hand_over(self, procedure: Procedure, term: Term) -> None:
        """Be production no more, under the peer's term. Raises RefusedError where this node is not production."""

    async def take_back(self, procedure: Procedure) -> None:
        """Be production again where this node was fenced by that handover and by nothing since."""

    async def take_over(self, term: Term, why: str) -> None:
        """Be production under a term of this node's own. Raises RefusedError where a higher one was seen."""

    async def step_down(self, term: Term, why: str) -> None:
        """Be failover again, where this node is production under that term."""

    async def start_services(self, domain: str, by: str) -> str:
        """Check what stands, and start the services unless they run; returns how that failed."""

    async def stop_services(self, domain: str, by: str) -> None:
        """Stop the services where there is a command for it; a failure is told."""
