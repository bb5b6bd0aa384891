"""Which keys of the configuration differ between two settings, as an operator writes them (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields

from syncer.config.settings import DomainSettings, FailoverSettings, NodeSettings, Settings

_WRITTEN_AS = {"retry_min": "on_failure.retry", "retry_max": "on_failure.retry", "rules": "substitute"}
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
        found |= {f"{table}.{key}": None for key in other if one.get(key) != other[key]}
    if old.secret_files != new.secret_files:
        found["files with secrets"] = None
    return tuple(found)


def _tables(settings: Settings) -> Iterator[tuple[str, Mapping[str, object]]]:
    yield "node", dict(_keys(settings.node))
    for domain in settings.domains:
        yield f"domains.{domain.name}", dict(_domain_keys(domain))
    for target in settings.failover:
        yield f"failover[{target.name}]", dict(_target_keys(target))


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


def _target_keys(target: FailoverSettings) -> Iterator[tuple[str, object]]:
    gathered: dict[str, list[object]] = {}
    for key, value in _keys(target):
        gathered.setdefault(_WRITTEN_AS.get(key, key), []).append(value)
    yield from gathered.items()


def _keys(table: NodeSettings | DomainSettings | FailoverSettings) -> Iterator[tuple[str, object]]:
    return ((field.name, getattr(table, field.name)) for field in fields(table))
