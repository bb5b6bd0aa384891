"""What a new configuration changes in a running node, and what stays as it is: a pure decision."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import replace
from typing import Generic, NamedTuple, TypeVar

from syncer.config.changes import changed_keys
from syncer.config.settings import (
    BrakeSettings,
    DomainSettings,
    FailoverSettings,
    HistorySettings,
    NodeSettings,
    Settings,
)

Key = TypeVar("Key", bound=Hashable)

NEEDS_RESTART = ("name", "mode", "state", "listen", "http")
"""Keys of [node] on which the whole process rests."""


class Turnover(NamedTuple, Generic[Key]):
    """Which parts of one kind end, and which begin; one that begins anew is in both."""

    ended: frozenset[Key]
    begun: frozenset[Key]

    @property
    def is_empty(self) -> bool:
        """Tell whether all of them stay as they are."""
        return not self.ended and not self.begun


class Plan(NamedTuple):
    """What is to be done for a new configuration; parts that are not named go on undisturbed."""

    settings: Settings
    """What is in force afterwards: the new settings, less those that wait for a restart."""
    changed: tuple[str, ...]
    """Keys that take effect now."""
    waiting: tuple[str, ...]
    """Keys that need a restart of the agent."""
    captures: Turnover[str]
    """Domains, on production."""
    retimed: frozenset[str]
    """Domains whose capture goes on with other times."""
    streams: Turnover[tuple[str, str]]
    """Target and domain, on production."""
    resynchronized: tuple[tuple[str, str], ...]
    """Target and domain whose rules or patterns changed: their stream begins with a full synchronization."""
    destinations: Turnover[str]
    """Domains, on failover."""
    monitors: Turnover[str]
    """Domains that are watched for local edits, on failover."""


def plan(old: Settings, new: Settings, homeward: Collection[tuple[str, str]] = ()) -> Plan:
    """Decide what of a node that runs under `old` is to be done for `new`.

    `homeward` are streams, by target and domain, to where what stands here came from.
    """
    waiting = tuple(f"node.{key}" for key in NEEDS_RESTART if getattr(old.node, key) != getattr(new.node, key))
    settings = replace(new, node=_kept(old.node, new.node), source=old.source)
    captures = _turnover(_captures(old), _captures(settings))
    paces, paces_before = _paces(settings), _paces(old)
    retimed = {name for name, pace in paces.items() if name not in captures.begun and paces_before.get(name) != pace}
    return Plan(
        settings,
        tuple(key for key in changed_keys(old, new) if key not in waiting),
        waiting,
        captures,
        frozenset(retimed),
        _turnover(_streams(old, homeward), _streams(settings, homeward)),
        _resynchronized(old, settings),
        _turnover(_destinations(old), _destinations(settings)),
        _turnover(_monitors(old), _monitors(settings)),
    )


def _kept(old: NodeSettings, new: NodeSettings) -> NodeSettings:
    return replace(new, name=old.name, mode=old.mode, state=old.state, listen=old.listen, http=old.http)


def _turnover(before: Mapping[Key, object], after: Mapping[Key, object]) -> Turnover[Key]:
    """Compare what the parts are made of."""
    ended = {key for key, made_of in before.items() if key not in after or after[key] != made_of}
    begun = {key for key, made_of in after.items() if key not in before or before[key] != made_of}
    return Turnover(frozenset(ended), frozenset(begun))


def _of_streams(domain: DomainSettings) -> DomainSettings:
    """Return a domain less what has no meaning for sending it.

    All but what is named: a key that is new here disturbs once too often rather than have no effect.
    """
    return replace(
        domain,
        settle=0.0,
        settle_max=0.0,
        keep_local=(),
        drift="",
        verify=0.0,
        verify_rate=0,
        check=(),
        reload=(),
        start=(),
        stop=(),
        status=(),
        freeze=(),
        command_timeout=0.0,
        owners={},
        history=HistorySettings(),
    )


def _of_destination(domain: DomainSettings) -> DomainSettings:
    """Return a domain less what has no meaning for applying it."""
    return replace(domain, settle=0.0, settle_max=0.0, drift="", verify=0.0)


def _captures(settings: Settings) -> dict[str, object]:
    # A stream brakes, a capture does not.
    return {
        domain.name: (replace(_of_streams(domain), brake=BrakeSettings()), settings.secret_files)
        for domain in settings.domains
    }


def _paces(settings: Settings) -> dict[str, object]:
    return {domain.name: (domain.settle, domain.settle_max, settings.node.rescan) for domain in settings.domains}


def _streams(settings: Settings, homeward: Collection[tuple[str, str]]) -> dict[tuple[str, str], object]:
    domains = {domain.name: _of_streams(domain) for domain in settings.domains}
    # What must differ here does not go home, and whose it is goes by the names there.
    own = {domain.name: (domain.keep_local, domain.owners) for domain in settings.domains}
    return {
        (target.name, name): (
            _alone(target, name),
            domains[name],
            settings.secret_files,
            own[name] if (target.name, name) in homeward else (),
        )
        for target in settings.failover
        for name in target.domains
    }


def _resynchronized(old: Settings, new: Settings) -> tuple[tuple[str, str], ...]:
    before, after = _selections(old), _selections(new)
    return tuple(key for key, chosen in after.items() if key in before and before[key] != chosen)


def _selections(settings: Settings) -> dict[tuple[str, str], object]:
    """Return by what each stream chooses and renders files: a target keeps the hash of it beside its cursor."""
    patterns = {domain.name: domain.patterns for domain in settings.domains}
    return {
        (target.name, name): (patterns[name], target.rules.for_domain(name).hash)
        for target in settings.failover
        for name in target.domains
    }


def _alone(target: FailoverSettings, domain: str) -> FailoverSettings:
    """Return what matters to one stream: neither the target's other domains nor the rules for them."""
    return replace(target, domains=(), rules=target.rules.for_domain(domain))


def _destinations(settings: Settings) -> dict[str, object]:
    return {domain.name: (_of_destination(domain), settings.secret_files) for domain in settings.domains}


def _monitors(settings: Settings) -> dict[str, object]:
    return {
        domain.name: (_of_destination(domain), domain.drift, settings.node.rescan, settings.secret_files)
        for domain in settings.domains
    }
