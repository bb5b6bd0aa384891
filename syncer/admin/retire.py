"""`syncer retire`: shows what retiring a node comes to, and does it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from syncer.node import retiring

if TYPE_CHECKING:
    from syncer.node.agent import Node


async def retire(node: Node, name: str, *, dry_run: bool) -> dict[str, Any]:
    """Retire the paired node of this name or id; with `dry_run` only say what that comes to.

    Raises ConfigurationError where there is none, RefusedError where it is retired already.
    """
    chosen = await asyncio.to_thread(retiring.plan_of, node, name)
    if not dry_run:
        await retiring.retire(node, chosen)
    return {
        "name": chosen.peer.name,
        "node_id": chosen.peer.node_id,
        "fingerprint": chosen.peer.fingerprint,
        "targets": list(chosen.targets),
        "configured": list(chosen.configured),
        "domains_from_it": list(chosen.sources),
        "procedures": list(chosen.procedures),
        "told": list(chosen.told),
        "retired": not dry_run,
        "exit_code": 0,
    }
