"""Asks the lead now and then where a procedure stands, so that it ends here as it did there."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from syncer.errors import SyncerError
from syncer.procedures import messages as m
from syncer.procedures.journal import ProcedureJournal
from syncer.procedures.messages import Refusal, Why
from syncer.procedures.second import Second
from syncer.procedures.steps import Outcome
from syncer.procedures.voice import Limits
from syncer.state.peers import Peer

log = logging.getLogger(__name__)


class Asked(Protocol):
    """The call to the lead; see client.py."""

    async def state(self, procedure: str) -> m.StandingOf | Refusal:
        """Ask where a procedure stands."""

    async def close(self) -> None:
        """Release the connection."""


class Following:
    """One procedure that another node leads."""

    def __init__(
        self, procedure: str, peer: Peer, caller: Asked, second: Second, journal: ProcedureJournal, limits: Limits
    ) -> None:
        """Follow the procedure with this id, which `peer` leads."""
        self.trouble = ""
        """Why nothing is known of it; "" where the lead answered."""
        self._procedure = procedure
        self._peer = peer
        self._caller = caller
        self._second = second
        self._journal = journal
        self._limits = limits

    async def run(self) -> None:
        """Ask until it is over; orders may end it meanwhile."""
        try:
            while await self._is_open():
                try:
                    await self._ask()
                except SyncerError as error:
                    self.trouble = str(error)
                if await self._is_open():
                    await asyncio.sleep(self._limits.ask)
        finally:
            await self._caller.close()

    async def _ask(self) -> None:
        answer = await self._caller.state(self._procedure)
        if isinstance(answer, Refusal):
            self.trouble = f"{self._peer.name} says: {answer.message}"
            if answer.why is Why.UNKNOWN_PROCEDURE:
                # Its state was lost there, or restored: nobody but a person can say what is right.
                self.trouble += "; where it was lost there, abort it here with --force"
            return
        self.trouble = ""
        if answer.outcome is not Outcome.OPEN:
            end = m.End(self._procedure, answer.outcome, answer.reason, answer.report, answer.standing)
            refusal = await self._second.end(self._peer, end)
            self.trouble = refusal.message if refusal is not None else ""

    async def _is_open(self) -> bool:
        known = await asyncio.to_thread(self._journal.read, self._procedure)
        return known is not None and known.journal.outcome is Outcome.OPEN
