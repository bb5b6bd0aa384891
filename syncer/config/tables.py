"""All tables of syncer.toml by the keys that lead to them."""

from __future__ import annotations

from pydantic.fields import FieldInfo

from syncer.config.alarm_schema import EmailTable, SmtpTable, TriggerTable, WebhookTable
from syncer.config.schema import TABLES as REPLICATION_TABLES
from syncer.config.schema import Table

ALARM_TABLES: dict[str, type[Table]] = {
    "smtp": SmtpTable,
    "triggers": TriggerTable,
    "triggers.email": EmailTable,
    "triggers.webhook": WebhookTable,
}
TABLES: dict[str, type[Table]] = {**REPLICATION_TABLES, **ALARM_TABLES}
"""Without the names that the operator chooses."""
OPEN_TABLES = ("variables",)
"""Tables whose keys are the operator's own."""


def keys_of(table: type[Table]) -> dict[str, FieldInfo]:
    """Return the keys of a table as they are written, each with what is known of it."""
    return {found.alias or name: found for name, found in table.model_fields.items()}


def known_keys() -> list[str]:
    """Return every key as "table.key", sorted; for suggestions and for the test of the documentation."""
    keys = {f"{table}.{key}" for table, model in TABLES.items() for key in keys_of(model)}
    return sorted(keys - TABLES.keys())
