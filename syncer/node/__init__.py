"""The composition root: builds a node from its rooms, starts, supervises and stops it."""

from __future__ import annotations

from syncer.node.agent import run_agent, run_without_agent

__all__ = ["run_agent", "run_without_agent"]
