"""Mail against real servers: STARTTLS, AUTH, each kind of refusal, servers that are slow, down or break off."""

from __future__ import annotations

import base64
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncer.config.alarm_settings import EmailSettings, SmtpSettings
from syncer.events.delivery import Outcome, judge
from syncer.events.mail import Mailer
from tests.ports import free_port
from tests.servers import PASSWORD, USER, Certificate, MailBox, dripping_server, mail_server
from tests.unit.events.conftest import FAILED, parcel

A, B, C = "a@example.com", "b@example.com", "c@example.com"


@pytest.fixture
def settings(tmp_path: Path, certificate: Certificate) -> SmtpSettings:
    secret = tmp_path / "secret"
    secret.write_text(f"{PASSWORD}\nand no more\n")
    secret.chmod(0o600)
    return SmtpSettings(
        "localhost", free_port(), True, False, USER, secret, "syncer@example.com", 60.0, certificate.file
    )


@pytest.fixture
def box(settings: SmtpSettings, certificate: Certificate) -> Iterator[MailBox]:
    found = MailBox()
    with mail_server(found, settings.port, certificate):
        yield found


def mailer(settings: SmtpSettings, *to: str, **words: Any) -> Mailer:
    found = {"subject": None, "body": None, "html": None, **words}
    return Mailer(settings, EmailSettings(to or (A,), **found), {"site": "north"})


def test_a_mail_goes_through_starttls_and_auth_to_every_recipient(settings: SmtpSettings, box: MailBox) -> None:
    answer = mailer(settings, A, B).deliver(parcel(A, B))
    assert (answer.outcome, answer.left, answer.refused, answer.said) == (Outcome.DONE, (), (), "250 OK")
    [mail] = box.mails
    assert (box.receivers, box.passwords) == ([[A, B]], [PASSWORD.encode()])
    assert mail["Subject"] == "synchronization failed on prod-a → dr-a (nginx)"
    assert (mail["To"], mail["From"]) == (f"{A}, {B}", "syncer <syncer@example.com>")
    assert mail["Message-ID"] == "<0123456789abcdef@example.com>"
    assert mail["Auto-Submitted"] == "auto-generated"
    text = mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    html = mail.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert html.startswith("<p><strong>Synchronization failed on prod-a at ")
    assert "<td><pre>dr-a</pre></td>" in html
    for part in (text, html):
        assert "dr-a did not answer within 10 s" in part
        assert "syncer status" in part
        for name in ("prod-a", "dr-a", "nginx"):
            assert name in part


@pytest.mark.parametrize(
    ("answers", "outcome", "left", "refused", "mailed"),
    [
        # Greylisting: later, all of them.
        ({A: ["450 try later"], B: ["451 try later"]}, Outcome.LATER, (A, B), (), []),
        ({A: ["550 no such user"], B: ["550 no such user"]}, Outcome.REFUSED, (), (), []),
        ({A: ["550 no such user"]}, Outcome.DONE, (), (A,), [[B, C]]),
        ({A: ["450 greylisted"]}, Outcome.DONE, (A,), (), [[B, C]]),
        ({A: ["550 no"], B: ["450 later"]}, Outcome.DONE, (B,), (A,), [[C]]),
        ({A: ["550 no"], B: ["450 later"], C: ["452 full"]}, Outcome.LATER, (B, C), (A,), []),
        ({"DATA": ["451 busy"]}, Outcome.LATER, (A, B, C), (), []),
        ({"DATA": ["451 busy"], A: ["550 no"]}, Outcome.LATER, (B, C), (A,), []),
        ({"DATA": ["554 spam"]}, Outcome.REFUSED, (), (), []),
        ({"DATA": ["554 spam"], B: ["450 later"]}, Outcome.LATER, (B,), (A, C), []),
        ({"MAIL": ["451 later"]}, Outcome.LATER, (A, B, C), (), []),
        ({"MAIL": ["553 bad sender"]}, Outcome.REFUSED, (A, B, C), (), []),
        ({"MAIL": ["530 set yourself up"]}, Outcome.LATER, (A, B, C), (), []),
    ],
)
def test_each_answer_is_taken_as_it_deserves(
    settings: SmtpSettings,
    box: MailBox,
    answers: dict[str, list[str]],
    outcome: Outcome,
    left: tuple[str, ...],
    refused: tuple[str, ...],
    mailed: list[list[str]],
) -> None:
    box.answers = answers
    to = (A, B) if left == (A, B) and not mailed and A in answers else (A, B, C)
    if outcome is Outcome.REFUSED and A in answers:
        to = (A, B)
    answer = mailer(settings, *to).deliver(parcel(*to))
    assert (answer.outcome, answer.left, answer.refused, box.receivers) == (outcome, left, refused, mailed)


def test_greylisted_and_then_accepted_reaches_everybody_once(settings: SmtpSettings, box: MailBox) -> None:
    box.answers = {A: ["450 greylisted", "450 greylisted"]}
    receivers: tuple[str, ...] = (A, B)
    for attempt in (1, 2, 3):
        answer = mailer(settings, A, B).deliver(parcel(*receivers))
        verdict = judge(answer, receivers, attempt, 0.0, 0.0, 3600.0)
        receivers = verdict.receivers
    assert (verdict.due, verdict.failed, box.receivers) == (None, False, [[B], [A]])
    assert len({mail["Message-ID"] for mail in box.mails}) == 1


def test_a_connection_that_breaks_in_the_middle_of_the_mail_is_tried_again(
    settings: SmtpSettings, box: MailBox
) -> None:
    box.drops = 1
    box.answers = {C: ["550 no such user"]}
    answer = mailer(settings, A, C).deliver(parcel(A, C))
    assert (answer.outcome, answer.left, answer.refused, box.mails) == (Outcome.LATER, (A,), (C,), [])
    assert box.cut == 1
    assert mailer(settings, A, C).deliver(parcel(A)).outcome is Outcome.DONE


def test_a_server_that_is_down_is_tried_again(settings: SmtpSettings) -> None:
    answer = mailer(settings).deliver(parcel(A))
    assert (answer.outcome, answer.said) == (Outcome.LATER, f"localhost:{settings.port}: Connection refused")


@pytest.mark.parametrize("words", [b"2" * 1000, b"220 hello\r\n250-" + b"x" * 1000])
def test_a_server_that_drips_is_left_when_the_time_is_over(settings: SmtpSettings, words: bytes) -> None:
    with dripping_server(words, 0.05) as port:
        slow = SmtpSettings("127.0.0.1", port, False, False, "", None, "s@example.com", 0.5, None)
        started = time.monotonic()
        answer = mailer(slow).deliver(parcel(A))
    assert time.monotonic() - started < 30
    assert (answer.outcome, answer.said) == (
        Outcome.LATER,
        f"127.0.0.1:{port} did not take the mail within 0.5 s",
    )


def test_nothing_is_sent_without_verified_tls(settings: SmtpSettings, box: MailBox, certificate: Certificate) -> None:
    untrusted = mailer(dataclasses.replace(settings, ca_file=None)).deliver(parcel(A))
    where = f"localhost:{settings.port}: its certificate is not trusted ("
    assert (untrusted.outcome, untrusted.said.startswith(where)) == (Outcome.LATER, True)
    assert untrusted.said.endswith("name its authority in ca_file")
    # The server listens on this address only, and its certificate is for another name of it.
    other_name = mailer(dataclasses.replace(settings, host="127.1")).deliver(parcel(A))
    assert (other_name.outcome, "certificate is not valid for '127.1'" in other_name.said) == (Outcome.LATER, True)
    # Somebody between both who leaves STARTTLS out of the list.
    port = free_port()
    plain = MailBox()
    with mail_server(plain, port):
        stripped = mailer(dataclasses.replace(settings, port=port)).deliver(parcel(A))
    assert (stripped.outcome, "STARTTLS" in stripped.said) == (Outcome.LATER, True)
    assert (box.mails, box.passwords, plain.mails, plain.passwords) == ([], [], [], [])


def test_a_file_of_trusted_certificates_that_cannot_be_used_is_said(settings: SmtpSettings, tmp_path: Path) -> None:
    missing = mailer(dataclasses.replace(settings, ca_file=tmp_path / "none")).deliver(parcel(A))
    with dripping_server(b"220 hi\r\n250-x\r\n250 STARTTLS\r\n220 go\r\n", 0.0) as port:
        assert missing.outcome is Outcome.LATER
        (tmp_path / "none").write_text("nothing of the kind")
        for tls in (False, True):
            changed = dataclasses.replace(
                settings, host="127.0.0.1", port=port, tls=tls, starttls=not tls, ca_file=tmp_path / "none"
            )
            answer = mailer(changed).deliver(parcel(A))
            assert answer.outcome is Outcome.LATER
            assert f"{tmp_path / 'none'} cannot be used as ca_file (it holds no certificates)" in answer.said


def test_a_server_that_drips_while_tls_begins_is_left_when_the_time_is_over() -> None:
    with dripping_server(b"\x16\x03\x03\x40\x00" + b"\x02" * 10000, 0.01) as port:
        slow = SmtpSettings("127.0.0.1", port, False, True, "", None, "s@example.com", 1.0, None)
        started = time.monotonic()
        answer = mailer(slow).deliver(parcel(A))
    assert time.monotonic() - started < 30
    assert answer.said == f"127.0.0.1:{port} did not take the mail within 1 s"


def test_what_a_server_answers_is_kept_without_secrets_and_what_it_was_given(
    settings: SmtpSettings, box: MailBox
) -> None:
    plain = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()
    echo = f"550 {PASSWORD} {plain} is wrong; password=hunter2hunter2"
    box.answers = {A: [echo], B: ["450 token: abcdef0123456789"], "DATA": [f"451 {echo}"]}
    found = mailer(settings, A, B, C).deliver(parcel(A, B, C))
    assert (found.left, found.refused) == ((B, C) if found.left[0] == B else (C, B), (A,))
    for secret in (PASSWORD, plain, "hunter2hunter2", "abcdef0123456789"):
        assert secret not in found.said
    assert f"{A}: 550 [redacted] [redacted] is wrong; password=[redacted]" in found.said
    assert f"{B}: 450 token: [redacted]" in found.said


def test_a_password_that_smtp_cannot_carry_is_said(settings: SmtpSettings, box: MailBox) -> None:
    assert settings.password_file is not None
    settings.password_file.write_text("geh\u00e4im-und-lang\n", "utf-8")
    answer = mailer(settings).deliver(parcel(A))
    assert (answer.outcome, "ASCII only" in answer.said, "geh" in answer.said) == (Outcome.LATER, True, False)


def test_tls_from_the_first_byte(settings: SmtpSettings, certificate: Certificate) -> None:
    received, port = MailBox(), free_port()
    tls = dataclasses.replace(settings, port=port, starttls=False, tls=True, username="", password_file=None)
    with mail_server(received, port, certificate, tls=True):
        assert mailer(tls).deliver(parcel(A)).outcome is Outcome.DONE
    assert len(received.mails) == 1


def test_a_wrong_password_and_an_open_file_are_tried_again_and_not_repeated(
    settings: SmtpSettings, box: MailBox
) -> None:
    assert settings.password_file is not None
    settings.password_file.write_text("not-the-password\n")
    wrong = mailer(settings).deliver(parcel(A))
    assert (wrong.outcome, "535" in wrong.said, "not-the-password" in wrong.said) == (Outcome.LATER, True, False)
    settings.password_file.chmod(0o640)
    opened = mailer(settings).deliver(parcel(A))
    assert (opened.outcome, "chmod 600" in opened.said) == (Outcome.LATER, True)
    settings.password_file.unlink()
    assert "No such file" in mailer(settings).deliver(parcel(A)).said
    assert box.passwords == [b"not-the-password"] * len(box.passwords)


HOSTILE = "x\r\nBcc: evil@example.com\r\n\r\n.\r\nMAIL FROM:<evil@example.com>\n<script>{{ 7*7 }}\u202e\0\udcff"


def test_hostile_values_stay_values(settings: SmtpSettings, box: MailBox) -> None:
    hostile = {**FAILED, "error": HOSTILE, "domain": HOSTILE}
    found = mailer(settings, subject="{{ error }} {{ domain }}", html="<b>{{ error }}</b>{{ error | upper }}")
    assert found.deliver(parcel(A, variables=hostile, trigger=HOSTILE)).outcome is Outcome.DONE
    [mail] = box.mails
    assert (box.receivers, mail["Bcc"], box.senders) == ([[A]], None, ["syncer@example.com"])
    assert "{{ 7*7 }}" in mail["Subject"]
    assert "\n" not in mail["Subject"]
    html = mail.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert "<script>" not in html.lower()
    assert "&lt;script&gt;{{ 7*7 }}" in html


def test_a_body_of_dots_and_long_lines_arrives_as_it_was(settings: SmtpSettings, box: MailBox) -> None:
    body = ".\n..\n" + "é" * 3000 + "\n.\nQUIT\n"
    assert mailer(settings, body=body).deliver(parcel(A)).outcome is Outcome.DONE
    assert box.mails[0].get_content().replace("\r\n", "\n") == body


def test_a_template_that_fails_for_real_values_sends_the_default_text_and_says_so(
    settings: SmtpSettings, box: MailBox
) -> None:
    answer = mailer(settings, subject="{{ 1 // bytes }}").deliver(parcel(A))
    assert (answer.outcome, "ZeroDivisionError" in answer.trouble) == (Outcome.DONE, True)
    assert box.subjects == ["synchronization failed on prod-a → dr-a (nginx)"]
    assert "this is the default text" in box.mails[0].get_body(("plain",)).get_content()  # type: ignore[union-attr]
