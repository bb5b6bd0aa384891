"""What freezing asks of the node it works on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Protocol

from syncer.model import Head
from syncer.procedures.unsent import Changed


class FrozenNode(Protocol):
    """A node as far as its freezes concern it; what is not awaited may block."""

    def is_production(self) -> bool:
        """Tell whether it is production now."""

    def freeze_max(self) -> float:
        """Return how many seconds a freeze may last."""

    def roots(self) -> Mapping[str, Path]:
        """Return the root of each configured domain."""

    def own_paths(self) -> Collection[Path]:
        """Return what syncer itself writes to."""

    def has(self, domain: str, action: str) -> bool:
        """Tell whether a domain has a command, by its key in the configuration."""

    def shown(self, domain: str, action: str) -> str:
        """Return that command as a person would type it, without secrets."""

    async def are_running(self, domain: str) -> bool:
        """Tell whether the domain's services run, as far as this node knows. Raises ApplyError where it stops."""

    async def run(self, domain: str, action: str, by: str) -> str:
        """Run a command to its end; returns how it failed, "" where it did not. Raises ApplyError as above."""

    async def start_again(self, domain: str, by: str) -> str:
        """Start the services unless they run; returns how that failed. Raises ApplyError as above."""

    async def flush(self, domain: str) -> None:
        """Return once what has happened is in the index; at once where nothing is captured now.

        Raises UnavailableRootError where the root cannot be read.
        """

    def head(self, domain: str) -> Head:
        """Return where the index of a domain stands."""

    def changed(self, domain: str, head: Head, most: int) -> Changed:
        """Return what has changed behind `head`. Raises IndexStoreError where that is not known."""

    def changed_paths(self, domain: str, head: Head) -> list[bytes]:
        """Return all of it; raises likewise."""
