"""The whole way of a mail as the agent builds it, from event to SMTP server, with a clock that tests set."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from syncer.config.alarm_settings import AlarmSettings, EmailSettings, SmtpSettings, TriggerSettings
from syncer.events.alarms import Alarms
from syncer.events.journal import EventJournal
from syncer.events.mail import Mailer
from syncer.events.outbox import Act, Duty
from syncer.node.alarms import rule_of
from syncer.state.outbox import ActionRow, read_outbox
from syncer.state.store import StateStore
from tests.servers import PASSWORD, USER, Certificate

NODE = "prod-a"
TARGET = "dr-a"
RECEIVER = "ops@example.com"
FAILED = f"synchronization failed on {NODE} → {TARGET} (nginx)"
WAIT_SECONDS = 30.0


class Clock:
    """Unix seconds that stand still until a test moves them."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def sync(number: int, *, success: bool = False) -> dict[str, Any]:
    """Return the variables of the failed attempt of this number in a row, or of a success."""
    counts: dict[str, Any] = {"changes": 0, "bytes": 0, "seconds": 0.0}
    counts["consecutive_failures"] = 0 if success else number
    counts["error"] = "" if success else f"{TARGET} did not answer within 10 s"
    counts["error_class"] = "" if success else "unreachable"
    return {"success": success, "kind": "partial", "target": TARGET, "domain": "nginx", **counts}


def smtp_settings(folder: Path, port: int, certificate: Certificate | None, timeout: float = 20.0) -> SmtpSettings:
    """Return settings for a server on this port: with a certificate STARTTLS and AUTH, else neither."""
    if certificate is None:
        return SmtpSettings("localhost", port, False, False, "", None, "syncer@example.com", timeout, None)
    secret = folder / "smtp.secret"
    secret.write_text(f"{PASSWORD}\n")
    secret.chmod(0o600)
    return SmtpSettings("localhost", port, True, False, USER, secret, "syncer@example.com", timeout, certificate.file)


class Pipeline:
    """Journal, triggers and outbox of a node with one trigger that mails; runs until closed."""

    def __init__(
        self,
        folder: Path,
        smtp: SmtpSettings,
        clock: Callable[[], float],
        store: StateStore | None = None,
        **trigger: Any,
    ) -> None:
        """Go on with what the state in `folder` holds; `trigger` are keys of its table."""
        email = EmailSettings((RECEIVER,), None, None, None)
        settings = TriggerSettings("sync failed", "sync", "!success", 900.0, 0.0, True, 86400.0, email)
        settings = dataclasses.replace(settings, **trigger)
        assert settings.email is not None
        self.store = store or StateStore.open(folder, create=True)
        self.journal = EventJournal(self.store, NODE, clock=clock)
        mailer = Mailer(smtp, settings.email, {})
        rule = rule_of(settings, AlarmSettings((settings,), smtp), self.journal.raise_event)
        duties = {settings.name: Duty({"email": Act(mailer.deliver, settings.email.to, RECEIVER)}, settings.give_up)}
        self.alarms = Alarms(self.store, self.journal, [rule], duties, NODE, clock=clock)
        self.alarms.start()

    def happen(self, *variables: dict[str, Any]) -> None:
        """Raise `sync` with these variables, and return once it is durable."""
        for found in variables:
            self.journal.raise_event("sync", found)
        self.journal.flush()

    def rows(self, *, waiting_only: bool = False) -> list[ActionRow]:
        """Return what stands in the outbox."""
        return read_outbox(self.store, waiting_only=waiting_only)

    def advance(self, clock: Clock, seconds: float) -> None:
        """Let time pass, as if nothing had happened meanwhile."""
        clock.now += seconds
        self.alarms.wake()

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the variables of each event of this name."""
        self.journal.flush()
        return [event.variables for event in self.journal.read(names=[name], limit=20_000)]

    def close(self) -> None:
        """End as the agent does."""
        self.alarms.close()
        self.journal.close()
        self.store.close()


@contextlib.contextmanager
def running(folder: Path, smtp: SmtpSettings, clock: Callable[[], float], **trigger: Any) -> Iterator[Pipeline]:
    """Run a pipeline until the end of the block."""
    found = Pipeline(folder, smtp, clock, **trigger)
    try:
        yield found
    finally:
        found.close()


def until(condition: Callable[[], object], what: str) -> None:
    """Wait on what tells nobody of its changes: a database, a mail server on another thread."""
    limit = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < limit, f"waited in vain until {what}"
        threading.Event().wait(0.005)
