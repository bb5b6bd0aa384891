"""From event to mail through a real SMTP server: storms, outages of the server, and every way in which one fails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from syncer.config.alarm_settings import SmtpSettings
from syncer.events.delivery import FIRST_WAIT, JITTER
from syncer.state.outbox import ActionRow, drop_actions, retry_actions
from tests.broken_mail_servers import HANG_UP, SILENT, Script, scripted_server
from tests.mail_pipeline import FAILED, RECEIVER, Clock, Pipeline, running, smtp_settings, sync, until
from tests.ports import free_port
from tests.servers import PASSWORD, Certificate, MailBox, mail_server, make_certificate

SHORT = 0.5
"""Seconds that a mail may take, where a test waits for them to pass."""
GREETING = ("220 hello", "250 mail.example.com")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def box() -> MailBox:
    return MailBox()


@pytest.fixture
def smtp(tmp_path: Path, certificate: Certificate) -> SmtpSettings:
    """A server that demands STARTTLS and AUTH; it runs where `served` is asked for."""
    return smtp_settings(tmp_path, free_port(), certificate)


@pytest.fixture
def served(smtp: SmtpSettings, box: MailBox, certificate: Certificate) -> Iterator[MailBox]:
    with mail_server(box, smtp.port, certificate):
        yield box


def stands_for(mail: EmailMessage) -> int:
    """Return how many events a mail says that it stands for."""
    body = mail.get_body(("plain",))
    assert body is not None
    found = re.search(r"(\d+) times since", body.get_content())
    return int(found[1]) if found else 1


def is_idle(pipeline: Pipeline) -> bool:
    """Tell whether every event was matched and nothing waits."""
    with pipeline.store.read() as reader:
        seen = reader.execute("SELECT event FROM trigger_cursor").fetchone()
    return pipeline.journal.waiting == 0 and seen is not None and not pipeline.rows(waiting_only=True)


def test_guarantee_11_ten_thousand_failures_are_no_more_mails_than_the_throttle_allows(
    tmp_path: Path, smtp: SmtpSettings, served: MailBox, clock: Clock
) -> None:
    """An hour of attempts, 0.36 s apart, with the default throttle of 15 minutes."""
    began = clock.now
    with running(tmp_path / "state", smtp, clock) as pipeline:
        for number in range(1, 10_001):
            clock.now = began + 0.36 * number
            pipeline.journal.raise_event("sync", sync(number))
            if number % 500 == 0:
                # The queue holds 10,000, and an agent takes an hour to get there.
                pipeline.journal.flush()
        until(lambda: pipeline.rows(waiting_only=True) or served.mails, "the first was told")
        until(lambda: is_idle(pipeline), "what was due was mailed")
        assert 1 <= len(served.mails) <= 1 + 3600 // 900
        pipeline.advance(clock, 900.0)
        until(lambda: sum(map(stands_for, served.mails)) == 10_000, "every failure was told")
        assert len(served.mails) <= 2 + 3600 // 900
        assert pipeline.events("events.lost") == []
        pipeline.happen(sync(0, success=True))
        until(lambda: f"Over: {FAILED}" in served.subjects, "its end was told")
        pipeline.advance(clock, 86400.0)
        pipeline.happen(sync(0, success=True))
        until(lambda: is_idle(pipeline), "nothing waits")
    assert [subject.partition(",")[0] for subject in served.subjects].count(f"Over: {FAILED}") == 1
    assert len({str(mail["Message-ID"]) for mail in served.mails}) == len(served.mails)


def test_guarantee_11_a_mail_server_that_is_down_for_minutes_delays_the_mail_and_loses_none(
    tmp_path: Path, smtp: SmtpSettings, box: MailBox, certificate: Certificate, clock: Clock
) -> None:
    """Tried again by itself, over restarts of the agent; the first five minutes of waits, then the server is back."""
    began, attempts = clock.now, 0
    pipeline = Pipeline(tmp_path / "state", smtp, clock)
    try:
        pipeline.happen(sync(1))
        while clock.now < began + 300:
            attempts += 1
            row = attempted(pipeline, attempts)
            assert row.answer == f"localhost:{smtp.port}: Connection refused"
            least = FIRST_WAIT * 2 ** (attempts - 1)
            assert least <= row.due - clock.now <= least * (1 + JITTER)
            if attempts == 3:
                pipeline.close()
                clock.now = row.due
                pipeline = Pipeline(tmp_path / "state", smtp, clock)
            else:
                pipeline.advance(clock, row.due - clock.now)
        with mail_server(box, smtp.port, certificate):
            pipeline.advance(clock, 600.0)
            until(lambda: box.mails and not pipeline.rows(), "it was mailed and recorded")
    finally:
        pipeline.close()
    assert box.subjects == [FAILED]
    assert attempts >= 5


def attempted(pipeline: Pipeline, times: int) -> ActionRow:
    """Return the one action that waits, once it was tried so often."""
    until(lambda: [row.attempts for row in pipeline.rows()] == [times], f"it had been tried {times} times")
    [row] = pipeline.rows()
    return row


AFTER_LOGIN = (*GREETING, "250 sender", "250 recipient", "354 go on")
"""What a server says without STARTTLS and AUTH, up to the mail itself."""


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        pytest.param((SILENT,), "did not take the mail within 0.5 s", id="dead: accepts, says nothing"),
        pytest.param((*GREETING, SILENT), "did not take the mail within 0.5 s", id="dead after the greeting"),
        pytest.param((*AFTER_LOGIN, SILENT), "did not take the mail within 0.5 s", id="dead after the mail"),
        pytest.param((HANG_UP,), "Connection unexpectedly closed", id="hangs up at once"),
        pytest.param((*AFTER_LOGIN, HANG_UP), "the connection broke in the middle", id="hangs up after the mail"),
        pytest.param(("421 too busy",), "421 too busy", id="busy"),
        pytest.param(("554 not you",), "554 not you", id="refuses the connection"),
        pytest.param((*GREETING, "451 greylisted", "250 reset", "221 bye"), "451 greylisted", id="greylisting"),
        pytest.param(("nonsense",), "", id="no SMTP"),
    ],
)
def test_a_server_that_fails_gets_the_mail_when_it_works_again(
    tmp_path: Path, box: MailBox, clock: Clock, answers: tuple[str, ...], said: str
) -> None:
    with scripted_server(Script(*answers)) as port:
        settings = smtp_settings(tmp_path, port, None, timeout=SHORT)
        with running(tmp_path / "state", settings, clock) as pipeline:
            pipeline.happen(sync(1))
            row = attempted(pipeline, 1)
    assert said in row.answer
    assert row.given_up is None
    with (
        mail_server(box, settings.port),
        running(tmp_path / "state", smtp_settings(tmp_path, settings.port, None), clock) as pipeline,
    ):
        pipeline.advance(clock, row.due - clock.now)
        until(lambda: not pipeline.rows(), "it was mailed")
    assert (box.subjects, pipeline_keys(box)) == ([FAILED], {f"<{row.key}@example.com>"})


def pipeline_keys(box: MailBox) -> set[str]:
    return {str(mail["Message-ID"]) for mail in box.mails}


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ((*GREETING, "454 TLS is broken today"), "454 TLS is broken today"),
        (("220 hello", "250-mail.example.com\n250 STARTTLS", "454 TLS is broken today"), "454 TLS is broken today"),
        (("220 hello", "250-mail.example.com\n250 STARTTLS", "220 go", SILENT), "did not take the mail within 0.5 s"),
        (("220 hello", "250-mail.example.com\n250 STARTTLS", "220 go", HANG_UP), ""),
    ],
)
def test_starttls_that_is_refused_or_hangs_sends_neither_mail_nor_password(
    tmp_path: Path, certificate: Certificate, clock: Clock, answers: tuple[str, ...], said: str
) -> None:
    script = Script(*answers)
    with scripted_server(script) as port:
        settings = smtp_settings(tmp_path, port, certificate, timeout=SHORT)
        with running(tmp_path / "state", settings, clock) as pipeline:
            pipeline.happen(sync(1))
            row = attempted(pipeline, 1)
    assert said in row.answer or "STARTTLS" in row.answer
    assert row.given_up is None
    heard = b"".join(script.heard).upper()
    assert b"AUTH" not in heard
    assert b"MAIL FROM" not in heard


def test_a_slow_server_within_its_time_gets_the_mail_at_once(tmp_path: Path, clock: Clock) -> None:
    script = Script(*AFTER_LOGIN, "250 taken", "221 bye", pause=0.2)
    with (
        scripted_server(script) as port,
        running(tmp_path / "state", smtp_settings(tmp_path, port, None), clock) as pipeline,
    ):
        pipeline.happen(sync(1))
        until(lambda: script.heard and not pipeline.rows(), "it was taken")
    assert sum(line.upper().startswith(b"MAIL FROM") for line in script.heard) == 1


def test_a_mail_that_is_cut_in_the_middle_again_and_again_arrives_once(
    tmp_path: Path, smtp: SmtpSettings, served: MailBox, clock: Clock
) -> None:
    served.drops = 3
    with running(tmp_path / "state", smtp, clock) as pipeline:
        pipeline.happen(sync(1))
        for times in (1, 2, 3):
            row = attempted(pipeline, times)
            pipeline.advance(clock, row.due - clock.now)
        until(lambda: served.mails and not pipeline.rows(), "it was mailed")
    assert (served.cut, served.subjects) == (3, [FAILED])


def test_a_wrong_password_that_is_corrected_loses_nothing(
    tmp_path: Path, smtp: SmtpSettings, served: MailBox, clock: Clock
) -> None:
    assert smtp.password_file is not None
    smtp.password_file.write_text("forgotten\n")
    with running(tmp_path / "state", smtp, clock) as pipeline:
        pipeline.happen(sync(1))
        row = attempted(pipeline, 1)
        assert "535" in row.answer
        assert "forgotten" not in row.answer
        smtp.password_file.write_text(f"{PASSWORD}\n")
        pipeline.advance(clock, row.due - clock.now)
        until(lambda: served.mails and not pipeline.rows(), "it was mailed")
    assert served.subjects == [FAILED]


def test_what_is_refused_for_good_is_told_and_goes_out_or_is_forgotten_when_a_person_says_so(
    tmp_path: Path, smtp: SmtpSettings, served: MailBox, clock: Clock
) -> None:
    served.answers = {RECEIVER: ["550 no such user", "550 no such user"]}
    with running(tmp_path / "state", smtp, clock, throttle=0.0) as pipeline:
        for number in (1, 2):
            pipeline.happen(sync(number))
            until(lambda n=number: len(pipeline.events("action.failed")) == n, "it was told")  # type: ignore[misc]
        first, second = pipeline.rows()
        assert all(row.given_up is not None and "550 no such user" in row.answer for row in (first, second))
        # Refused for good: time alone changes nothing.
        pipeline.advance(clock, 86400.0)
        drop_actions(pipeline.store, [first.id])
        retry_actions(pipeline.store, [second.id], clock.now)
        pipeline.alarms.wake()
        until(lambda: served.mails and not pipeline.rows(), "the second was mailed")
    assert pipeline_keys(served) == {f"<{second.key}@example.com>"}
    assert served.subjects == [f"{FAILED}"]


def test_a_server_that_never_comes_back_is_given_up_for_all_to_see(
    tmp_path: Path, smtp: SmtpSettings, clock: Clock
) -> None:
    with running(tmp_path / "state", smtp, clock, give_up=60.0) as pipeline:
        pipeline.happen(sync(1))
        for times in (1, 2, 3):
            row = attempted(pipeline, times)
            pipeline.advance(clock, row.due - clock.now)
        until(lambda: pipeline.events("action.failed"), "it was told")
        [failed] = pipeline.events("action.failed")
        [row] = pipeline.rows()
    assert (failed["receiver"], failed["action"], failed["failed_trigger"]) == (RECEIVER, "email", "sync failed")
    assert "Connection refused" in failed["error"]
    assert row.given_up is not None
    assert failed["attempts"] == row.attempts >= 3
