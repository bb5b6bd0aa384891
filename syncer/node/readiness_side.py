"""Looks at everything that a promotion of this node needs, and changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.model import Mode
from syncer.procedures.readiness import Finding, Level, Purpose

if TYPE_CHECKING:
    from syncer.node.agent import Node


async def readiness(node: Node, purpose: Purpose = Purpose.PLANNED) -> list[Finding]:
    """Return what was found, in the order in which it is shown. Raises StateError where node.db cannot be read.

    Levels are those that count for `purpose`: what only a living production can cure is no refusal where it is dead.
    """
    mode, term = node.mode_and_term()
    if mode is Mode.FAILOVER:
        return [Finding("mode", Level.OK, f"{node.settings.node.name} is failover, and has seen term {term.counter}")]
    cure = "run it on the failover node" if mode is Mode.PRODUCTION else "run `syncer rejoin` first"
    return [Finding("mode", Level.REFUSAL, f"{node.settings.node.name} is {mode.value}", cure)]
