"""Makes settings of the checked tables about alarms."""

from __future__ import annotations

from pathlib import Path

from syncer.config.alarm_check import CheckedAlarms
from syncer.config.alarm_schema import SmtpTable, TriggerTable
from syncer.config.alarm_settings import AlarmSettings, EmailSettings, SmtpSettings, TriggerSettings, WebhookSettings

TLS_PORT = 465


def alarm_settings(checked: CheckedAlarms) -> AlarmSettings:
    """Return the settings of tables without errors."""
    return AlarmSettings(
        triggers=tuple(_trigger(table) for table in checked.triggers),
        smtp=_smtp(checked.smtp) if checked.smtp is not None else None,
        variables=tuple(checked.variables.items()),
    )


def _smtp(table: SmtpTable) -> SmtpSettings:
    return SmtpSettings(
        host=table.host,
        port=TLS_PORT if table.tls and "port" not in table.model_fields_set else table.port,
        starttls=table.starttls and not table.tls,
        tls=table.tls,
        username=table.username,
        password_file=_path(table.password_file),
        sender=table.sender,
        timeout=table.timeout,
        ca_file=_path(table.ca_file),
    )


def _trigger(table: TriggerTable) -> TriggerSettings:
    email, webhook = table.email, table.webhook
    return TriggerSettings(
        name=table.name,
        event=table.event,
        when=table.when,
        throttle=table.throttle,
        after=table.after,
        notify_recovery=table.notify_recovery,
        give_up=table.give_up,
        email=None
        if email is None
        else EmailSettings(tuple(dict.fromkeys(email.to)), email.subject, email.body, email.html),
        exec=table.exec,
        exec_timeout=table.exec_timeout,
        webhook=None
        if webhook is None
        else WebhookSettings(webhook.url, _path(webhook.secret_file), webhook.timeout, _path(webhook.ca_file)),
        notify=tuple(table.notify),
    )


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
