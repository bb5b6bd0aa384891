"""The settings as the rest of syncer sees them: frozen, complete, checked; durations in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from syncer.model import Mode, Patterns


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """The table [node]."""

    name: str
    mode: Mode
    """What the node starts as; PRODUCTION or FAILOVER. What it is now is in node.db."""
    state: Path
    listen: str
    """host:port of the sync service; port 0 means any."""
    rescan: float
    """Seconds between full scans."""
    peer_timeout: float
    """Seconds of silence of production that raise peer.silent."""
    behind_after: float
    """Seconds of lag that count as behind."""


@dataclass(frozen=True, slots=True)
class DomainSettings:
    """One table [domains.NAME]."""

    name: str
    path: Path
    """The root on this node, as configured: absolute, not resolved; it may be missing (unmounted)."""
    patterns: Patterns
    settle: float
    """Seconds of quiet that close a group of changes; 0 sends at once."""
    settle_max: float
    """Seconds after which a group closes at the latest."""


@dataclass(frozen=True, slots=True)
class FailoverSettings:
    """One table [[failover]]."""

    name: str
    address: str
    """host:port, an IPv6 address in brackets."""
    automatic: bool
    timeout: float
    """Seconds of silence after which the connection counts as dead."""
    domains: tuple[str, ...]
    """Names of the domains it receives; all of them where the file names none."""
    retry_min: float
    """Seconds before the first new attempt after a failure."""
    retry_max: float
    """Seconds between attempts at most."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration of a node."""

    node: NodeSettings
    domains: tuple[DomainSettings, ...]
    failover: tuple[FailoverSettings, ...]
    source: Path
    """The file, absolute."""
    secret_files: tuple[Path, ...] = ()
    """Files with secrets that the configuration names; never captured, never accepted."""
