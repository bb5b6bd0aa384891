"""Mails a notice: SMTP with verified TLS, each recipient judged by itself."""

from __future__ import annotations

import base64
import contextlib
import smtplib
import socket
import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import partial
from pathlib import Path

from syncer.config.alarm_settings import EmailSettings, SmtpSettings
from syncer.config.secret import SecretError, read_secret
from syncer.events.delivery import ANSWER_LENGTH, Answer, Outcome, Parcel, told
from syncer.events.texts import Text, Words, one_line, rendered
from syncer.events.time_limit import TimeLimit, time_limit
from syncer.model import EventValue

_CURABLE = frozenset({503, 530, 534, 535, 538})
"""5xx that say that the session is not set up as it should be: the operator can correct that."""

Tell = Callable[[str], str]
"""Makes a server's words fit to be kept and shown."""


class Mailer:
    """Mails what one trigger has to say."""

    def __init__(self, smtp: SmtpSettings, email: EmailSettings, constants: Mapping[str, EventValue]) -> None:
        """Send through `smtp`, in the words of `email`; `constants` is the table [variables]."""
        self._smtp = smtp
        self._words = Words(email.subject, email.body, email.html)
        self._constants = constants
        self._to = email.to

    def deliver(self, parcel: Parcel) -> Answer:
        """Make one attempt for the receivers of `parcel`."""
        text = rendered(parcel.notice, self._words, self._constants)
        message = composed(parcel, text, self._smtp.sender, self._to)
        with time_limit(self._smtp.timeout) as limit:
            answer = self._attempt(parcel, message, limit)
        return answer._replace(trouble=text.trouble)

    def _attempt(self, parcel: Parcel, message: bytes, limit: TimeLimit) -> Answer:
        settings = self._smtp
        where = f"{settings.host}:{settings.port}"
        tell: Tell = told
        try:
            password = read_secret(settings.password_file) if settings.password_file is not None else ""
            # A server may repeat what it was given.
            tell = partial(told, hidden=_spellings(settings.username, password))
            session = _connected(settings, limit)
            try:
                _greet(session, settings)
                if settings.username:
                    session.login(settings.username, password)
                answer = _hand_over(session, settings, parcel.receivers, message, tell, limit)
                # What follows changes nothing about what was answered, so it may fail.
                with contextlib.suppress(smtplib.SMTPException, OSError):
                    session.quit()
                return answer
            finally:
                session.close()
        except SecretError as error:
            return Answer(Outcome.LATER, str(error))
        except (smtplib.SMTPException, OSError, ValueError) as error:
            if limit.explains(error):
                return Answer(Outcome.LATER, f"{where} did not take the mail within {settings.timeout:g} s")
            return Answer(Outcome.LATER, f"{where}: {_reason(error, tell)}")


def composed(parcel: Parcel, text: Text, sender: str, to: tuple[str, ...]) -> bytes:
    """Return the mail as it goes over the wire: 7 bits, the same at every attempt."""
    message = EmailMessage(policy=SMTP)
    message["Subject"] = text.subject
    message["From"] = f"syncer <{sender}>"
    message["To"] = ", ".join(to)
    message["Date"] = format_datetime(datetime.fromtimestamp(parcel.notice.at, UTC))
    message["Message-ID"] = f"<{parcel.key}@{sender.partition('@')[2]}>"
    # RFC 3834: no out-of-office answers to an alarm.
    message["Auto-Submitted"] = "auto-generated"
    message["X-Syncer-Trigger"] = one_line(parcel.notice.trigger)
    message["X-Syncer-Event"] = parcel.notice.event
    message["X-Syncer-Kind"] = parcel.notice.kind
    message.set_content(text.body, cte="quoted-printable")
    if text.html:
        message.add_alternative(text.html, subtype="html", cte="quoted-printable")
    return message.as_bytes()


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return what verifies a server: its certificate, and that it is for the name that was asked for.

    Raises OSError where the file with the trusted certificates cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file is not None else None)
    except OSError as error:
        what = "it holds no certificates" if isinstance(error, ssl.SSLError) else error.strerror
        raise OSError(
            error.errno, f"{ca_file} cannot be used as ca_file ({what}): put certificates there in PEM"
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class _Session(smtplib.SMTP):
    """An SMTP session whose connection is known to the time limit from its beginning."""

    limit: TimeLimit

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        found: socket.socket = super()._get_socket(host, port, timeout)  # type: ignore[misc]  # not in typeshed
        self.limit.watch(found)
        return found


class _TlsSession(smtplib.SMTP_SSL, _Session):
    """The same over TLS from the first byte; in this order, so that the time limit counts for its beginning, too."""


def _connected(settings: SmtpSettings, limit: TimeLimit) -> smtplib.SMTP:
    kind = type("Session", (_TlsSession if settings.tls else _Session,), {"limit": limit})
    name = socket.gethostname()
    # Not asked of the name service: that may take longer than the mail.
    local = name if name.isascii() and name.replace("-", "").replace(".", "").isalnum() else "localhost"
    options = {"context": tls_context(settings.ca_file)} if settings.tls else {}
    found = kind(settings.host, settings.port, local_hostname=local, timeout=settings.timeout, **options)
    assert isinstance(found, smtplib.SMTP), "both are"
    return found


def _greet(session: smtplib.SMTP, settings: SmtpSettings) -> None:
    session.ehlo_or_helo_if_needed()
    if settings.starttls:
        # Raises where it is not offered: never unencrypted because somebody between both left it out.
        session.starttls(context=tls_context(settings.ca_file))
        session.ehlo()


def _hand_over(
    session: smtplib.SMTP,
    settings: SmtpSettings,
    receivers: tuple[str, ...],
    message: bytes,
    tell: Tell,
    limit: TimeLimit,
) -> Answer:
    code, said = session.mail(settings.sender)
    if code != 250:
        return Answer(Outcome.REFUSED if _is_final(code) else Outcome.LATER, tell(_answered(code, said)), receivers)
    taken: list[str] = []
    later: list[str] = []
    refused: list[str] = []
    words: list[str] = []
    for receiver in receivers:
        code, said = session.rcpt(receiver)
        if code in (250, 251):
            taken.append(receiver)
        else:
            (refused if _is_final(code) else later).append(receiver)
            words.append(f"{receiver}: {tell(_answered(code, said))}")
    if not taken:
        outcome = Outcome.LATER if later else Outcome.REFUSED
        return Answer(outcome, "; ".join(words)[:ANSWER_LENGTH], tuple(later), tuple(refused) if later else ())
    try:
        code, said = session.data(message)
    except smtplib.SMTPDataError as error:
        code, said = error.smtp_code, error.smtp_error if isinstance(error.smtp_error, bytes) else b""
    except (smtplib.SMTPServerDisconnected, OSError) as error:
        # Whether it took the mail nobody knows: again, with the same Message-ID.
        slow = f"{settings.host}:{settings.port} did not take the mail within {settings.timeout:g} s"
        broken = f"the connection broke in the middle ({_reason(error, tell)})"
        words.append(slow if limit.explains(error) else broken)
        return Answer(Outcome.LATER, "; ".join(words)[:ANSWER_LENGTH], (*taken, *later), tuple(refused))
    words.insert(0, tell(_answered(code, said)))
    sentence = "; ".join(words)[:ANSWER_LENGTH]
    if code == 250:
        return Answer(Outcome.DONE, sentence, tuple(later), tuple(refused))
    if _is_final(code):
        if not later:
            return Answer(Outcome.REFUSED, sentence)
        return Answer(Outcome.LATER, sentence, tuple(later), (*refused, *taken))
    return Answer(Outcome.LATER, sentence, (*taken, *later), tuple(refused))


def _is_final(code: int) -> bool:
    return 500 <= code < 600 and code not in _CURABLE


def _answered(code: int, said: bytes) -> str:
    return f"{code} {said.decode('utf-8', 'backslashreplace')}"


def _spellings(user: str, password: str) -> tuple[str, ...]:
    """Return the password as it goes over the wire."""
    if not password:
        return ()
    plain = (password, f"\0{user}\0{password}")
    return (*(base64.b64encode(text.encode()).decode() for text in plain), password)


def _reason(error: Exception, tell: Tell) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error if isinstance(error.smtp_error, bytes) else str(error.smtp_error).encode()
        return tell(_answered(error.smtp_code, said))
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({error.verify_message}): correct host, or name its authority in ca_file"
        )
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, UnicodeEncodeError):
        return "smtplib sends ASCII only as user name and password: choose such a one"
    return tell(str(error)) or type(error).__name__
