"""A node whose agent and commands run on one of the machines that network namespaces make."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.harness import Node
from tests.packages.machines import Machine


class MachineNode(Node):
    """A node at `host`, an address of its machine."""

    forks = False

    def __init__(self, folder: Path, name: str, mode: str, port: int, machine: Machine, host: str) -> None:
        super().__init__(folder, name, mode, port)
        self._machine, self._host = machine, host

    @property
    def address(self) -> str:
        return f"{self._host}:{self.port}"

    def _line(self, *arguments: str) -> list[str]:
        return self._machine.line(*super()._line(*arguments))
