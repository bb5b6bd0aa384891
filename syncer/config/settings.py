"""The settings as the rest of syncer sees them: frozen, complete, checked; durations in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from syncer.config.alarm_settings import AlarmSettings
from syncer.model import Mode, Patterns
from syncer.substitution.rules import EMPTY, RuleSet


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
    """Seconds of silence of production after which status says so."""
    behind_after: float
    """Seconds of lag that count as behind."""
    freeze_max: float = 3600.0
    """Seconds that a freeze may last."""
    http: str = ""
    """host:port of health and metrics; port 0 means any, "" none."""
    stop_services_when_fenced: bool = False
    """Whether a node that is fenced runs the `stop` commands of its domains."""


@dataclass(frozen=True, slots=True)
class BrakeSettings:
    """Which deletions wait for a person: more than `most` of them, and at least `minimum`, within `window`."""

    most: int | float = 0.30
    """A whole number counts paths; a float is a part of all paths, 0 to 1."""
    minimum: int = 20
    window: float = 600.0
    """Seconds over which deletions are added up."""


@dataclass(frozen=True, slots=True)
class HistorySettings:
    """How much of what was displaced is kept."""

    generations: int = 20
    size: int = 1 << 30
    """Bytes of contents."""


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
    keep_local: tuple[str, ...] = ()
    """On the receiver: patterns (gitignore syntax) of files that win over what arrives."""
    brake: BrakeSettings = BrakeSettings()
    drift: str = "report"
    """report | restore | ignore."""
    verify: float = 7 * 86400.0
    """Seconds between two verifications in the background; 0: none."""
    verify_rate: int = 20 << 20
    """Bytes a second that it reads at most."""
    check: tuple[str, ...] = ()
    """A command with its arguments, run without a shell; (): none."""
    reload: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    """Ends with 0 where the service runs, with 3 where it is stopped, with anything else where it is neither."""
    freeze: tuple[str, ...] = ()
    """On production: has the services change nothing any more."""
    command_timeout: float = 30.0
    """Seconds after which a command is ended."""
    owners: Mapping[str, str] = field(default_factory=dict)
    """User and group names of production that are called otherwise on this node."""
    history: HistorySettings = HistorySettings()


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
    start_services: bool = False
    """Whether the domains' services are meant to run on this target while it is failover."""
    rules: RuleSet = EMPTY
    """What becomes what in the files that it receives."""
    suspend_after: int = 5
    """Failures in a row, of kinds that retrying worsens, that suspend a domain for it; 0: none do."""
    probe: bool = True
    """Whether it is tried again every `retry_max` seconds while failures suspend it."""
    further: tuple[str, ...] = ()
    """Other addresses at which it may be, as `address`."""
    is_derived: bool = False
    """It stands in no table: it is a node that what stands here came from, or that was introduced."""
    refusals: tuple[tuple[str, str], ...] = ()
    """Domains that cannot be sent to it although it is known, each with the reason and the cure."""


@dataclass(frozen=True, slots=True)
class HookSettings:
    """The table [hooks]: commands around a procedure; (): none."""

    before_promote: tuple[str, ...] = ()
    after_promote: tuple[str, ...] = ()
    before_demote: tuple[str, ...] = ()
    after_demote: tuple[str, ...] = ()
    before_failback: tuple[str, ...] = ()
    after_failback: tuple[str, ...] = ()
    timeout: float = 60.0
    """Seconds after which one of them is ended."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration of a node."""

    node: NodeSettings
    domains: tuple[DomainSettings, ...]
    failover: tuple[FailoverSettings, ...]
    source: Path
    """The file, absolute."""
    alarms: AlarmSettings = field(default_factory=AlarmSettings)
    """What is done when something happens."""
    hooks: HookSettings = HookSettings()
    secret_files: tuple[Path, ...] = ()
    """Files with secrets that the configuration names; never captured, never accepted."""
