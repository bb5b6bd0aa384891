"""What is allowed in [smtp] and [[triggers]], but cannot work now, or not for every event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from syncer.config.alarm_settings import EmailSettings, TriggerSettings
from syncer.config.programs import is_there
from syncer.config.secret import SecretError, read_secret
from syncer.config.settings import Settings
from syncer.events.catalogue import CATALOGUE
from syncer.events.conditions import Condition, EvaluationError
from syncer.events.samples import sample_notice, sample_variables, zero_notice, zero_variables
from syncer.events.templates import Template, TemplateError
from syncer.model import EventValue


def alarm_warnings(settings: Settings) -> Iterator[str]:
    """Yield one sentence for each; no errors, since replication must not stop because nobody can be told of it."""
    alarms, file = settings.alarms, settings.source
    mode = file.stat().st_mode if file.exists() else 0
    if mode & 0o077 and any(trigger.notify or trigger.webhook for trigger in alarms.triggers):
        yield (
            f"{file}: can be read by other users, and the addresses of notify and webhook may be secrets: "
            f"run `chmod 600 {file}`"
        )
    for path in settings.secret_files:
        try:
            secret = read_secret(path)
        except SecretError as error:
            yield f"{file}: {error}; what needs it fails until then"
            continue
        if alarms.smtp is not None and path == alarms.smtp.password_file and not secret.isascii():
            yield (
                f"{file}: {path} has letters beyond ASCII, which SMTP's login cannot carry here: choose another "
                "password; no mail is sent until then"
            )
    if alarms.smtp is not None:
        yield from _certificates(f"{file}: smtp.ca_file", alarms.smtp.ca_file)
    constants = dict(alarms.variables)
    for trigger in alarms.triggers:
        where = f"{file}: triggers[{trigger.name}]"
        if trigger.exec and not is_there(trigger.exec[0]):
            yield (
                f"{where}.exec: {trigger.exec[0]} is not there, or cannot be run: install the program, or correct the "
                "command; it fails until then"
            )
        if trigger.webhook is not None:
            yield from _certificates(f"{where}.webhook.ca_file", trigger.webhook.ca_file)
        yield from _condition(where, trigger, constants)
        if trigger.email is not None:
            yield from _templates(where, trigger, trigger.email, constants)


def _certificates(where: str, path: Path | None) -> Iterator[str]:
    if path is None:
        return
    # Late: it takes longer to import than all the rest.
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(str(path))
    except ssl.SSLError:
        yield f"{where}: {path} holds no certificates: write them there in PEM; nothing is trusted until then"
    except OSError as error:
        yield f"{where}: {path} cannot be read ({error.strerror}): put it there; nothing is trusted until then"


def _condition(where: str, trigger: TriggerSettings, constants: Mapping[str, EventValue]) -> Iterator[str]:
    """Try the condition with made-up events: what has no answer for them may have none for real ones."""
    if not trigger.when:
        return
    types = {name: type(value) for name, value in constants.items()}
    types.update({name: variable.kind for name, variable in CATALOGUE[trigger.event].variables.items()})
    condition = Condition(trigger.when, types)
    for made_up in (sample_variables, zero_variables):
        try:
            condition.holds({**constants, **made_up(trigger.event, "node")})
        except EvaluationError as error:
            yield (
                f"{where}.when: has no answer for {_which(made_up is zero_variables)} ({error}): it then counts as not "
                "fulfilled, so write it for every event"
            )
            return


def _templates(
    where: str, trigger: TriggerSettings, email: EmailSettings, constants: Mapping[str, EventValue]
) -> Iterator[str]:
    """Render the templates with made-up events: where they fail, they may fail for real ones."""
    notices = (
        sample_notice(trigger.name, trigger.event, "node", 0.0),
        zero_notice(trigger.name, trigger.event, "node"),
    )
    for key, text in (("subject", email.subject), ("body", email.body), ("html", email.html)):
        if text is None:
            continue
        template = Template(text, html=key == "html")
        for number, notice in enumerate(notices):
            try:
                template.render(notice.values(constants))
            except TemplateError as error:
                what = f"{error} for {_which(bool(number))}"
                yield f"{where}.email.{key}: {what}: the default text is sent then, so write it for every event"
                break


def _which(zero: bool) -> str:
    return "an event whose numbers are 0" if zero else "a made-up event"
