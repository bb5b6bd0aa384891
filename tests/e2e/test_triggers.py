"""Triggers of real agents: one mail for an outage, one for its end, none lost by kills or a dead mail server."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.documented import deviations, examples
from tests.e2e.harness import DOMAIN, TARGET, Node, Pair, free_port, paired, wait_until
from tests.servers import (
    PASSWORD,
    Certificate,
    Hook,
    MailBox,
    http_server,
    mail_server,
    make_certificate,
    smtp_table,
)

SECONDS = 60
"""Long: where the machine is busy, a mail over TLS takes seconds."""
TRIGGER = (
    '\n[[triggers]]\nname = "sync failed"\nevent = "sync"\nwhen = "!success"\nemail = { to = ["ops@example.com"] }\n'
)
FAILED = f"synchronization failed on prod-a → {TARGET} ({DOMAIN})"


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with paired(tmp_path, start=False) as found:
        yield found


def configure(node: Node, tables: str) -> None:
    with node.config.open("a", encoding="utf-8") as writer:
        writer.write(tables)


def triggers(node: Node, expected: int = 0) -> list[dict[str, Any]]:
    found = node.json("trigger", "list", expected=(expected,))
    assert deviations(examples()["trigger-list"], found) == []
    return list(found["triggers"])


def subjects(box: MailBox) -> list[str]:
    """Return the subjects without how many attempts had failed by then: the tests' are close to each other."""
    return [subject.partition(", ")[0] for subject in box.subjects]


def run_pair(pair: Pair, tables: str) -> None:
    configure(pair.production, tables)
    pair.start()
    (pair.production.root / "file").write_text("x")
    pair.wait_synced()


def test_a_stopped_failover_is_one_mail_and_its_return_another(
    pair: Pair, tmp_path: Path, certificate: Certificate
) -> None:
    box, port = MailBox(), free_port()
    run_pair(pair, smtp_table(port, tmp_path, certificate) + TRIGGER)
    with mail_server(box, port, certificate):
        pair.failover.kill()
        wait_until(lambda: box.mails, SECONDS, "the mail had arrived")
        failures = len([event for event in pair.production.raised("sync") if not event["success"]])
        wait_until(
            lambda: len([e for e in pair.production.raised("sync") if not e["success"]]) > failures + 5,
            SECONDS,
            "more attempts had failed",
        )
        pair.failover.start()
        wait_until(lambda: len(box.mails) >= 2, SECONDS, "the recovery had been mailed")
        [shown] = triggers(pair.production)
        pair.stop()
    assert subjects(box) == [FAILED, f"Over: {FAILED}"]
    assert box.receivers == [["ops@example.com"]] * 2
    text = box.mails[0].get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert f"target: {TARGET}" in text
    assert f"What to do: look whether the agent of {TARGET} runs, with `syncer status` there" in text
    assert f"failing over to {TARGET} now would lose" in text
    assert "it lasted" in box.mails[1].get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert (shown["state"], shown["lasting"], shown["actions"][0]["last_answer"]) == ("throttled", [], "250 OK")


@pytest.mark.soak
def test_kill_9_between_event_and_mail_and_a_mail_server_that_is_down_lose_nothing(
    pair: Pair, tmp_path: Path, certificate: Certificate
) -> None:
    box, port = MailBox(), free_port()
    run_pair(pair, smtp_table(port, tmp_path, certificate) + TRIGGER)
    pair.failover.kill()
    wait_until(lambda: triggers(pair.production)[0]["actions"][0]["last_error"], SECONDS, "a first attempt had failed")
    # Where it stands when it is killed differs each time: at the attempt, before it, after it.
    for _ in range(3):
        pair.production.kill()
        pair.production.start()
    pair.production.kill()
    waiting = pair.production.json("outbox")
    assert deviations(examples()["outbox"], waiting) == []
    assert [row["trigger"] for row in waiting["waiting"]] == ["sync failed"]
    assert "Connection refused" in waiting["waiting"][0]["answer"]
    with mail_server(box, port, certificate):
        pair.production.cli("outbox", "--retry", "--all")
        pair.production.start()
        wait_until(lambda: box.mails, SECONDS, "the mail had arrived")
        pair.failover.start()
        # Told before the kills, so its end is told by an agent that has never seen it begin.
        wait_until(lambda: len(box.mails) >= 2, SECONDS, "the recovery had been mailed")
        pair.stop()
    assert subjects(box) == [FAILED, f"Over: {FAILED}"]
    assert len({mail["Message-ID"] for mail in box.mails}) == 2


@pytest.mark.soak
def test_an_event_that_was_not_matched_before_a_kill_is_matched_after_it(pair: Pair, tmp_path: Path) -> None:
    """The state of node.db right after the event was written, before the triggers saw it, is a start as any other."""
    from syncer.events.journal import EventJournal
    from syncer.state.store import StateStore

    box, port = MailBox(), free_port()
    run_pair(pair, smtp_table(port, tmp_path) + TRIGGER.replace("!success", "error.contains('made up')"))
    pair.production.kill()
    with StateStore.open(pair.production.state) as store:
        journal = EventJournal(store, "prod-a")
        failed: dict[str, Any] = {
            "kind": "full",
            "target": TARGET,
            "domain": DOMAIN,
            "changes": 0,
            "bytes": 0,
            "seconds": 0.0,
            "error_class": "unreachable",
        }
        for number in range(3):
            journal.record("sync", success=False, error=f"made up {number}", consecutive_failures=number, **failed)
        journal.close()
    with mail_server(box, port):
        pair.production.start()
        wait_until(lambda: len(box.mails) >= 2, SECONDS, "it and its end had been mailed")
        pair.stop()
    assert box.subjects == [f"{FAILED}, 3 times", f"Over: {FAILED}"]


@pytest.mark.soak
def test_a_trigger_on_failover_posts_and_runs(pair: Pair, tmp_path: Path) -> None:
    told = tmp_path / "told"
    secret = tmp_path / "hook.secret"
    secret.write_text("the-key-of-the-hook\n")
    secret.chmod(0o600)
    with http_server(Hook()) as hook:
        pair.failover.stop()
        configure(
            pair.failover,
            '\n[[triggers]]\nname = "edited"\nevent = "drift.detected"\nwhen = "paths > 0"\n'
            f'exec = ["{shutil.which("sh")}", "-c", "echo $SYNCER_SAMPLE > {told}"]\n'
            f'webhook = {{ url = "http://127.0.0.1:{hook.port}/secret-path", secret_file = "{secret}" }}\n',
        )
        pair.start()
        (pair.production.root / "file").write_text("x")
        pair.wait_synced()
        (pair.failover.root / "file").write_text("edited here")
        wait_until(lambda: hook.posted and told.exists() and told.read_text(), SECONDS, "both were done")
        sample = told.read_text()
        tested = pair.failover.json("trigger", "test", "edited")
        assert deviations(examples()["trigger-test"], tested) == []
        pair.stop()
    document = json.loads(hook.posted[0].body)
    assert deviations(examples()["webhook"] | {"variables": None, "constants": None}, document) == []
    assert (document["event"], document["variables"]["sample"], sample) == (
        "drift.detected",
        "file",
        "file\n",
    )
    assert json.loads(hook.posted[-1].body)["test"] is True
    # The secrets, and the path of the address, are nowhere.
    said = (
        pair.failover.log.read_text() + pair.failover.cli("events").stdout + pair.failover.cli("trigger", "list").stdout
    )
    assert "the-key" not in said
    assert "secret-path" not in said


@pytest.mark.soak
def test_secrets_are_in_no_log_event_list_or_database(pair: Pair, tmp_path: Path, certificate: Certificate) -> None:
    port = free_port()
    notify = f'notify = ["json://someone:hunter2hunter2@127.0.0.1:{free_port()}"]\n'
    run_pair(pair, smtp_table(port, tmp_path, certificate) + TRIGGER + notify)
    # The file with the password lies in the tree that is synchronized.
    inside = pair.production.root / "smtp.secret"
    pair.production.stop()
    shutil.copy2(tmp_path / "smtp.secret", inside)
    text = pair.production.config.read_text().replace(str(tmp_path / "smtp.secret"), str(inside))
    pair.production.config.write_text(text)
    pair.production.start()
    pair.wait_synced()
    assert not (pair.failover.root / "smtp.secret").exists()
    box = MailBox()
    with mail_server(box, port, certificate):
        result = pair.production.json("trigger", "test", "sync failed", expected=(1,))
        pair.failover.kill()
        wait_until(lambda: box.mails[1:], SECONDS, "the mail had arrived")
    answers = {action["action"]: action["done"] for action in result["actions"]}
    assert answers == {"email": True, "notify": False}
    assert box.passwords == [PASSWORD.encode()] * 2
    said = json.dumps(result) + pair.production.cli("trigger", "list").stdout + pair.production.cli("outbox").stdout
    said += pair.production.cli("events", "--json").stdout + pair.production.cli("config", "check").stdout
    pair.production.stop()
    said += pair.production.log.read_text() + "".join(map(str, box.mails))
    data = b"".join(path.read_bytes() for path in pair.production.state.iterdir() if path.is_file())
    for secret in (PASSWORD, "hunter2hunter2"):
        assert secret not in said
        assert secret.encode() not in data
    assert os.stat(inside).st_mode & 0o777 == 0o600


@pytest.mark.soak
def test_a_silent_production_is_mailed_by_failover_and_its_return_too(pair: Pair, tmp_path: Path) -> None:
    box, port = MailBox(), free_port()
    silent = '\n[[triggers]]\nname = "silent"\nevent = "peer.silent"\nemail = { to = ["ops@example.com"] }\n'
    pair.failover.stop()
    configure(pair.failover, smtp_table(port, tmp_path) + silent)
    text = pair.failover.config.read_text().replace("[node]\n", '[node]\npeer_timeout = "2s"\n', 1)
    pair.failover.config.write_text(text)
    with mail_server(box, port):
        # Production never came since failover was started.
        pair.failover.start()
        wait_until(lambda: box.mails, SECONDS, "the silence had been mailed")
        pair.start()
        wait_until(lambda: len(box.mails) >= 2, SECONDS, "its end had been mailed")
        pair.stop()
    headline = f"production is silent on {TARGET}"
    assert box.subjects == [headline, f"Over: {headline}"]


@pytest.mark.soak
def test_blocked_actions_hold_up_no_change(pair: Pair, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    blocked = '\n[[triggers]]\nname = "blocked {}"\nevent = "sync"\nthrottle = 0\nexec_timeout = "10m"\nexec = {}\n'
    command = json.dumps([shutil.which("sh"), "-c", f"echo >> {begun}; sleep 600"])
    run_pair(pair, "".join(blocked.format(number, command) for number in range(5)))
    wait_until(lambda: begun.exists() and len(begun.read_text()) >= 4, SECONDS, "as many as may be done at once hang")
    for number in range(20):
        (pair.production.root / "file").write_text(str(number))
        pair.wait_equal(5)
    shown = pair.production.json("outbox")["waiting"]
    assert len(shown) >= 5
    # And the end of the agent ends what hangs: stop() fails where it takes long, or leaves with an error.
    pair.stop()
    assert [row["answer"] for row in pair.production.json("outbox")["waiting"]].count("") < len(shown)
