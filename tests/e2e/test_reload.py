"""Real agents whose configuration changes under them: SIGHUP takes over what can change, and disturbs nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer.cli.invocation import GOES_ON
from tests.documented import deviations, examples
from tests.e2e.harness import DOMAIN, RETRY, TARGET, Node, Pair, free_port, paired, wait_until
from tests.e2e.reloading import SECONDS, begin, edit, refusals, reload, reloaded

OTHER = "other"


def other_root(node: Node) -> Path:
    return node.folder / "other"


def add_domain(pair: Pair) -> None:
    """Give both nodes a second domain, with its root."""
    for node in (pair.production, pair.failover):
        other_root(node).mkdir(exist_ok=True)
        with node.config.open("a", encoding="utf-8") as writer:
            writer.write(f'\n[domains.{OTHER}]\npath = "{other_root(node)}"\n')


def goes_on_under_errors(production: Node) -> None:
    """Show that commands reach the agent of a file that has errors, and that those which need the file refuse."""
    for arguments in (
        ("events", "--event", "config.refused"),
        ("diff",),
        ("wait", "--synced"),
        ("explain", str(production.root / "a")),
        ("suspend", TARGET),
        ("resume", TARGET),
    ):
        done = production.cli(*arguments)
        said = [line for line in done.stderr.splitlines() if "the configuration file has errors" in line]
        assert said == [GOES_ON], (arguments, done.stderr)
        assert "config.refused" in done.stdout or arguments[0] != "events"
    for arguments in (("config", "check"), ("join", "127.0.0.1:1", "x"), ("doctor",)):
        assert "settel" in production.cli(*arguments, check=2).stderr


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with paired(tmp_path, target='timeout = "30s"\n') as found:
        (found.production.root / "a").write_text("1", "utf-8")
        found.wait_equal()
        yield found


def test_a_changed_pattern_takes_effect_and_what_changes_meanwhile_arrives(pair: Pair) -> None:
    production = pair.production
    (production.root / "b.skip").write_text("1", "utf-8")
    pair.wait_equal()
    edit(production, f"[domains.{DOMAIN}]\n", f'[domains.{DOMAIN}]\nexclude = ["*.skip"]\n')
    reload(production)
    for number in range(50):
        (production.root / f"n{number}").write_text(str(number), "utf-8")
    [event] = reloaded(production)
    # Not before: until the new pattern is in force, they are synchronized as all others are.
    (production.root / "b.skip").write_text("2", "utf-8")
    (production.root / "c.skip").write_text("1", "utf-8")
    assert (event["changed"], event["restart_needed"]) == (f"domains.{DOMAIN}.exclude", "")
    assert f"domain {DOMAIN} is synchronized fully with {TARGET}" in production.log.read_text("utf-8")
    pair.wait_synced()
    assert {path.name for path in pair.failover.root.iterdir()} == {"a", "b.skip", *(f"n{n}" for n in range(50))}
    assert (pair.failover.root / "b.skip").read_text("utf-8") == "1"


def test_a_file_with_errors_changes_nothing_and_is_shown_until_a_good_one_was_read(pair: Pair) -> None:
    production = pair.production
    good = production.config.read_text("utf-8")
    since = production.stream()["connected_since"]
    loaded = production.status()["configuration"]
    assert loaded["error"] == ""
    production.config.write_text(f"{good}\n[domains.{OTHER}]\npath = 7\nsettel = 1\n[[failover]\n", "utf-8")
    reload(production)
    wait_until(lambda: refusals(production) == 1, SECONDS, "the file was refused")
    production.config.write_text(f"{good}\n[domains.{OTHER}]\npath = 7\nsettel = 1\n", "utf-8")
    reload(production)
    # Every error is a line of the log.
    wait_until(lambda: refusals(production) == 3, SECONDS, "the file was refused again")
    # The agent goes on, so its status can be seen.
    done = production.cli("status", "--json", check=3)
    status = json.loads(done.stdout)
    assert deviations(examples()["status"], status) == []
    assert len(status["configuration"]["error"].splitlines()) == 2
    assert status["configuration"]["loaded_at"] == loaded["loaded_at"]
    assert "settel" in done.stderr
    shown = production.cli("status", check=3)
    assert "has errors and was not reloaded" in shown.stdout
    assert (shown.stdout.count("settel"), shown.stderr) == (1, "")
    goes_on_under_errors(production)
    (production.root / "later").write_text("1", "utf-8")
    pair.wait_equal()
    production.config.write_text(good, "utf-8")
    reload(production)
    [event] = reloaded(production)
    assert (event["changed"], event["restart_needed"]) == ("", "")
    found = production.status()
    assert found["configuration"]["error"] == ""
    assert found["configuration"]["loaded_at"] > loaded["loaded_at"]
    assert production.stream()["connected_since"] == since
    syntax, keys = (item["error"] for item in production.told("config.refused", 2))
    assert "is not TOML" in syntax
    assert f"domains.{OTHER}.path" in keys
    assert f"domains.{OTHER}.settel" in keys


@pytest.mark.soak
def test_status_of_a_file_with_errors_and_no_agent_says_the_errors(pair: Pair) -> None:
    pair.production.stop()
    with pair.production.config.open("a", encoding="utf-8") as writer:
        writer.write("\n[domains.x]\n")
    for command in ("status", "events", "wait"):
        assert "domains.x.path" in pair.production.cli(command, check=2).stderr


@pytest.mark.soak
def test_a_new_domain_begins_and_a_removed_one_ends_without_a_word_to_the_others(pair: Pair) -> None:
    production, failover = pair.production, pair.failover
    before = production.config.read_text("utf-8")
    since = production.stream()["connected_since"]
    add_domain(pair)
    (other_root(production) / "x").write_text("1", "utf-8")
    reload(failover)
    reloaded(failover)
    reload(production)
    [event] = reloaded(production)
    assert event["changed"] == f"domains.{OTHER}, failover[{TARGET}].domains"
    pair.wait_synced()
    assert (other_root(failover) / "x").read_text("utf-8") == "1"
    (other_root(production) / "y").write_text("2", "utf-8")
    pair.wait_synced()
    assert (other_root(failover) / "y").read_text("utf-8") == "2"
    assert [domain["name"] for domain in failover.status()["domains"]] == [DOMAIN, OTHER]
    production.config.write_text(before, "utf-8")
    reload(production)
    reloaded(production, 2)
    (other_root(production) / "z").write_text("3", "utf-8")
    (production.root / "z").write_text("3", "utf-8")
    pair.wait_equal()
    assert not (other_root(failover) / "z").exists()
    assert [domain["name"] for domain in production.status()["targets"][0]["domains"]] == [DOMAIN]
    assert production.stream()["connected_since"] == since
    # It comes back where it left off.
    add_domain(pair)
    reload(production)
    reloaded(production, 3)
    pair.wait_synced()
    assert (other_root(failover) / "z").read_text("utf-8") == "3"


@pytest.mark.soak
def test_a_removed_target_ends_and_is_remembered_until_it_is_forgotten(pair: Pair) -> None:
    production = pair.production
    text = production.config.read_text("utf-8")
    head, _, _ = text.partition("\n[[failover]]")
    production.config.write_text(head, "utf-8")
    reload(production)
    [event] = reloaded(production)
    assert event["changed"] == f"failover[{TARGET}]"
    status = production.status()
    assert status["targets"] == []
    assert [peer["name"] for peer in status["peers"]] == [TARGET]
    (production.root / "unsent").write_text("1", "utf-8")
    pair.wait_synced()
    assert not (pair.failover.root / "unsent").exists()
    production.config.write_text(text, "utf-8")
    reload(production)
    reloaded(production, 2)
    pair.wait_synced()
    assert pair.differences() == []
    # A stream that resumes where it was, not a full synchronization: pin and cursor were kept.
    assert all(item["kind"] == "partial" for item in production.raised("sync")[1:])
    production.config.write_text(head, "utf-8")
    reload(production)
    reloaded(production, 3)
    production.cli("target", "forget", TARGET, "--yes")
    assert production.status()["peers"] == []


def test_one_target_changes_and_the_other_one_is_left_alone(tmp_path: Path) -> None:
    with paired(tmp_path) as pair:
        production = pair.production
        second = Node(tmp_path / "second", "dr-b", "failover", free_port())
        second.init(f'[domains.{DOMAIN}]\npath = "{second.root}"\n')
        second.start()
        try:
            with production.config.open("a", encoding="utf-8") as writer:
                writer.write(f'\n[[failover]]\nname = "dr-b"\naddress = "{second.address}"\n{RETRY}')
            reload(production)
            reloaded(production)
            production.cli("join", second.address, "-", stdin=second.json("invite")["token"])
            (production.root / "a").write_text("1", "utf-8")
            pair.wait_synced()
            since = {name: production.stream(name)["connected_since"] for name in (TARGET, "dr-b")}
            full = production.stream()["last_full"]
            edit(production, 'name = "dr-b"\n', 'name = "dr-b"\ntimeout = "3s"\n')
            reload(production)
            assert reloaded(production, 2)[-1]["changed"] == "failover[dr-b].timeout"
            (production.root / "b").write_text("1", "utf-8")
            pair.wait_synced()
            assert (second.root / "b").exists()
            assert pair.differences() == []
            assert production.stream()["connected_since"] == since[TARGET]
            assert production.stream("dr-b")["connected_since"] > since["dr-b"]
            assert production.stream()["last_full"] == full
        finally:
            second.end()


@pytest.mark.soak
def test_what_needs_a_restart_is_named_and_the_rest_is_applied(pair: Pair) -> None:
    production = pair.production
    listen = production.status()["listen"]
    edit(production, f'listen = "{production.address}"', f'listen = "127.0.0.1:{free_port()}"')
    edit(production, f"[domains.{DOMAIN}]\n", f'[domains.{DOMAIN}]\nsettle = "1ms"\n')
    since = production.stream()["connected_since"]
    reload(production)
    [event] = reloaded(production)
    assert (event["changed"], event["restart_needed"]) == (f"domains.{DOMAIN}.settle", "node.listen")
    assert "restart the agent for node.listen to take effect" in production.log.read_text("utf-8")
    status = production.status()
    assert (status["listen"], status["configuration"]["restart_needed"]) == (listen, ["node.listen"])
    assert "restart the agent for node.listen to take effect" in production.cli("status").stdout
    (production.root / "later").write_text("1", "utf-8")
    pair.wait_equal()
    assert production.stream()["connected_since"] == since
    production.stop()
    production.start()
    assert production.status()["configuration"]["restart_needed"] == []
    assert production.status()["listen"] != listen


@pytest.mark.soak
def test_a_check_that_is_added_on_failover_refuses_and_one_that_is_corrected_lets_pass(pair: Pair) -> None:
    production, failover = pair.production, pair.failover
    add_domain(pair)
    for node in (failover, production):
        reload(node)
        reloaded(node)
    pair.wait_synced()
    since = production.stream(domain=OTHER)["connected_since"]
    edit(failover, f"[domains.{DOMAIN}]\n", f'[domains.{DOMAIN}]\ncheck = ["false"]\n')
    reload(failover)
    assert reloaded(failover, 2)[-1]["changed"] == f"domains.{DOMAIN}.check"
    (production.root / "refused").write_text("1", "utf-8")
    pair.wait_for(lambda stream: "the check of domain" in stream["reason"], "the check had refused it")
    assert not (failover.root / "refused").exists()
    # That a session ended for a new configuration is no failure, nor is the domain suspended because of it.
    reasons = [event["reason"] for event in production.raised("target.suspended")]
    assert all("the check of domain" in reason for reason in reasons)
    errors = [event["error"] for event in production.raised("sync") if not event["success"]]
    assert all("the check of domain" in error for error in errors)
    edit(failover, 'check = ["false"]', 'check = ["true"]')
    reload(failover)
    reloaded(failover, 3)
    (production.root / "corrected").write_text("1", "utf-8")
    pair.wait_equal()
    assert production.stream(domain=OTHER)["connected_since"] == since


@pytest.mark.soak
def test_two_domains_of_failover_exchange_their_roots(pair: Pair) -> None:
    failover, production = pair.failover, pair.production
    add_domain(pair)
    (other_root(production) / "x").write_text("1", "utf-8")
    for node in (failover, production):
        reload(node)
        reloaded(node)
    pair.wait_synced()
    text = failover.config.read_text("utf-8")
    one, other = f'path = "{failover.root}"', f'path = "{other_root(failover)}"'
    failover.config.write_text(text.replace(one, "@").replace(other, one).replace("@", other), "utf-8")
    reload(failover)
    reloaded(failover, 2)
    # Other files stand there than were applied: that waits for a person, and nothing of it is lost by then.
    pair.wait_for(lambda stream: stream["state"] == "suspended", "the exchange waited for a person")
    assert (failover.root / "a").exists()
    assert (other_root(failover) / "x").exists()


@pytest.mark.soak
def test_what_a_person_said_survives(pair: Pair) -> None:
    production = pair.production
    production.cli("suspend", TARGET, "--reason", "disks are changed")
    edit(production, 'timeout = "30s"', 'timeout = "29s"')
    reload(production)
    reloaded(production)
    (production.root / "later").write_text("1", "utf-8")
    assert production.stream()["suspension"]["reason"] == "disks are changed"
    assert production.stream()["state"] == "suspended"
    assert len(production.raised("target.suspended")) == 1
    production.cli("resume", TARGET)
    pair.wait_equal()
    wait_until(lambda: production.raised("target.resumed"), SECONDS, "it was told that it goes on")


@pytest.mark.soak
def test_a_hold_lasts_through_a_reload_of_its_domain(pair: Pair) -> None:
    production = pair.production
    go = production.folder / "go"
    script = f"echo 1 > {production.root}/one; while [ ! -e {go} ]; do sleep 0.02; done; echo 2 > {production.root}/two"
    held = begin(production, "hold", DOMAIN, "--", "sh", "-c", script)
    wait_until((production.root / "one").exists, SECONDS, "the command ran")
    edit(production, f"[domains.{DOMAIN}]\n", f'[domains.{DOMAIN}]\nexclude = ["*.skip"]\n')
    reload(production)
    reloaded(production)
    [hold] = next(item for item in production.status()["domains"] if item["name"] == DOMAIN)["holds"]
    assert hold["state"] == "active"
    assert not (pair.failover.root / "one").exists()
    go.touch()
    said, _ = held.communicate(timeout=SECONDS)
    assert held.returncode == 0, said
    pair.wait_equal()
    assert (pair.failover.root / "two").exists()
