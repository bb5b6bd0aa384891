"""Guarantee 13 over a whole run: secrets are planted wherever one can be, and looked for wherever anything is said."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from tests.e2e.harness import TARGET, Node, Pair, free_port, paired, wait_until
from tests.servers import PASSWORD, Hook, MailBox, http_server, mail_server, make_certificate, smtp_table

SECONDS = 60
HOOK_KEY = "hmac-key-9f3b7c1d5e"
HOOK_PATH = "hook-path-4c8a2e6b1d"
APPRISE = "apprise-word-7d1e9b3a5c"
CONTENT = "file-content-2b6f8d4e0a"
DRIFTED = "edited-content-5e9c1a7d3b"
PRINTED = "printed-word-8a4d2f6c0e"


class Arguments:
    """Looks at the arguments of every process of the machine, again and again."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self._over.wait(0.05):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    self.seen.add(path.read_bytes())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def tables(folder: Path, hook: Hook, smtp: str) -> str:
    """Return triggers with every kind of action, each with a secret; writes the files with those."""
    secret = folder / "hook.secret"
    secret.write_text(f"{HOOK_KEY}\n")
    secret.chmod(0o600)
    script = f"{shutil.which('env')} > {folder}/environment; echo password={PRINTED}; exit 1"
    return (
        f"{smtp}\n[[triggers]]\n"
        'name = "all"\nevent = "sync"\nwhen = "!success"\nthrottle = "2s"\nemail = { to = ["ops@example.com"] }\n'
        f'exec = ["{shutil.which("sh")}", "-c", "{script}"]\n'
        f'webhook = {{ url = "http://127.0.0.1:{hook.port}/{HOOK_PATH}", secret_file = "{secret}" }}\n'
        f'notify = ["json://someone:{APPRISE}@127.0.0.1:{free_port()}"]\n'
    )


def served(node: Node) -> Iterator[str]:
    """Yield every answer of the node's HTTP service."""
    for path in ("/healthz", "/readyz", "/production", "/failover", "/status", "/metrics", "/nothing"):
        connection = http.client.HTTPConnection(str(node.status()["http"]), timeout=20)
        connection.request("GET", path)
        yield connection.getresponse().read().decode()
        connection.close()


SAYING = (
    ("status",), ("status", "--json"), ("events", "--json"), ("events",), ("outbox",), ("outbox", "--json"),
    ("trigger", "list"), ("trigger", "list", "--json"), ("trigger", "test", "all", "--json"), ("config", "check"),
    ("doctor", "--json"), ("drift", "--json"), ("history", "--json"), ("explain", "PATH"),
)  # fmt: skip  # a list


def everything_said(node: Node) -> str:
    """Return what every command that shows something prints, what HTTP answers, and the agent's log."""
    said = []
    for line in SAYING:
        done = node.cli(*(str(node.root / "file") if word == "PATH" else word for word in line), check=False)
        said += [done.stdout, done.stderr]
    return "".join([*said, *served(node), node.log.read_text("utf-8", "replace")])


def private_parts(node: Node) -> Iterator[str]:
    """Yield a line of each private key of a node."""
    for file in node.state.rglob("*"):
        if file.is_file() and b"PRIVATE KEY" in (data := file.read_bytes()):
            yield data.decode().splitlines()[1]


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_guarantee_13_planted_secrets_are_in_no_argument_log_event_mail_status_or_metric(tmp_path: Path) -> None:
    certificate, box, port = make_certificate(tmp_path), MailBox(), free_port()
    with (
        http_server(Hook()) as hook,
        mail_server(box, port, certificate),
        Arguments() as arguments,
        paired(tmp_path, start=False, http="127.0.0.1:0") as pair,
    ):
        token = whole_run(pair, tables(tmp_path, hook, smtp_table(port, tmp_path, certificate)), box, hook)
        said = {node.name: everything_said(node) for node in (pair.production, pair.failover)}
        keys = [key for node in (pair.production, pair.failover) for key in private_parts(node)]
        pair.stop()
        databases = b"".join((node.state / "node.db").read_bytes() for node in (pair.production, pair.failover))
    assert len(keys) == 2
    posted = b"".join(post.body + json.dumps(post.headers).encode() for post in hook.posted)
    mailed = "".join(map(str, box.mails))
    environment = (tmp_path / "environment").read_text()
    assert PASSWORD.encode() in box.passwords, "it was used"
    assert any(HOOK_PATH in post.path for post in hook.posted), "it was used"
    assert "SYNCER_EVENT=sync" in environment
    places = {**said, "mail": mailed, "webhook": posted.decode(), "environment of exec": environment}
    for secret in (PASSWORD, HOOK_KEY, HOOK_PATH, APPRISE, CONTENT, DRIFTED, token, *keys):
        for place, text in places.items():
            assert secret not in text, f"{secret[:20]} in what {place} said"
        assert not [line for line in arguments.seen if secret.encode() in line], f"{secret[:20]} in arguments"
    for secret in (PASSWORD, HOOK_KEY, APPRISE, CONTENT, token, PRINTED):
        assert secret.encode() not in databases, f"{secret[:20]} in node.db"
    for place in (*said, "mail", "webhook"):
        assert PRINTED not in places[place], f"what a command printed is in what {place} said"


def whole_run(pair: Pair, alarms: str, box: MailBox, hook: Hook) -> str:
    """Pair again, synchronize, edit failover, fail, recover, fail a login; returns the token of the pairing."""
    with pair.production.config.open("a", encoding="utf-8") as writer:
        writer.write(alarms)
    token = str(pair.failover.json("invite")["token"])
    pair.production.cli("join", pair.address, "-", stdin=f"{token}\n")
    (pair.production.root / "file").write_text(CONTENT)
    pair.start()
    pair.production.cli("wait", "--synced")
    (pair.failover.root / "file").write_text(DRIFTED)
    wait_until(lambda: pair.failover.raised("drift.detected"), SECONDS, "the edit was told")
    pair.failover.kill()
    wait_until(lambda: len(box.mails) >= 2 and len(hook.posted) >= 2, SECONDS, "the failure was told")
    pair.failover.start()
    pair.production.cli("wait", TARGET, "--synced")
    wait_until(lambda: any("Over" in subject for subject in box.subjects), SECONDS, "the end was told")
    # Refused by a server that is told the password, and a token that is used again: both fail, and are told.
    pair.production.cli("join", pair.address, "-", stdin=f"{token}\n", check=1)
    return token
