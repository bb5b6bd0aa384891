"""What the checks look at: one node with its configuration, its machine, and what its agent says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from syncer.config import DomainSettings, Settings
from syncer.doctor.coverage import Coverage
from syncer.doctor.machine import Machine
from syncer.doctor.packaged import Packages
from syncer.doctor.tree import Tree, walk
from syncer.errors import StateError
from syncer.model import Mode
from syncer.state.inspection import Inspected, inspect
from syncer.trust.reach import Reached, reach

Report = Callable[[dict[str, Any]], None]
"""Takes progress as docs/json.md has it."""


@dataclass(frozen=True)
class Agent:
    """What was found of the running agent."""

    status: Mapping[str, Any] | None = None
    """What `syncer status --json` has; None where no agent runs."""
    trouble: str = ""
    """Why it cannot be asked; "" where it can, or none runs."""
    leftovers: Mapping[str, Any] | None = None
    """What `syncer leftovers --json` has; None where no agent runs."""


def _nothing(_: dict[str, Any]) -> None:
    """Nobody watches."""


@dataclass
class Subject:
    """One node. What costs something is found out once, when it is first asked for."""

    settings: Settings
    domains: tuple[DomainSettings, ...]
    """Those that were asked for; all domains of the settings still count for what is synchronized."""
    agent: Agent = Agent()
    protected: Callable[[Path], list[bytes]] = lambda _: []
    """syncer's own paths below a root."""
    machine: Machine = field(default_factory=Machine)
    packages: Packages = field(default_factory=Packages)
    report: Report = _nothing
    reach: Callable[..., Reached] = reach
    """Connects to a target; see trust/reach.py."""
    trees: dict[str, Tree] = field(default_factory=dict)

    @cached_property
    def stored(self) -> Inspected | StateError:
        """What node.db holds, or why it cannot be used."""
        try:
            return inspect(self.settings.node.state)
        except StateError as error:
            return error

    @property
    def mode(self) -> Mode:
        """What this node is now, as far as node.db can be read."""
        if isinstance(self.stored, Inspected) and self.stored.mode is not None:
            return self.stored.mode
        return self.settings.node.mode

    @property
    def receives(self) -> bool:
        """Tell whether this node is one that others write to."""
        return self.mode is not Mode.PRODUCTION

    @cached_property
    def coverage(self) -> Coverage:
        """Which domain synchronizes which path."""
        return Coverage(self.settings.domains, self.protected, receives=self.receives)

    def tree(self, domain: DomainSettings) -> Tree:
        """Return what is beneath a domain's root; walks it at the first call, and finds nothing where none is."""
        if domain.name not in self.trees:

            def report(paths: int) -> None:
                event = {"target": "", "domain": domain.name, "phase": "scan", "done": paths, "total": 0, "bytes": 0}
                self.report(event)

            self.trees[domain.name] = walk(str(domain.path), self.coverage.scope(domain.name), report)
        return self.trees[domain.name]
