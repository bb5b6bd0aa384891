"""Finds what is right by itself but does not fit together: overlaps, duplicates, names of nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from syncer.config.schema import DomainTable, FailoverTable, NodeTable
from syncer.config.substitution import rule_errors
from syncer.config.wording import nearest, said, shown_key


def contradictions(
    document: Mapping[str, object],
    node: NodeTable | None,
    domains: Mapping[str, DomainTable],
    failover: Sequence[FailoverTable],
) -> Iterator[str]:
    """Yield one sentence for each contradiction; the tables are those that are right by themselves."""
    roots = _roots(document)
    yield from _overlaps(roots)
    if node is not None:
        yield from _inside_state(roots, node.state)
    for name, table in domains.items():
        yield from _domain_contradictions(name, table)
    yield from _duplicates(document)
    named = document.get("domains")
    names = list(named) if isinstance(named, dict) else []
    for target in failover:
        yield from _unknown_domains(target, names)
    yield from rule_errors(document, names)


def _roots(document: Mapping[str, object]) -> dict[str, str]:
    """Return the resolved root of each domain; raw values, so that another error hides no overlap."""
    tables = document.get("domains")
    roots = {}
    for name, table in tables.items() if isinstance(tables, dict) else ():
        path = table.get("path") if isinstance(table, dict) else None
        if isinstance(path, str) and path.startswith("/") and "\0" not in path and path.strip("/"):
            roots[name] = os.path.realpath(path)
    return roots


def _is_within(path: str, ancestor: str) -> bool:
    return os.path.commonpath((path, ancestor)) == ancestor


def _overlaps(roots: Mapping[str, str]) -> Iterator[str]:
    for (first, path), (second, other) in combinations(roots.items(), 2):
        if not _is_within(path, other) and not _is_within(other, path):
            continue
        relation = "the same directory as" if path == other else "inside" if _is_within(other, path) else "above"
        yield (
            f"{shown_key('domains', second, 'path')}: {said(other)} is {relation} that of domain {first} "
            f"({said(path)}): let no two domains overlap, or make them one"
        )


def _inside_state(roots: Mapping[str, str], state: str) -> Iterator[str]:
    resolved = os.path.realpath(state)
    for name, path in roots.items():
        if _is_within(path, resolved):
            yield (
                f"{shown_key('domains', name, 'path')}: {said(path)} lies in syncer's own state directory "
                f"({said(state)}), which is never synchronized: move one of both"
            )


def _domain_contradictions(name: str, table: DomainTable) -> Iterator[str]:
    if not table.include:
        yield (
            f"{shown_key('domains', name, 'include')}: is empty, so nothing would be synchronized: "
            'write ["**"] for everything, or remove the line'
        )
    if table.settle > table.settle_max:
        yield (
            f"{shown_key('domains', name, 'settle')}: is longer than settle_max ({table.settle_max:g}s): "
            "shorten settle, or write a longer settle_max"
        )


def _duplicates(document: Mapping[str, object]) -> Iterator[str]:
    tables = document.get("failover")
    for key, cure in (("name", "give each its own"), ("address", "write each server once")):
        seen: dict[str, int] = {}
        for number, table in enumerate(tables if isinstance(tables, list) else (), 1):
            value = table.get(key) if isinstance(table, dict) else None
            if not isinstance(value, str):
                continue
            first = seen.setdefault(value.lower(), number)
            if first != number:
                yield f"failover[{number}].{key}: {said(value)} is that of failover[{first}] too: {cure}"


def _unknown_domains(target: FailoverTable, names: Sequence[str]) -> Iterator[str]:
    for position, name in enumerate(target.domains):
        where = shown_key(f"failover[{target.name}]", "domains", position)
        if name not in names:
            known = nearest(name, names) if names else ": add its table, or remove it here"
            yield f"{where}: {said(name)} is not a configured domain{known}"
        elif name in target.domains[:position]:
            yield f"{where}: {said(name)} is named twice: remove one"
