"""The kinds of procedures that a node takes part in, each joined of its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.node.switch_side import SwitchSide
from syncer.procedures.parts import kind_of
from syncer.procedures.switch_steps import forced_part, planned_part

if TYPE_CHECKING:
    from syncer.node.agent import Node

PROMOTE = "promote"
PROMOTE_FORCED = "promote_forced"


def register_kinds(node: Node) -> None:
    """Make the kinds known to `node`; before its procedures run."""
    switch = SwitchSide(node)
    node.kinds.register(kind_of(PROMOTE, planned_part(switch)))
    node.kinds.register(kind_of(PROMOTE_FORCED, forced_part(switch)))
