"""Whatever the actions of triggers do, replication goes on beside them: proved without a clock."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.broken_mail_servers import SILENT, Script, scripted_server
from tests.e2e.harness import TARGET, Pair, free_port, paired, wait_until

WORKERS = 4
TRIGGERS = 10
SECONDS = 60
CHANGES = 30
MAIL = 'email = { to = ["ops@example.com"] }\n'


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with paired(tmp_path, start=False) as found:
        yield found


def triggers(action: str) -> str:
    """Return triggers that act at each `sync`."""
    table = '\n[[triggers]]\nname = "{}"\nevent = "sync"\nthrottle = 0\nexec_timeout = "1h"\n'
    return "".join(table.format(number) + action for number in range(TRIGGERS))


def smtp(port: int) -> str:
    return f'\n[smtp]\nhost = "127.0.0.1"\nport = {port}\nstarttls = false\nfrom = "a@b.c"\ntimeout = "1h"\n'


def command(*words: str) -> str:
    program = shutil.which(words[0])
    return f"exec = {json.dumps([program, *words[1:]])}\n"


def run(pair: Pair, tables: str) -> None:
    with pair.production.config.open("a", encoding="utf-8") as writer:
        writer.write(tables)
    pair.start()


def waiting(pair: Pair) -> list[dict[str, Any]]:
    return list(pair.production.json("outbox", expected=(0, 3))["waiting"])


def replicate(pair: Pair) -> None:
    """Change files one after the other, each acknowledged before the next."""
    for number in range(CHANGES):
        (pair.production.root / "file").write_text(str(number))
        wait_until(lambda n=number: text_of(pair.failover.root / "file") == str(n), SECONDS, "it had arrived")  # type: ignore[misc]
    pair.production.cli("wait", TARGET, "--synced")


def text_of(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return path.read_text()
    return ""


def test_guarantee_11_replication_goes_on_while_every_worker_is_blocked(pair: Pair, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    run(pair, triggers(command("sh", "-c", f"echo >> {begun}; exec sleep 3600")))
    wait_until(lambda: begun.exists() and len(begun.read_text()) == WORKERS, SECONDS, "every worker was blocked")
    replicate(pair)
    # All the time: none of them has ended, and no other one has begun.
    assert len(begun.read_text()) == WORKERS
    assert {row["attempts"] for row in waiting(pair)} == {0}
    pair.stop()


@pytest.mark.soak
def test_guarantee_11_replication_goes_on_while_every_mail_hangs(pair: Pair) -> None:
    script = Script("220 hello", SILENT)
    with scripted_server(script) as port:
        run(pair, smtp(port) + triggers(MAIL))
        wait_until(lambda: len(script.heard) == WORKERS, SECONDS, "every worker was blocked")
        replicate(pair)
        assert len(script.heard) == WORKERS
        assert {row["attempts"] for row in waiting(pair)} == {0}
        pair.stop()


@pytest.mark.soak
def test_guarantee_11_replication_goes_on_while_actions_crash(pair: Pair) -> None:
    run(pair, triggers(command("sh", "-c", "kill -SEGV $$")))
    wait_until(lambda: sum(row["attempts"] for row in waiting(pair)) >= TRIGGERS, SECONDS, "each had crashed")
    replicate(pair)
    assert {row["answer"] for row in waiting(pair) if row["attempts"]} == {"ended with signal 11"}
    pair.stop()


def storm(pair: Pair) -> str:
    """Return a second target, which nobody serves: its failures are many events."""
    return (
        f'\n[[failover]]\nname = "dead"\naddress = "127.0.0.1:{free_port()}"\non_failure = {{ retry = "10ms..10ms" }}\n'
    )


@pytest.mark.soak
def test_guarantee_11_replication_goes_on_while_the_outbox_is_full(pair: Pair) -> None:
    with scripted_server(Script("220 hello", SILENT)) as port:
        run(pair, storm(pair) + smtp(port) + triggers(MAIL))
        wait_until(lambda: pair.production.raised("actions.overflowed"), SECONDS, "actions had been lost, and told")
        replicate(pair)
        assert len(waiting(pair)) == 1000
        pair.stop()


@pytest.mark.soak
def test_guarantee_11_replication_goes_on_with_templates_that_fail_or_are_invalid(pair: Pair) -> None:
    failing = 'email = { to = ["ops@example.com"], subject = "{{ 1 // bytes }}" }\n'
    run(pair, storm(pair) + smtp(free_port()) + triggers(failing))
    wait_until(lambda: any(row["attempts"] for row in waiting(pair)), SECONDS, "a mail had been tried")
    replicate(pair)
    good = pair.production.config.read_text()
    pair.production.config.write_text(good.replace("{{ 1 // bytes }}", "{{ nobody_knows"))
    pair.production._signal(signal.SIGHUP)
    refused = ("events", "--event", "config.refused")
    wait_until(lambda: pair.production.json(*refused)["events"], SECONDS, "the reload was refused")
    pair.production.config.write_text(good)
    replicate(pair)
    pair.stop()
