"""Checks [smtp], [variables] and [[triggers]]: each table by itself, then events, conditions and templates."""

from __future__ import annotations

import importlib.util
import keyword
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from syncer.config.alarm_schema import EmailTable, SmtpTable, TriggerTable
from syncer.config.one_table import checked_table
from syncer.config.wording import nearest, said, shown_key
from syncer.events.catalogue import CATALOGUE
from syncer.events.conditions import Condition, ConditionError
from syncer.events.notice import TEMPLATE_VARIABLES
from syncer.events.samples import sample_notice
from syncer.events.states import endings
from syncer.events.templates import Template, TemplateError
from syncer.model import EventValue

_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}", re.ASCII)
_RESERVED = frozenset(keyword.kwlist) | {
    *("null", "true", "false", "none", "const", "function", "let", "loop", "namespace", "package", "var", "void"),
    *("sentence", "rows", "self"),
}
"""Words of CEL and of Jinja, and what the default texts name."""


@dataclass
class CheckedAlarms:
    """The tables that are right by themselves."""

    smtp: SmtpTable | None = None
    variables: dict[str, EventValue] = field(default_factory=dict)
    triggers: list[TriggerTable] = field(default_factory=list)


def check_alarms(document: Mapping[str, object], errors: list[str]) -> CheckedAlarms:
    """Return the tables of `document` about alarms, and add what is wrong with them to `errors`."""
    checked = CheckedAlarms()
    if "smtp" in document:
        checked.smtp = checked_table(SmtpTable, document["smtp"], ("smtp",), "smtp", errors)
        if checked.smtp is not None:
            errors.extend(_smtp_contradictions(checked.smtp))
    tables = document.get("triggers", [])
    _check_variables(document.get("variables", {}), _taken(tables), checked.variables, errors)
    if not isinstance(tables, list):
        cure = "write [[triggers]], with two brackets on each side, above each trigger"
        errors.append(f"triggers: is {said(tables)}: {cure}")
        return checked
    for number, raw in enumerate(tables, 1):
        name = raw.get("name") if isinstance(raw, dict) else None
        where = f"triggers[{name if isinstance(name, str) and name else number}]"
        table = checked_table(TriggerTable, raw, (where,), "triggers", errors)
        if table is not None:
            checked.triggers.append(table)
            errors.extend(_trigger_errors(where, table, checked.variables, has_smtp="smtp" in document))
    errors.extend(_duplicates(checked.triggers))
    return checked


def _taken(tables: object) -> set[str]:
    """Return the names that templates and the events of these triggers have; those of other events are free."""
    found = {*TEMPLATE_VARIABLES, "node"}
    for table in tables if isinstance(tables, list) else ():
        event = table.get("event") if isinstance(table, dict) else None
        if isinstance(event, str) and event in CATALOGUE:
            found |= CATALOGUE[event].variables.keys()
    return found


def _smtp_contradictions(table: SmtpTable) -> Iterator[str]:
    if table.tls and table.starttls and "starttls" in table.model_fields_set:
        yield "smtp.starttls: is true, and so is tls: choose one; starttls begins unencrypted, usually at port 587"
    if bool(table.username) != (table.password_file is not None):
        lacking = "password_file" if table.username else "username"
        yield f"smtp.{lacking}: is missing: username and password_file belong together, or leave out both"
    if table.username and not (table.tls or table.starttls):
        yield "smtp.username: the password would be sent unencrypted: write starttls = true or tls = true"


def _check_variables(raw: object, taken: Collection[str], found: dict[str, EventValue], errors: list[str]) -> None:
    if not isinstance(raw, dict):
        errors.append(f"variables: is {said(raw)}: write it as a table, with a line for each variable")
        return
    for name, value in raw.items():
        key = shown_key("variables", name)
        if _VARIABLE.fullmatch(name) is None or name in _RESERVED:
            errors.append(
                f"{key}: is not a name for a variable: write letters, digits and underscores, beginning with a letter, "
                "and no word of CEL or Jinja"
            )
        elif name in taken:
            errors.append(f"{key}: is the name of a variable that conditions or templates have already: choose another")
        elif not isinstance(value, str | int | float | bool) or (isinstance(value, int) and abs(value) >= 1 << 63):
            errors.append(f"{key}: is {said(value)}: write text in quotes, a number, true or false")
        else:
            found[name] = value


def _trigger_errors(
    where: str, table: TriggerTable, constants: Mapping[str, EventValue], *, has_smtp: bool
) -> Iterator[str]:
    yield from _action_errors(where, table, has_smtp=has_smtp)
    definition = CATALOGUE.get(table.event)
    if definition is None:
        yield f"{where}.event: {said(table.event)} is not an event{nearest(table.event, CATALOGUE)}"
        return
    if not endings(table.event):
        if table.after > 0:
            yield f"{where}.after: the event {table.event} begins no state that could last: remove the line"
        if table.notify_recovery and "notify_recovery" in table.model_fields_set:
            yield f"{where}.notify_recovery: nothing ends what the event {table.event} tells: remove the line"
    types = {name: type(value) for name, value in constants.items()}
    types.update({name: variable.kind for name, variable in definition.variables.items()})
    if table.when:
        try:
            Condition(table.when, types)
        except ConditionError as error:
            yield f"{where}.when: {said(table.when)} {error}"
    if table.email is not None:
        yield from _template_errors(where, table, table.email, constants)


def _template_errors(
    where: str, trigger: TriggerTable, email: EmailTable, constants: Mapping[str, EventValue]
) -> Iterator[str]:
    values = sample_notice(trigger.name, trigger.event, "node", 0.0).values(constants)
    for key, text, html in (("subject", email.subject, False), ("body", email.body, False), ("html", email.html, True)):
        if text is None:
            continue
        try:
            Template(text, html=html).check(values)
        except TemplateError as error:
            yield f"{where}.email.{key}: {error}"


def _action_errors(where: str, table: TriggerTable, *, has_smtp: bool) -> Iterator[str]:
    if table.email is None and not table.exec and table.webhook is None and not table.notify:
        yield f"{where}: does nothing: add email, exec, webhook or notify"
    if table.email is not None and not has_smtp:
        yield f"{where}.email: there is no table [smtp], so no mail can be sent: add one with host and from"
    if table.notify and importlib.util.find_spec("apprise") is None:
        yield f'{where}.notify: needs Apprise, which is not installed: pip install "syncer-failover[notify]"'


def _duplicates(tables: list[TriggerTable]) -> Iterator[str]:
    for name, times in Counter(table.name for table in tables).items():
        if times > 1:
            yield f"triggers[{name}].name: {said(name)} is that of {times} triggers: give each its own"
