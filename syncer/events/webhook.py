"""Posts a notice as JSON: verified TLS, a signature over time and body, redirects not followed."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import ssl
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from syncer import __version__
from syncer.config.alarm_settings import WebhookSettings
from syncer.config.secret import SecretError, read_secret
from syncer.events.delivery import Answer, Outcome, Parcel, told
from syncer.events.mail import tls_context
from syncer.events.time_limit import TimeLimit, time_limit
from syncer.model import EventValue

READ_BYTES = 65536
"""Of an answer's body; nothing of it is shown."""
LONGEST_RETRY_AFTER = 86400.0
_LATER = frozenset({408, 425, 429})
"""4xx that may go well another time."""


class Webhook:
    """Posts what one trigger has to say."""

    def __init__(
        self,
        settings: WebhookSettings,
        constants: Mapping[str, EventValue],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Post as `settings` says; `constants` is the table [variables]."""
        self._settings = settings
        self._constants = constants
        self._clock = clock
        self._url = urlsplit(settings.url)

    @property
    def shown(self) -> str:
        """Where it goes; the path of an address often is a secret."""
        port = f":{self._url.port}" if self._url.port else ""
        return f"{self._url.scheme}://{self._url.hostname}{port}/…"

    def deliver(self, parcel: Parcel) -> Answer:
        """Make one attempt."""
        body = json.dumps({"id": parcel.key, **parcel.notice.document(), "constants": dict(self._constants)}).encode(
            "ascii"
        )
        try:
            headers = self._headers(parcel.key, body)
            with time_limit(self._settings.timeout) as limit:
                return self._post(headers, body, limit)
        except SecretError as error:
            return Answer(Outcome.LATER, str(error))

    def _headers(self, key: str, body: bytes) -> dict[str, str]:
        now = str(int(self._clock()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"syncer/{__version__}",
            "X-Syncer-Id": key,
            "X-Syncer-Timestamp": now,
        }
        if self._settings.secret_file is not None:
            headers["X-Syncer-Signature"] = signature(read_secret(self._settings.secret_file), now, body)
        return headers

    def _post(self, headers: dict[str, str], body: bytes, limit: TimeLimit) -> Answer:
        try:
            connection = self._connection(limit)
        except OSError as error:
            return Answer(Outcome.LATER, f"{self.shown}: {_reason(error)}")
        try:
            path = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            response.read(READ_BYTES)
            if limit.is_over:
                return self._too_slow()
            return _judged(self._said(response), response, self._clock())
        except (http.client.HTTPException, OSError, ValueError) as error:
            if limit.explains(error):
                return self._too_slow()
            return Answer(Outcome.LATER, f"{self.shown}: {_reason(error)}")
        finally:
            connection.close()

    def _said(self, response: http.client.HTTPResponse) -> str:
        # A server may repeat the address, whose path often is a secret.
        hidden = [part for part in (self._url.path.strip("/"), self._url.query) if part]
        reason = told(response.reason or "", hidden)[:60]
        return f"{self.shown} answered {response.status} {reason}".strip()

    def _too_slow(self) -> Answer:
        return Answer(Outcome.LATER, f"{self.shown} did not answer within {self._settings.timeout:g} s")

    def _connection(self, limit: TimeLimit) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        found: _Connection
        if self._url.scheme == "https":
            context = tls_context(self._settings.ca_file)
            found = _TlsConnection(host, port, timeout=self._settings.timeout, context=context)
        else:
            found = _Connection(host, port, timeout=self._settings.timeout)
        found.limit = limit
        return found


class _Connection(http.client.HTTPConnection):
    """A connection that is known to the time limit from its beginning."""

    limit: TimeLimit

    def connect(self) -> None:
        super().connect()
        self.limit.watch(self.sock)


class _TlsConnection(http.client.HTTPSConnection, _Connection):
    """The same over TLS; in this order, so that the time limit counts for its beginning, too."""


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return what X-Syncer-Signature holds: the HMAC-SHA256 of "timestamp.body" in hexadecimal, as "v1=…"."""
    found = hmac.new(secret.encode("utf-8"), timestamp.encode("ascii") + b"." + body, hashlib.sha256)
    return f"v1={found.hexdigest()}"


def _judged(said: str, response: http.client.HTTPResponse, now: float) -> Answer:
    code = response.status
    if 200 <= code < 300:
        return Answer(Outcome.DONE, said)
    if 300 <= code < 400:
        return Answer(Outcome.REFUSED, f"{said}: redirects are not followed, write the final address")
    if 400 <= code < 500 and code not in _LATER:
        return Answer(Outcome.REFUSED, said)
    return Answer(Outcome.LATER, said, retry_after=_retry_after(response.getheader("Retry-After"), now))


def _retry_after(value: str | None, now: float) -> float:
    """Return the seconds that the header asks for, in digits or as a date; 0 where it says nothing that is either."""
    if value is None:
        return 0.0
    if value.strip().isascii() and value.strip().isdigit():
        return min(float(value.strip()[:9]), LONGEST_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    moment = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return min(max(0.0, (moment - datetime.fromtimestamp(now, UTC)).total_seconds()), LONGEST_RETRY_AFTER)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message}): correct url, or name its authority in ca_file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
