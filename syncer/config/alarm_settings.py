"""The settings of triggers and what they do, as the rest of syncer sees them; durations in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from syncer.model import EventValue


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """The table [smtp]."""

    host: str
    port: int
    starttls: bool
    tls: bool
    username: str
    """Empty: without authentication."""
    password_file: Path | None
    """Read when it is used; its content is neither kept nor shown."""
    sender: str
    timeout: float
    ca_file: Path | None
    """Certificates that are trusted in place of the system's."""


@dataclass(frozen=True, slots=True)
class EmailSettings:
    """What a trigger mails; None: the default words."""

    to: tuple[str, ...]
    subject: str | None
    body: str | None
    html: str | None


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """Where a trigger posts to."""

    url: str
    """May hold a secret: shown only as `shown_url` gives it."""
    secret_file: Path | None
    """The key of the signature; None: unsigned."""
    timeout: float
    ca_file: Path | None


@dataclass(frozen=True, slots=True)
class TriggerSettings:
    """One table [[triggers]]."""

    name: str
    event: str
    when: str
    """A condition in CEL; empty: always."""
    throttle: float
    after: float
    notify_recovery: bool
    give_up: float
    """Seconds after which an action is tried no more."""
    email: EmailSettings | None = None
    exec: tuple[str, ...] = ()
    exec_timeout: float = 30.0
    webhook: WebhookSettings | None = None
    notify: tuple[str, ...] = ()
    """Addresses in Apprise's form; they hold secrets."""


@dataclass(frozen=True, slots=True)
class AlarmSettings:
    """Triggers, with what they share."""

    triggers: tuple[TriggerSettings, ...] = ()
    smtp: SmtpSettings | None = None
    variables: tuple[tuple[str, EventValue], ...] = ()
    """The table [variables]."""

    def secret_files(self) -> tuple[Path, ...]:
        """Return the files with secrets that are named here."""
        found = [self.smtp.password_file] if self.smtp is not None else []
        found += [trigger.webhook.secret_file for trigger in self.triggers if trigger.webhook is not None]
        return tuple(dict.fromkeys(path for path in found if path is not None))
