"""What an operator of the second can have without the lead: nothing where it answers, for it may be production."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from syncer.errors import PeerRejectedError, RefusedError, UnreachableError
from syncer.model import Mode
from syncer.procedures import messages as m
from syncer.procedures.messages import Why


class Lead(Enum):
    """What became of the lead of a procedure that is to be ended by force."""

    UNDOES = "undoes"
    """It lives, and undoes the procedure: this node's part by its orders."""
    GONE = "gone"
    """It does not answer, or knows nothing of the procedure and serves nothing."""
    SERVES = "serves"
    """It knows nothing of the procedure any more, and is production: nothing may be taken back beside it."""


class Asked(Protocol):
    """The calls to the lead; see client.py."""

    async def abort(self, wish: m.AbortWish) -> m.Refusal | None:
        """Ask the lead to abort."""

    async def knock(self) -> m.Speaker:
        """Return what it is."""


async def ask_lead(caller: Asked, name: str, wish: m.AbortWish) -> Lead:
    """Ask the lead to abort, and return what became of it. Raises RefusedError where it lives and does not."""
    try:
        refusal = await caller.abort(wish)
        if refusal is None:
            return Lead.UNDOES
        if refusal.why not in (Why.UNKNOWN_PROCEDURE, Why.ENDED):
            raise RefusedError(f"{name}, which leads it, answers, and refused: {refusal.message}")
        speaker = await caller.knock()
    except (UnreachableError, PeerRejectedError):
        return Lead.GONE
    return Lead.SERVES if speaker.mode is Mode.PRODUCTION else Lead.GONE
