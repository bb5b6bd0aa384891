"""Each check of the doctor finds the one thing that it is for, and nothing in a healthy node."""

from __future__ import annotations

import datetime as dt
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from syncer.doctor.accounts import accounts
from syncer.doctor.agent import agent
from syncer.doctor.checks import CHECKS, Check, examine
from syncer.doctor.commands import commands
from syncer.doctor.configuration import configuration
from syncer.doctor.databases import databases
from syncer.doctor.findings import Finding, Group, Severity, broken, exit_code, fine, noted, warned
from syncer.doctor.hooks import hooks
from syncer.doctor.kernel import kernel
from syncer.doctor.machine import Machine
from syncer.doctor.peers import peers
from syncer.doctor.roots import ignores_case, roots
from syncer.doctor.state_files import state_files, validity
from syncer.doctor.subject import Agent, Subject
from syncer.doctor.switching import switching
from syncer.doctor.watches import watches
from syncer.model import Cursor, Mode, Term
from syncer.state.cursors import Standing, TargetRecord, record_target, write_standing
from syncer.state.peer_addresses import record_addresses, record_port
from syncer.state.peers import Peer, add_peer, remove_peer
from syncer.state.store import StateStore
from syncer.state.term import take_mode
from syncer.trust import identity
from syncer.trust.reach import Reached
from tests.documented import examples

Examined = Callable[..., Subject]


def bad(check: Callable[[Subject], Any], subject: Subject) -> list[str]:
    """Return the sentences of what needs something."""
    gentle = (Severity.OK, Severity.NOTE)
    return [finding.sentence for finding in check(subject) if finding.severity not in gentle]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory as `syncer init` makes it."""
    directory = tmp_path / "state"
    with StateStore.open(directory, create=True) as store:
        identity.create(directory, store.node_id, "n")
    return directory


def test_the_exit_code_follows_the_gravest() -> None:
    def code(*findings: Finding) -> int:
        return exit_code([Group("a", findings)])

    assert code() == 0
    assert code(fine("x"), noted("x")) == 0
    assert code(fine("x"), warned("x", "y", "z")) == 3
    assert code(warned("x", "y", "z"), broken("x", "y", "z")) == 1


def test_a_healthy_node_has_nothing_but_notes(examined: Examined, state: Path) -> None:
    subject = examined(mode="failover")
    groups = examine(subject)
    assert exit_code(groups) == 0, groups
    assert {"configuration", "machine", "state", "agent", "roots", "peers"} <= {group.name for group in groups}


def test_another_check_can_be_added(examined: Examined) -> None:
    groups = examine(examined(), [Check("mine", lambda _: [warned("a", "b", "c")]), Check("silent", lambda _: [])])
    assert groups == (Group("mine", (warned("a", "b", "c"),)),)
    assert len({check.name for check in CHECKS}) == len(CHECKS)


def test_nothing_is_changed_by_looking(examined: Examined, state: Path, tmp_path: Path) -> None:
    subject = examined(mode="failover")

    def shape() -> list[tuple[str, int, int]]:
        every = [tmp_path, *tmp_path.rglob("*")]
        return sorted((str(path), path.lstat().st_mtime_ns, path.lstat().st_size) for path in every)

    before = shape()
    examine(subject)
    assert shape() == before


def test_a_state_that_others_can_write(examined: Examined, state: Path) -> None:
    state.chmod(0o777)
    assert any("other users can write there: run `chmod 700" in line for line in bad(state_files, examined()))
    state.chmod(0o750)
    assert any("other users can look into it" in line for line in bad(state_files, examined()))


def test_a_missing_state(examined: Examined) -> None:
    [sentence] = bad(state_files, examined())
    assert sentence.endswith("run `syncer init`")


def test_a_damaged_database(examined: Examined, state: Path) -> None:
    data = bytearray((state / "node.db").read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    (state / "node.db").write_bytes(data)
    assert any("restore a backup" in line for line in bad(state_files, examined()))
    (state / "node.db").write_bytes(b"no database at all" * 1000)
    assert any("restore a backup" in line for line in bad(state_files, examined()))
    (state / "node.db").unlink()
    assert any("run `syncer init`" in line for line in bad(state_files, examined()))


def test_a_newer_database(examined: Examined, state: Path) -> None:
    import sqlite3

    connection = sqlite3.connect(state / "node.db")
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    assert any("written by a newer syncer (schema 999" in line for line in bad(state_files, examined()))


def test_an_identity_that_is_not_safe_or_missing(examined: Examined, state: Path) -> None:
    (state / identity.KEY_NAME).chmod(0o644)
    assert any("other users can read this key" in line for line in bad(state_files, examined()))
    (state / identity.CERTIFICATE_NAME).unlink()
    (state / identity.KEY_NAME).chmod(0o600)
    assert any("identity.crt: is missing" in line for line in bad(state_files, examined()))


@pytest.mark.parametrize(
    ("days", "severity"),
    [(-3, Severity.ERROR), (0, Severity.OK), (36_490, Severity.WARNING), (36_600, Severity.ERROR)],
)
def test_the_certificates_validity(state: Path, days: int, severity: Severity) -> None:
    pem = (state / identity.CERTIFICATE_NAME).read_bytes()
    [finding] = validity(pem, "x", dt.datetime.now(dt.UTC) + dt.timedelta(days=days))
    assert finding.severity is severity


def test_a_configuration_that_others_can_write(examined: Examined, tmp_path: Path) -> None:
    subject = examined(targets={"dr-a": ""})
    assert bad(configuration, subject) == []
    (tmp_path / "syncer.toml").chmod(0o666)
    assert any("other users can write here" in line for line in bad(configuration, subject))


def test_a_valid_configuration_is_counted(examined: Examined) -> None:
    [one] = configuration(examined(targets={"dr-a": ""}))
    assert one.what == "valid, 1 domain, 1 target"
    [more] = configuration(examined({"a": "", "b": ""}, targets={"dr-a": "", "dr-b": ""}))
    assert more.what == "valid, 2 domains, 2 targets"


def test_secrets_that_others_can_read(examined: Examined, tmp_path: Path) -> None:
    from dataclasses import replace

    subject = examined(targets={"dr-a": ""})
    secret = tmp_path / "smtp.secret"
    subject.settings = replace(subject.settings, secret_files=(secret,))
    assert any("cannot be read (No such file" in line for line in bad(configuration, subject))
    secret.write_text("word\n")
    secret.chmod(0o644)
    assert any(f"run `chmod 600 {secret}`" in line for line in bad(configuration, subject))
    secret.chmod(0o600)
    assert bad(configuration, subject) == []


def test_production_without_targets(examined: Examined) -> None:
    [sentence] = bad(configuration, examined())
    assert "production sends to nobody" in sentence


def test_a_missing_root(examined: Examined, tmp_path: Path) -> None:
    subject = examined()
    assert bad(roots, subject) == []
    (tmp_path / "nginx").rmdir()
    [sentence] = bad(roots, subject)
    assert "is missing: the domain stays suspended until it is there" in sentence
    # On failover the first synchronization makes it.
    assert bad(roots, examined({"other": ""}, mode="failover")) == []
    (tmp_path / "nginx").touch()
    assert any("is not a directory" in line for line in bad(roots, subject))


def test_a_file_system_that_ignores_case_is_told_from_one_that_does_not(tmp_path: Path) -> None:
    assert not ignores_case(tmp_path)
    (tmp_path / "123").touch()
    (tmp_path / "Name").touch()
    assert not ignores_case(tmp_path)
    # Both names are there: that says nothing.
    (tmp_path / "nAME").touch()
    assert not ignores_case(tmp_path)


@pytest.fixture
def proc(tmp_path: Path) -> Callable[..., Machine]:
    def make(**limits: int) -> Machine:
        folder = tmp_path / "proc" / "sys" / "fs" / "inotify"
        folder.mkdir(parents=True, exist_ok=True)
        for name, value in limits.items():
            (folder / name).write_text(f"{value}\n")
        return Machine(tmp_path / "proc")

    return make


def test_too_few_watches(examined: Examined, tmp_path: Path, proc: Callable[..., Machine]) -> None:
    subject = examined()
    for number in range(9):
        (tmp_path / "nginx" / str(number)).mkdir()
    subject.machine = proc(max_user_watches=13)
    assert bad(watches, subject) == []
    subject.machine = proc(max_user_watches=12)
    [sentence] = bad(watches, subject)
    assert sentence.startswith("fs.inotify.max_user_watches: is 12, and 10 directories are to be watched")
    subject.machine = Machine(tmp_path / "no-proc")
    assert bad(watches, subject) == []


def test_watches_that_the_agent_did_not_get(examined: Examined) -> None:
    subject = examined()
    status = examples()["status"]
    status["domains"][0]["watched"] = 20
    subject.agent = Agent(status)
    assert any("only 20 of 24 directories are watched" in line for line in bad(watches, subject))


def test_a_short_event_queue(examined: Examined, proc: Callable[..., Machine]) -> None:
    subject = examined()
    subject.machine = proc(max_queued_events=100)
    assert any("fs.inotify.max_queued_events: is 100" in line for line in bad(kernel, subject))
    subject.machine = proc(max_queued_events=16_384)
    assert bad(kernel, subject) == []


def test_no_inotify_instance_left(examined: Examined) -> None:
    class Exhausted(Machine):
        def watching_fails(self) -> str:
            return "Too many open files"

    subject = examined()
    subject.machine = Exhausted()
    assert any("raise fs.inotify.max_user_instances" in line for line in bad(kernel, subject))


@pytest.mark.needs_root
def test_the_view_of_a_check_is_tried_on_failover(examined: Examined, tmp_path: Path) -> None:
    subject = examined({"nginx": 'check = ["true"]'}, mode="failover")
    (tmp_path / "nginx" / "a").touch()
    said = [finding.what for finding in kernel(subject)]
    assert "sees the new tree before it is live" in said
    assert os.listdir(tmp_path / "nginx") == ["a"]


def test_commands_that_cannot_be_started(examined: Examined, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    lines = f'check = ["no-such-program"]\nreload = ["{plain}"]'
    failover = list(commands(examined({"nginx": lines}, mode="failover")))
    assert [finding.severity for finding in failover] == [Severity.ERROR, Severity.WARNING]
    assert failover[0].where == "domains.nginx.check"
    assert "is not executable" in failover[1].what
    assert {finding.severity for finding in commands(examined({"nginx": lines}))} == {Severity.NOTE}
    assert [finding.severity for finding in commands(examined({"nginx": 'check = ["true"]'}, mode="failover"))] == [
        Severity.OK
    ]


def test_a_port_that_is_taken_and_an_address_that_is_not_ours(examined: Examined, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        subject = examined()
        file = tmp_path / "syncer.toml"
        for listen, expected in (
            (f"127.0.0.1:{taken.getsockname()[1]}", "Address already in use"),
            ("192.0.2.1:0", "Cannot assign requested address"),
        ):
            file.write_text(file.read_text().replace(subject.settings.node.listen, listen))
            from syncer.config import load

            settings = load(file)
            subject = Subject(settings, settings.domains)
            assert any(expected in line for line in bad(agent, subject))


def test_a_port_of_health_that_is_taken(examined: Examined, tmp_path: Path) -> None:
    from syncer.config import load

    file = tmp_path / "syncer.toml"
    examined()
    text = file.read_text()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        file.write_text(re.sub(r"(?m)^http = .*\n", "", text).replace("[node]\n", f'[node]\nhttp = "{address}"\n'))
        settings = load(file)
        [line] = bad(agent, Subject(settings, settings.domains))
        assert "node.http" in line
        assert "change node.http" in line
    file.write_text(re.sub(r"(?m)^http = .*\n", 'http = ""\n', file.read_text()))
    settings = load(file)
    assert bad(agent, Subject(settings, settings.domains)) == []


def test_what_the_agent_says(examined: Examined) -> None:
    subject = examined()
    status = examples()["status"]
    status["targets"][0] |= {"state": "suspended", "reason": "speaks protocol 2", "clock_skew_seconds": -90.0}
    subject.agent = Agent(status)
    said = bad(agent, subject)
    assert said == [
        "target dr-a: is suspended: speaks protocol 2: see `syncer status`",
        "target dr-a: its clock differs from this one by 90 s: let both nodes keep time by NTP",
    ]
    assert any(finding.what.startswith("limit: user www-data") for finding in agent(subject))
    subject.agent = Agent(trouble="the agent takes no more commands")
    assert [finding.severity for finding in agent(subject)] == [Severity.ERROR]


def test_targets(examined: Examined, state: Path) -> None:
    subject = examined(targets={"dr-a": "", "dr-b": "", "dr-c": "", "dr-d": "", "dr-e": ""})
    with StateStore.open(state) as store:
        for name in ("dr-a", "dr-c", "dr-d"):
            add_peer(store, Peer(f"id-{name}", name, b"", f"print-{name}", 0.0))
            record_target(store, TargetRecord(name, f"id-{name}", name))
    answers = [
        Reached("", "print-dr-a", is_let_in=True),
        Reached("Connection refused"),
        Reached("", "another", is_let_in=False),
        Reached("", "print-dr-d", is_let_in=False),
        Reached("", "print-dr-e", is_let_in=False),
    ]
    subject.reach = lambda host, port, holder, seconds: answers[port - 1]
    found = list(peers(subject))
    assert [finding.severity.value for finding in found] == ["ok", "error", "error", "warning", "error"]
    assert [finding.what for finding in found] == [
        "127.0.0.1:1 answers, and both nodes know each other",
        "127.0.0.1:2 cannot be reached (Connection refused)",
        "another server answers at 127.0.0.1:3: its certificate is not the one that was paired",
        found[3].what,
        "127.0.0.1:5 answers, but is not paired with this node",
    ]
    assert "does not know this node" in found[3].what


def test_accounts_that_are_missing_on_failover(examined: Examined, state: Path) -> None:
    subject = examined({"nginx": 'owners = { www-data = "no-such-account" }'}, mode="failover")
    [sentence] = bad(accounts, subject)
    assert "www-data is mapped to no-such-account" in sentence
    assert list(accounts(examined())) == []


def test_databases_that_the_other_server_does_not_reach(examined: Examined, tmp_path: Path) -> None:
    subject = examined({"app": 'exclude = ["*.bak"]', "web": ""})
    root = tmp_path / "app"
    (root / "conf").mkdir()
    (root / "conf" / "app.ini").write_text("[app]\nname = x\n[database]\nurl = mysql://u:hunter2@localhost/app\n")
    (root / "conf" / "app.ini.bak").write_text("db_host = localhost\n")
    (root / "binary").write_bytes(b"\0db_host = localhost\n")
    (root / "redis.conf").write_text("unixsocket /run/redis/redis.sock\n")
    (root / "gone").symlink_to("nowhere")
    (tmp_path / "web" / "site.conf").write_text("listen 127.0.0.1:80;\n")
    found = list(databases(subject))
    assert [(finding.severity, finding.where) for finding in found] == [
        (Severity.WARNING, f"{root}/conf/app.ini line 4"),
        (Severity.OK, "domain web"),
    ]
    assert "the database at localhost (mysql), which is local to a machine: the other server" in found[0].what
    assert "hunter2" not in found[0].sentence
    (root / "many").write_text("".join(f"[{number}]\ndb_host = localhost\n" for number in range(15)))
    (root / "more").write_text("db_host = localhost\n" * 30)
    assert bad(databases, subject)[-1].startswith("domain app: 16 more database addresses")
    received = examined({"app": ""}, mode="failover")
    assert {finding.severity for finding in databases(received)} == {Severity.NOTE}


def test_hooks_that_cannot_be_run(examined: Examined, tmp_path: Path) -> None:
    assert list(hooks(examined())) == []
    tables = f'[hooks]\nbefore_failback = ["/nowhere/backup"]\nafter_promote = ["{tmp_path}/plain"]\n'
    (tmp_path / "plain").write_text("")
    subject = examined({"app": tables})
    cure = "install the program, or correct the command"
    assert bad(hooks, subject) == [
        f"hooks.after_promote: {tmp_path}/plain is not executable, so it would fail after the procedure: {cure}",
        f"hooks.before_failback: /nowhere/backup does not exist, so the procedure would stop before it: {cure}",
    ]
    assert "hooks.before_failback: /nowhere/backup" in " ".join(bad(configuration, subject))
    fine = list(hooks(examined({"app": '[hooks]\nbefore_demote = ["true"]\n'})))
    assert [finding.severity for finding in fine] == [Severity.OK]


def test_a_freeze_command_matters_on_production(examined: Examined) -> None:
    subject = examined({"app": 'freeze = ["/nowhere/freeze"]\n'})
    assert "so the domain cannot be frozen" in " ".join(bad(commands, subject))
    assert "nothing starts its services" in " ".join(bad(configuration, subject))


def test_a_change_of_roles_needs_commands_and_hooks(examined: Examined) -> None:
    assert list(switching(examined())) == []
    half = examined({"app": 'stop = ["true"]\nreload = ["true"]\n'})
    [sentence] = bad(switching, half)
    assert sentence.startswith("domains.app: has `stop` and `reload`, but no `start`: a promotion starts nothing")
    starts = list(switching(examined({"app": 'start = ["true"]\nfreeze = ["true"]\ncheck = ["true"]\n'})))
    assert [(finding.severity, finding.where, finding.what.partition(":")[0]) for finding in starts] == [
        (Severity.NOTE, "domains.app", "has no `stop`"),
        (Severity.NOTE, "domains.app", "has no `status`"),
        (Severity.NOTE, "[hooks]", "no hook is configured"),
    ]
    every = "".join(f'{key} = ["true"]\n' for key in ("start", "stop", "status", "freeze", "check"))
    whole = list(switching(examined({"app": f'{every}[hooks]\nafter_promote = ["true"]\n'})))
    assert [finding.severity for finding in whole] == [Severity.OK]


def test_the_way_home_is_tried_from_failover(examined: Examined, state: Path) -> None:
    subject = examined(mode="failover")
    with StateStore.open(state) as store:
        take_mode(store, Mode.FAILOVER, Term(1, "prod"))
        add_peer(store, Peer("prod", "prod-a", b"pem", "pinned", 0.0))
        record_addresses(store, "prod", ["10.0.1.10"])
        record_port(store, "prod", 7000)
        with store.transaction() as writer:
            write_standing(writer, "nginx", Standing(Cursor("i", "r", 1), "prod", b"", b"", True, 1))
    asked = []

    def reach(host: str, port: int, *_: object) -> Reached:
        asked.append((host, port))
        return answers[-1]

    subject.reach = reach
    answers = [Reached("", "pinned", True)]
    assert [(f.severity, f.sentence) for f in switching(subject)] == [
        (Severity.OK, "the way home to prod-a: 10.0.1.10:7000 answers")
    ]
    assert asked == [("10.0.1.10", 7000)]
    for answer, words in ((Reached("refused"), "refused"), (Reached("", "other", True), "another server answers")):
        answers.append(answer)
        [sentence] = bad(switching, subject)
        assert f"it does not answer (10.0.1.10:7000: {words}" in sentence
    with StateStore.open(state) as store:
        remove_peer(store, "prod")
    [sentence] = bad(switching, examined(mode="failover"))
    assert "is not paired any more" in sentence
