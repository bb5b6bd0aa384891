"""The claim of a node that is promoted by force over an open procedure: its term is heard before the end of that is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from syncer.errors import RefusedError
from syncer.model import Mode
from syncer.node.readiness_side import readiness
from syncer.procedures.readiness import Purpose, refusals
from syncer.state.handover import claim_term

if TYPE_CHECKING:
    from syncer.node.agent import Node


async def claim(node: Node, besides: str) -> None:
    """Make it durable that this node has seen a term above all others, its own; whoever hears of it is fenced.

    A production that lives, and hears that a promotion which it had handed over to was given up, would take its role
    back; it hears the term first, with the same word. `besides`: the id of the procedure that is given up. Raises
    RefusedError, and claims nothing, where this node cannot be promoted by force.
    """
    # Whatever a production says that is taken for dead, it refuses nothing: it is not waited for.
    refused = refusals(await readiness(node, Purpose.FORCED, thorough=False, besides=besides, asks=False))
    if refused:
        raise RefusedError("; ".join(finding.sentence for finding in refused))
    # RACE: what is given up may be about to make this node production: then there is nothing to force.
    async with node.modes.deciding:
        if node.mode is not Mode.FAILOVER:
            raise RefusedError(f"{node.settings.node.name} is {node.mode.value} by now: look with `syncer procedure`")
        term = await asyncio.to_thread(claim_term, node.store)
    if node.failover is not None:
        # Whoever still sends here hears why it must not.
        node.failover.receiver.end_below(term)
