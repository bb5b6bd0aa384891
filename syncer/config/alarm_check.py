"""Checks [smtp], [variables] and [[triggers]]: each table by itself, then events, conditions and templates."""

from __future__ import annotations

import importlib.util
import keyword
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from syncer.config.alarm_schema import SmtpTable, TriggerTable
from syncer.config.one_table import table_so_far
from syncer.config.tables import keys_of
from syncer.config.wording import nearest, said, shown_key
from syncer.events.catalogue import CATALOGUE
from syncer.events.conditions import Condition, ConditionError, syntax_error, wrong_patterns
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
_SAID_OTHERWISE = frozenset({"config", "debug", "hold", "id"})
"""Names that mean something else to a command, as SYNCER_CONFIG does."""
_ACTIONS = ("email", "exec", "webhook", "notify")


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
        smtp, wrong = table_so_far(SmtpTable, document["smtp"], ("smtp",), "smtp", errors)
        if smtp is not None:
            checked.smtp = smtp
            errors.extend(_smtp_contradictions(smtp, wrong))
    tables = document.get("triggers", [])
    _check_variables(document.get("variables", {}), _taken(tables), checked.variables, errors)
    if not isinstance(tables, list):
        cure = "write [[triggers]], with two brackets on each side, above each trigger"
        errors.append(f"triggers: is {said(tables)}: {cure}")
        return checked
    names = []
    for number, raw in enumerate(tables, 1):
        name = raw.get("name") if isinstance(raw, dict) else None
        where = f"triggers[{name if isinstance(name, str) and name else number}]"
        table, wrong = table_so_far(TriggerTable, raw, (where,), "triggers", errors)
        if table is not None:
            checked.triggers.append(table)
            names += [table.name] if "name" not in wrong else []
            found = _Trigger(where, table, wrong, checked.variables)
            errors.extend(_trigger_errors(found, has_smtp="smtp" in document))
    errors.extend(_duplicates(names))
    return checked


class _Trigger(NamedTuple):
    """A trigger to be checked: where it stands, what is right of it, the keys that are not, and [variables]."""

    where: str
    table: TriggerTable
    wrong: frozenset[str]
    constants: Mapping[str, EventValue]


def _taken(tables: object) -> set[str]:
    """Return the names that templates and the events of these triggers have; those of other events are free."""
    found = {*TEMPLATE_VARIABLES, "node"}
    for table in tables if isinstance(tables, list) else ():
        event = table.get("event") if isinstance(table, dict) else None
        if isinstance(event, str) and event in CATALOGUE:
            found |= CATALOGUE[event].variables.keys()
    return found


def _smtp_contradictions(table: SmtpTable, wrong: Collection[str]) -> Iterator[str]:
    if table.tls and table.starttls and "starttls" in table.model_fields_set:
        yield "smtp.starttls: is true, and so is tls: choose one; starttls begins unencrypted, usually at port 587"
    if bool(table.username) != (table.password_file is not None) and not {"username", "password_file"} & set(wrong):
        lacking = "password_file" if table.username else "username"
        yield f"smtp.{lacking}: is missing: username and password_file belong together, or leave out both"
    if not table.username.isascii():
        yield "smtp.username: has letters beyond ASCII, which SMTP's login cannot carry here: use another user"
    if table.username and not (table.tls or table.starttls) and not {"tls", "starttls"} & set(wrong):
        yield "smtp.username: the password would be sent unencrypted: write starttls = true or tls = true"


def _check_variables(raw: object, taken: Collection[str], found: dict[str, EventValue], errors: list[str]) -> None:
    if not isinstance(raw, dict):
        errors.append(f"variables: is {said(raw)}: write it as a table, with a line for each variable")
        return
    spelled: dict[str, str] = {}
    for name, value in raw.items():
        key = shown_key("variables", name)
        # A command finds them in capitals, where these would be one.
        first = spelled.setdefault(name.lower(), name)
        if _VARIABLE.fullmatch(name) is None or name in _RESERVED:
            errors.append(
                f"{key}: is not a name for a variable: write letters, digits and underscores, beginning with a letter, "
                "and no word of CEL or Jinja"
            )
        elif name.lower() in _SAID_OTHERWISE:
            errors.append(
                f"{key}: is a name that a command would misunderstand, as SYNCER_{name.upper()}: choose another"
            )
        elif first != name:
            errors.append(f"{key}: differs from {first} by capitals only, which commands cannot tell: choose another")
        elif name.lower() in taken:
            errors.append(f"{key}: is the name of a variable that conditions or templates have already: choose another")
        elif not isinstance(value, str | int | float | bool) or (isinstance(value, int) and abs(value) >= 1 << 63):
            errors.append(f"{key}: is {said(value)}: write text in quotes, a number, true or false")
        else:
            found[name] = value


def _trigger_errors(trigger: _Trigger, *, has_smtp: bool) -> Iterator[str]:
    where, table, wrong, constants = trigger
    yield from _action_errors(trigger, has_smtp=has_smtp)
    if "event" in wrong:
        yield from _whatever_the_event(where, table)
        return
    definition = CATALOGUE.get(table.event)
    if definition is None:
        yield f"{where}.event: {said(table.event)} is not an event{nearest(table.event, CATALOGUE)}"
        yield from _whatever_the_event(where, table)
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
        else:
            for reason in wrong_patterns(table.when):
                yield f"{where}.when: {said(table.when)} matches with what is no pattern ({reason}): correct it"
    values = sample_notice(table.name, table.event, "node", 0.0).values(constants)
    for key, text, html in _templates(table):
        try:
            Template(text, html=html).check(values)
        except TemplateError as error:
            yield f"{where}.email.{key}: {error}"


def _whatever_the_event(where: str, table: TriggerTable) -> Iterator[str]:
    """Yield what is wrong with condition and templates on any event."""
    trouble = syntax_error(table.when) if table.when else ""
    if trouble:
        yield f"{where}.when: {said(table.when)} {trouble}"
    for key, text, html in _templates(table):
        try:
            Template(text, html=html)
        except TemplateError as error:
            yield f"{where}.email.{key}: {error}"


def _templates(table: TriggerTable) -> Iterator[tuple[str, str, bool]]:
    """Yield key, text and whether it is HTML, of each template."""
    if table.email is not None:
        found = (("subject", table.email.subject), ("body", table.email.body), ("html", table.email.html))
        yield from ((key, text, key == "html") for key, text in found if text is not None)


def _action_errors(trigger: _Trigger, *, has_smtp: bool) -> Iterator[str]:
    where, table, wrong, _ = trigger
    may_act = any(key in _ACTIONS or key not in keys_of(TriggerTable) for key in wrong)
    if table.email is None and not table.exec and table.webhook is None and not table.notify and not may_act:
        yield f"{where}: does nothing: add email, exec, webhook or notify"
    if table.email is not None and not has_smtp:
        yield f"{where}.email: there is no table [smtp], so no mail can be sent: add one with host and from"
    if table.exec and "/" in table.exec[0] and not table.exec[0].startswith("/"):
        yield f"{where}.exec: {said(table.exec[0])} is a relative path: write it from the root, beginning with /"
    if table.notify and importlib.util.find_spec("apprise") is None:
        yield f'{where}.notify: needs Apprise, which is not installed: pip install "syncer-failover[notify]"'


def _duplicates(names: list[str]) -> Iterator[str]:
    for name, times in Counter(names).items():
        if times > 1:
            yield f"triggers[{name}].name: {said(name)} is that of {times} triggers: give each its own"
