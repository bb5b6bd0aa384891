"""Which keys of the configuration differ between two settings, as an operator writes them (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields

from syncer.config.alarm_settings import (
    AlarmSettings,
    EmailSettings,
    SmtpSettings,
    TriggerSettings,
    WebhookSettings,
)
from syncer.config.settings import DomainSettings, FailoverSettings, HookSettings, NodeSettings, Settings

AnySettings = (
    NodeSettings
    | DomainSettings
    | FailoverSettings
    | HookSettings
    | SmtpSettings
    | TriggerSettings
    | EmailSettings
    | WebhookSettings
)
_WRITTEN_AS = {
    "retry_min": "on_failure.retry",
    "retry_max": "on_failure.retry",
    "suspend_after": "on_failure.suspend_after",
    "probe": "on_failure.probe",
    "rules": "substitute",
    "sender": "from",
}
"""Fields whose key is called otherwise."""


def changed_keys(old: Settings, new: Settings) -> tuple[str, ...]:
    """Return what differs, in the order of the file: "node.listen", "domains.nginx.exclude", "failover[dr-a].timeout".

    A table that came or went is named alone, as "domains.nginx".
    """
    before, after = dict(_tables(old)), dict(_tables(new))
    found: dict[str, None] = {}
    for table in dict.fromkeys((*after, *before)):
        if (table in before) != (table in after):
            found[table] = None
            continue
        one, other = before[table], after[table]
        found |= {f"{table}.{key}": None for key in (*other, *one) if one.get(key) != other.get(key)}
    if old.secret_files != new.secret_files:
        found["files with secrets"] = None
    return tuple(found)


def _tables(settings: Settings) -> Iterator[tuple[str, Mapping[str, object]]]:
    yield "node", dict(_keys(settings.node))
    for domain in settings.domains:
        yield f"domains.{domain.name}", dict(_domain_keys(domain))
    for target in settings.failover:
        yield f"failover[{target.name}]", dict(_written(target))
    yield "hooks", dict(_keys(settings.hooks))
    yield from _alarm_tables(settings.alarms)


def _alarm_tables(alarms: AlarmSettings) -> Iterator[tuple[str, Mapping[str, object]]]:
    if alarms.smtp is not None:
        yield "smtp", dict(_written(alarms.smtp))
    if alarms.variables:
        yield "variables", dict(alarms.variables)
    for trigger in alarms.triggers:
        yield f"triggers[{trigger.name}]", dict(_trigger_keys(trigger))


def _trigger_keys(trigger: TriggerSettings) -> Iterator[tuple[str, object]]:
    """Yield the keys of a table [[triggers]]; an action that has keys of its own is named by them."""
    for key, value in _keys(trigger):
        if isinstance(value, EmailSettings | WebhookSettings):
            yield from ((f"{key}.{inner}", found) for inner, found in _keys(value))
        else:
            yield key, value


def _domain_keys(domain: DomainSettings) -> Iterator[tuple[str, object]]:
    """Yield the keys of a table [domains.NAME]; what settings gather is taken apart again."""
    for key, value in _keys(domain):
        if key == "patterns":
            yield "include", domain.patterns.include
            yield "exclude", domain.patterns.exclude
        elif key == "brake":
            yield "max_delete", domain.brake.most
            yield "max_delete_min", domain.brake.minimum
            yield "max_delete_window", domain.brake.window
        elif key == "history":
            yield "history.generations", domain.history.generations
            yield "history.size", domain.history.size
        else:
            yield key, value


def _written(table: AnySettings) -> Iterator[tuple[str, object]]:
    gathered: dict[str, list[object]] = {}
    for key, value in _keys(table):
        gathered.setdefault(_WRITTEN_AS.get(key, key), []).append(value)
    yield from gathered.items()


def _keys(table: AnySettings) -> Iterator[tuple[str, object]]:
    return ((field.name, getattr(table, field.name)) for field in fields(table))
