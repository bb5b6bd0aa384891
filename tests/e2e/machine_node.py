"""A node whose agent and commands run on one of the machines that network namespaces make."""

from __future__ import annotations

from pathlib import Path

from syncer.demo.node import environment
from tests.e2e.forking import ForkServer
from tests.e2e.harness import Node
from tests.packages.machines import Machine


class MachineNode(Node):
    """A node at `host`, an address of its machine."""

    def __init__(self, folder: Path, name: str, mode: str, port: int, machine: Machine, host: str) -> None:
        super().__init__(folder, name, mode, port)
        self._machine, self._host = machine, host
        self._server: ForkServer | None = None

    @property
    def address(self) -> str:
        return f"{self._host}:{self.port}"

    def server(self) -> ForkServer:
        """Return the one that runs on its machine; it ends with the node."""
        if self._server is None:
            self._server = ForkServer(environment(), self._machine.line())
        return self._server

    def end(self) -> None:
        """End the agent in any state, and what it was forked from."""
        super().end()
        if self._server is not None:
            self._server.close()
            self._server = None
