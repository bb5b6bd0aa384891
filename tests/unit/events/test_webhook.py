"""Webhooks against real servers: signature, verified TLS, what each answer means; and Apprise, which posts too."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncer.config.alarm_settings import WebhookSettings
from syncer.events.delivery import Answer, Outcome
from syncer.events.notify import Notifier
from syncer.events.webhook import LONGEST_RETRY_AFTER, Webhook, signature
from tests.documented import deviations, examples
from tests.servers import Certificate, Hook, dripping_server, http_server
from tests.unit.events.conftest import FAILED, parcel

KEY = "the key of the signature"


@pytest.fixture
def hook() -> Iterator[Hook]:
    with http_server(Hook()) as found:
        yield found


def webhook(
    port: int,
    *,
    path: str = "/hook?a=1",
    secret: Path | None = None,
    ca_file: Path | None = None,
    seconds: float = 60.0,
) -> Webhook:
    scheme = "https" if ca_file is not None else "http"
    settings = WebhookSettings(f"{scheme}://127.0.0.1:{port}{path}", secret, seconds, ca_file)
    return Webhook(settings, {"site": "north"}, clock=lambda: 1_800_000_000.5)


def test_a_post_is_what_the_documentation_says_and_signed(hook: Hook, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(KEY)
    secret.chmod(0o600)
    answer = webhook(hook.port, secret=secret).deliver(parcel())
    assert answer == Answer(Outcome.DONE, f"http://127.0.0.1:{hook.port}/… answered 200 OK")
    [posted] = hook.posted
    document = json.loads(posted.body)
    assert deviations(examples()["webhook"] | {"variables": None}, document) == []
    assert (posted.path, document["id"], document["constants"]) == ("/hook?a=1", "0123456789abcdef", {"site": "north"})
    assert document["variables"] == FAILED
    assert posted.headers["x-syncer-id"] == "0123456789abcdef"
    assert posted.headers["x-syncer-timestamp"] == "1800000000"
    expected = hmac.new(KEY.encode(), b"1800000000." + posted.body, hashlib.sha256).hexdigest()
    assert posted.headers["x-syncer-signature"] == f"v1={expected}"


def test_without_a_secret_nothing_is_signed_and_with_an_open_one_nothing_is_sent(hook: Hook, tmp_path: Path) -> None:
    assert webhook(hook.port).deliver(parcel()).outcome is Outcome.DONE
    assert "x-syncer-signature" not in hook.posted[0].headers
    secret = tmp_path / "secret"
    secret.write_text(KEY)
    secret.chmod(0o644)
    answer = webhook(hook.port, secret=secret).deliver(parcel())
    assert (answer.outcome, "chmod 600" in answer.said, KEY in answer.said) == (Outcome.LATER, True, False)
    assert len(hook.posted) == 1


@pytest.mark.parametrize(
    ("code", "headers", "outcome", "wait"),
    [
        (204, {}, Outcome.DONE, 0.0),
        (301, {"Location": "http://127.0.0.1:1/"}, Outcome.REFUSED, 0.0),
        (307, {"Location": "/other"}, Outcome.REFUSED, 0.0),
        (400, {}, Outcome.REFUSED, 0.0),
        (404, {}, Outcome.REFUSED, 0.0),
        (408, {}, Outcome.LATER, 0.0),
        (425, {}, Outcome.LATER, 0.0),
        (429, {"Retry-After": "120"}, Outcome.LATER, 120.0),
        (500, {}, Outcome.LATER, 0.0),
        (503, {"Retry-After": "Fri, 15 Jan 2027 08:01:00 GMT"}, Outcome.LATER, 59.5),
        (503, {"Retry-After": "Fri, 15 Jan 2021 08:01:00 GMT"}, Outcome.LATER, 0.0),
        (503, {"Retry-After": "9" * 40}, Outcome.LATER, LONGEST_RETRY_AFTER),
        (503, {"Retry-After": "soon"}, Outcome.LATER, 0.0),
        (503, {"Retry-After": "-5"}, Outcome.LATER, 0.0),
    ],
)
def test_each_answer_is_taken_as_it_deserves(
    hook: Hook, code: int, headers: dict[str, str], outcome: Outcome, wait: float
) -> None:
    hook.answers = [(code, headers)]
    answer = webhook(hook.port).deliver(parcel())
    assert (answer.outcome, answer.retry_after) == (outcome, wait)
    assert f"answered {code}" in answer.said
    # Redirects are not followed.
    assert len(hook.posted) == 1


def test_certificates_are_verified(certificate: Certificate, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    from tests.servers import make_certificate

    with http_server(Hook(), certificate) as hook:
        assert webhook(hook.port, ca_file=certificate.file).deliver(parcel()).outcome is Outcome.DONE
        untrusted = webhook(hook.port, ca_file=make_certificate(other).file).deliver(parcel())
    assert (untrusted.outcome, "certificate is not trusted" in untrusted.said) == (Outcome.LATER, True)
    missing = webhook(hook.port, ca_file=tmp_path / "none").deliver(parcel())
    assert (missing.outcome, "cannot be used as ca_file (No such file" in missing.said) == (Outcome.LATER, True)
    assert len(hook.posted) == 1


def test_a_server_that_is_down_slow_or_no_http_is_tried_again(hook: Hook) -> None:
    with dripping_server(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2000, 0.05) as port:
        started = time.monotonic()
        slow = webhook(port, seconds=2.0).deliver(parcel())
        assert time.monotonic() - started < 30
    assert (slow.outcome, slow.said) == (Outcome.LATER, f"http://127.0.0.1:{port}/… did not answer within 2 s")
    down = webhook(port).deliver(parcel())
    assert (down.outcome, down.said) == (Outcome.LATER, f"http://127.0.0.1:{port}/…: Connection refused")
    with dripping_server(b"220 I am a mail server\r\n", 0.0) as port:
        assert webhook(port).deliver(parcel()).outcome is Outcome.LATER


def test_a_server_that_drips_while_tls_begins_is_left_when_the_time_is_over(certificate: Certificate) -> None:
    with dripping_server(b"\x16\x03\x03\x40\x00" + b"\x02" * 10000, 0.01) as port:
        started = time.monotonic()
        slow = webhook(port, ca_file=certificate.file, seconds=2.0).deliver(parcel())
    assert time.monotonic() - started < 30
    assert slow.said == f"https://127.0.0.1:{port}/… did not answer within 2 s"


def test_the_example_of_the_documentation_accepts_what_is_signed_and_nothing_else(hook: Hook, tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "events.md").read_text("utf-8")
    [code] = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    example: dict[str, Any] = {}
    exec(code, example)
    secret = tmp_path / "secret"
    secret.write_text(KEY)
    secret.chmod(0o600)
    settings = WebhookSettings(f"http://127.0.0.1:{hook.port}/", secret, 2.0, None)
    assert Webhook(settings, {}).deliver(parcel()).outcome is Outcome.DONE
    [posted] = hook.posted
    headers = {key: posted.headers[key.lower()] for key in ("X-Syncer-Timestamp", "X-Syncer-Signature")}
    assert example["is_genuine"](KEY, headers, posted.body)
    assert not example["is_genuine"]("another key", headers, posted.body)
    assert not example["is_genuine"](KEY, headers, posted.body + b" ")
    old = {**headers, "X-Syncer-Timestamp": str(int(headers["X-Syncer-Timestamp"]) - 1000)}
    assert not example["is_genuine"](KEY, old, posted.body)
    # And the numbers that stand there for who writes it in another language.
    assert f"`{signature('hook-key', '1800000000', b'{}')}`" in text


def test_what_a_server_says_is_kept_without_secrets(hook: Hook) -> None:
    hook.answers, hook.reason = [(404, {})], "/services/T0 is gone, password=hunter2"
    answer = webhook(hook.port, path="/services/T0").deliver(parcel())
    assert (answer.outcome, answer.said) == (
        Outcome.REFUSED,
        f"http://127.0.0.1:{hook.port}/… answered 404 /[redacted] is gone, password=[redacted]",
    )


def test_without_apprise_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    # What Python itself does with a module that is not there.
    monkeypatch.setitem(sys.modules, "apprise", None)
    notifier = Notifier(("json://127.0.0.1:9/x",), {})
    answer = notifier.deliver(parcel(*notifier.receivers))
    assert (answer.outcome, answer.said) == (
        Outcome.LATER,
        'Apprise is not installed: pip install "syncer-failover[notify]"',
    )


def test_hostile_values_stay_values(hook: Hook) -> None:
    hostile = {**FAILED, "error": 'x"}\r\nX-Evil: 1\0\udcff\u202e'}
    assert webhook(hook.port).deliver(parcel(variables=hostile)).outcome is Outcome.DONE
    [posted] = hook.posted
    assert "x-evil" not in posted.headers
    assert json.loads(posted.body)["variables"]["error"].startswith('x"}')


# A module that Apprise imports where it is still there.
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_apprise_notifies_each_address_and_tries_only_those_that_failed_again(hook: Hook) -> None:
    good, bad = f"json://127.0.0.1:{hook.port}/good", f"json://127.0.0.1:{hook.port}/bad"
    notifier = Notifier((good, bad, "nothing://at-all/secret"), {})
    assert notifier.receivers == ("1 json", "2 json", "3 nothing")
    hook.answers = [(200, {}), (500, {})]
    answer = notifier.deliver(parcel(*notifier.receivers))
    assert (answer.outcome, answer.left, answer.refused) == (Outcome.LATER, ("2 json",), ("3 nothing",))
    assert "secret" not in answer.said
    assert notifier.deliver(parcel("2 json")) == Answer(Outcome.DONE, "notified")
    assert [posted.path.rstrip("/") for posted in hook.posted] == ["/good", "/bad", "/bad"]
    assert "did not answer within 10 s" in json.loads(hook.posted[0].body)["message"]
    assert notifier.deliver(parcel("3 nothing")).outcome is Outcome.REFUSED
