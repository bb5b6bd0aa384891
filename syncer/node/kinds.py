"""The kinds of procedures that a node takes part in, each joined of its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from syncer.node.agent import Node


def register_kinds(node: Node) -> None:
    """Make the kinds known to `node`; before its procedures run."""
