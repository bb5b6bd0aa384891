"""Checks a parsed syncer.toml table by table, so that one error hides no other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from syncer.config.agreement import contradictions
from syncer.config.alarm_check import CheckedAlarms, check_alarms
from syncer.config.one_table import checked_table
from syncer.config.schema import DOMAIN_NAME, DomainTable, FailoverTable, HooksTable, NodeTable
from syncer.config.tables import OPEN_TABLES, TABLES
from syncer.config.wording import nearest, said, shown_key, target_key


@dataclass
class Checked:
    """The tables that are right by themselves, and every error of the document, in its order."""

    node: NodeTable | None = None
    domains: dict[str, DomainTable] = field(default_factory=dict)
    failover: list[FailoverTable] = field(default_factory=list)
    hooks: HooksTable = field(default_factory=HooksTable)
    alarms: CheckedAlarms = field(default_factory=CheckedAlarms)
    errors: list[str] = field(default_factory=list)


def check(document: Mapping[str, object]) -> Checked:
    """Return the tables of `document`, and its errors as "key: what is wrong: the cure"."""
    checked = Checked()
    top_level = sorted({name.partition(".")[0] for name in TABLES} | set(OPEN_TABLES))
    for key in document:
        if key not in top_level:
            checked.errors.append(f"{shown_key(key)}: is an unknown table{nearest(key, top_level)}")
    _check_node(document, checked)
    _check_domains(document.get("domains", {}), checked)
    _check_failover(document.get("failover", []), checked)
    if "hooks" in document:
        hooks = checked_table(HooksTable, document["hooks"], ("hooks",), "hooks", checked.errors)
        checked.hooks = hooks or checked.hooks
    checked.alarms = check_alarms(document, checked.errors)
    checked.errors.extend(contradictions(document, checked.node, checked.domains, checked.failover))
    return checked


def _check_node(document: Mapping[str, object], checked: Checked) -> None:
    if "node" not in document:
        checked.errors.append('node: is missing: add a table [node] with name = "prod-a" and mode = "production"')
        return
    checked.node = checked_table(NodeTable, document["node"], ("node",), "node", checked.errors)


def _check_domains(tables: object, checked: Checked) -> None:
    if not isinstance(tables, dict):
        checked.errors.append(f"domains: is {said(tables)}: write a table for each domain, as [domains.nginx]")
        return
    for name, raw in tables.items():
        where = ("domains", name)
        if DOMAIN_NAME.fullmatch(name) is None:
            checked.errors.append(
                f"{shown_key(*where)}: is not a name for a domain: write 1 to 63 lower-case letters, digits, "
                "hyphens and underscores, beginning with a letter or digit"
            )
        table = checked_table(DomainTable, raw, where, "domains", checked.errors)
        if table is not None:
            checked.domains[name] = table


def _check_failover(tables: object, checked: Checked) -> None:
    if not isinstance(tables, list):
        cure = "write [[failover]], with two brackets on each side, above each failover server"
        checked.errors.append(f"failover: is {said(tables)}: {cure}")
        return
    for number, raw in enumerate(tables, 1):
        table = checked_table(FailoverTable, raw, (target_key(number, raw),), "failover", checked.errors)
        if table is not None:
            checked.failover.append(table)
