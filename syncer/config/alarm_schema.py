"""The keys of [smtp], [variables] and [[triggers]] with their types, defaults and the check of each value by itself."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field

from syncer.config.address import is_ip
from syncer.config.schema import AbsolutePath, Command, Duration, Settle, Table

_ADDRESS = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,253}[A-Za-z0-9])?", re.ASCII
)
_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?", re.ASCII)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE | re.ASCII)
LONGEST_NAME = 100


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("is not text: write it in quotes")  # noqa: TRY004 - pydantic collects ValueError only
    return value


def _trigger_name(value: object) -> str:
    name = _text(value)
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable() or name != name.strip():
        raise ValueError(f"is not a name for a trigger: write 1 to {LONGEST_NAME} printable characters")
    return name


def _mail_address(value: object) -> str:
    address = _text(value)
    if _ADDRESS.fullmatch(address) is None:
        raise ValueError(
            'is not a mail address: write it without a name, such as "ops@example.com" (international domains as xn--)'
        )
    return address


def _host(value: object) -> str:
    host = _text(value)
    if not (is_ip(host) or (_HOST.fullmatch(host) and len(host) <= 253)):
        raise ValueError('is not a host name or an IP address: write for example "mail.example.com"')
    return host


def _url(value: object) -> str:
    url = _text(value)
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    # The value itself may hold a secret, so it is not repeated.
    if not good or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError('is not an address to post to: write for example "https://example.com/hook"')
    if "@" in urlsplit(url).netloc:
        raise ValueError("has a password in it: leave it out, and sign with a secret_file")
    return url


def _words(value: object) -> str:
    text = _text(value)
    if not text.strip():
        raise ValueError("is empty: write a template, or leave the line out for the default")
    return text


def _service(value: object) -> str:
    url = _text(value)
    if _SCHEME.fullmatch(url) is None or not url.isprintable():
        raise ValueError('is not an address in Apprise\'s form: write for example "slack://…"')
    return url


Service = Annotated[str, BeforeValidator(_service)]


class SmtpTable(Table):
    """[smtp]."""

    host: Annotated[str, BeforeValidator(_host)] = Field(examples=["mail.example.com"])
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    starttls: bool = True
    tls: bool = False
    username: str = ""
    password_file: AbsolutePath | None = None
    sender: Annotated[str, BeforeValidator(_mail_address)] = Field(alias="from", examples=["syncer@example.com"])
    timeout: Duration = 30.0
    ca_file: AbsolutePath | None = None


class EmailTable(Table):
    """[triggers.email]."""

    to: list[Annotated[str, BeforeValidator(_mail_address)]] = Field(min_length=1, examples=[["ops@example.com"]])
    subject: Annotated[str, BeforeValidator(_words)] | None = None
    body: Annotated[str, BeforeValidator(_words)] | None = None
    html: str | None = None


class WebhookTable(Table):
    """[triggers.webhook]."""

    url: Annotated[str, BeforeValidator(_url)] = Field(examples=["https://example.com/hook"])
    secret_file: AbsolutePath | None = None
    timeout: Duration = 30.0
    ca_file: AbsolutePath | None = None


class TriggerTable(Table):
    """[[triggers]]."""

    name: Annotated[str, BeforeValidator(_trigger_name)] = Field(examples=["sync failed"])
    event: str = Field(examples=["sync"])
    when: str = ""
    throttle: Settle = 900.0
    after: Settle = 0.0
    notify_recovery: bool = True
    give_up: Duration = 86400.0
    email: EmailTable | None = None
    exec: Command = ()
    exec_timeout: Duration = 30.0
    webhook: WebhookTable | None = None
    notify: tuple[Service, ...] = Field(default=(), strict=False)
