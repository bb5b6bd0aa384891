"""Every command on two real nodes, its exit code, and its JSON against docs/json.md."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documented import deviations, examples
from tests.e2e.harness import DOMAIN, TARGET, Pair, paired, wait_until


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Two running nodes with a few files."""
    with paired(tmp_path, start=False) as found:
        (found.production.root / "sites").mkdir()
        for name in ("main.conf", "sites/a.conf", "sites/b.conf"):
            (found.production.root / name).write_text(f"# {name}\n")
        found.production.start()
        found.wait_synced()
        yield found


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[Pair]:
    """A pair whose production agent does not run, with a file that waits."""
    with paired(tmp_path, start=False) as found:
        (found.production.root / "main.conf").write_text("one\n")
        yield found


def test_pairing_pins_both_and_the_token_is_spent(tmp_path: Path) -> None:
    with paired(tmp_path, start=False) as pair:
        pass
    # What is pinned is there without agents, too.
    assert [peer["name"] for peer in pair.production.status()["peers"]] == [TARGET]
    assert [peer["name"] for peer in pair.failover.status()["peers"]] == ["prod-a"]


@pytest.mark.soak
def test_a_token_is_worth_one_join_and_its_results_are_as_documented(tmp_path: Path) -> None:
    with paired(tmp_path, start=False) as pair:
        invitation = pair.failover.json("invite", "--ttl", "1h")
        assert deviations(examples()["invite"], invitation) == []
        assert invitation["agent_running"]
        assert invitation["join_line"] == f"syncer join {pair.address} {invitation['token']}"
        joined = pair.production.json("join", pair.address, invitation["token"])
        assert deviations(examples()["join"], joined) == []
        assert joined["target"] == TARGET
        again = pair.production.cli("join", pair.address, invitation["token"], check=1)
        assert "used" in again.stderr
        unknown = pair.production.cli("join", "127.0.0.1:1", invitation["token"], check=2)
        assert "[[failover]]" in unknown.stderr


def test_an_edit_is_on_failover_and_both_trees_are_equal(pair: Pair) -> None:
    pair.wait_equal()
    root = pair.production.root
    (root / "main.conf").write_text("edited\n")
    (root / "sites" / "a.conf").unlink()
    (root / "new" / "folder").mkdir(parents=True)
    (root / "new" / "link").symlink_to("../main.conf")
    (root / "main.conf").chmod(0o600)
    with open(os.fsencode(root) + b"/caf\xe9.conf", "wb") as odd:
        odd.write(b"not UTF-8")
    pair.wait_equal()
    assert pair.production.stream()["echoes"] == 0


def test_status_of_both_is_as_documented_and_0(pair: Pair) -> None:
    production = pair.production.json("status")
    assert deviations(examples()["status"], production) == []
    assert production["targets"][0]["state"] == "streaming"
    assert production["pid"] == pair.production.pid
    assert production["listen"] == pair.production.address
    wait_until(lambda: pair.failover.status()["exit_code"] == 0, 60, "failover heard production")
    failover = pair.failover.json("status")
    assert deviations(examples()["status-failover"], failover) == []
    assert failover["production"]["name"] == "prod-a"
    assert "now would lose nothing" in pair.production.cli("status").stdout.splitlines()[0]


def test_status_without_an_agent_is_5(idle: Pair) -> None:
    done = idle.production.cli("status", check=5)
    assert "no agent is running" in done.stdout
    assert idle.production.status()["agent"] == "stopped"


@pytest.mark.parametrize(
    "running", [pytest.param(True, id="with agent"), pytest.param(False, id="without agent", marks=pytest.mark.soak)]
)
def test_snapshot_dry_run_and_diff(tmp_path: Path, running: bool) -> None:
    # Not automatic, so that what differs stays until it is asked for.
    with paired(tmp_path, start=False, target="automatic = false\n") as pair:
        (pair.production.root / "main.conf").write_text("one\n")
        if running:
            pair.production.start()
            assert pair.production.json("wait", "--ready")["exit_code"] == 0
        for command in (["snapshot", "--dry-run"], ["diff"]):
            result = pair.production.json(*command, expected=(3,))
            assert deviations(examples()["snapshot"], result) == []
            [domain] = result["targets"][0]["domains"]
            assert domain["outcome"] == "planned"
            assert "main.conf" in [item["path"] for item in domain["plan"]]
            assert domain["plan_total"] == len(domain["plan"])
            assert not (pair.failover.root / "main.conf").exists()
        result = pair.production.json("snapshot", TARGET, "--domain", DOMAIN)
        assert deviations(examples()["snapshot"], result) == []
        assert result["targets"][0]["domains"][0]["outcome"] == "applied"
        assert pair.differences() == []
        assert pair.production.json("snapshot")["targets"][0]["domains"][0]["outcome"] == "equal"
        assert pair.production.json("diff")["exit_code"] == 0
        assert pair.production.json("snapshot", "--dry-run")["exit_code"] == 0


@pytest.mark.soak
def test_a_target_or_domain_that_is_not_there_is_a_usage_error(idle: Pair) -> None:
    done = idle.production.cli("snapshot", "nobody", "--domain", "nothing", check=2)
    assert len(done.stderr.splitlines()) == 2
    assert "production" in idle.failover.cli("snapshot", check=4).stderr


def test_wait_returns_when_all_has_arrived_and_says_what_has_not(pair: Pair) -> None:
    (pair.production.root / "main.conf").write_text("waited for\n")
    result = pair.production.json("wait", TARGET, "--synced", "--timeout", "60s")
    assert deviations(examples()["wait"], result) == []
    assert (pair.failover.root / "main.conf").read_text() == "waited for\n"
    pair.failover.stop()
    (pair.production.root / "main.conf").write_text("not waited for\n")
    done = pair.production.cli("wait", "--timeout", "1s", check=1)
    assert f"{TARGET} {DOMAIN}" in done.stderr


def test_explain(pair: Pair) -> None:
    root = pair.production.root
    result = pair.production.json("explain", str(root / "main.conf"))
    assert deviations(examples()["explain"], result) == []
    assert (result["domain"], result["synchronized"]) == (DOMAIN, True)
    assert result["targets"][0]["state"] == "acknowledged"
    assert not pair.production.json("explain", "/nowhere/at/all")["synchronized"]
    assert not pair.production.json("explain", str(root / ".syncer" / "x"))["synchronized"]


def test_failover_stopped_is_5_and_equal_when_it_is_back(pair: Pair) -> None:
    pair.failover.stop()
    pair.wait_for(lambda stream: stream["state"] == "unreachable", "production noticed")
    for number in range(20):
        (pair.production.root / f"{number}.conf").write_text(f"{number}\n")
    pair.wait_for(lambda stream: stream["changes_behind"] >= 20, "production knew what is behind")
    done = pair.production.cli("status", check=5)
    assert "would lose" in done.stdout.splitlines()[0]
    assert "nothing" not in done.stdout.splitlines()[0]
    result = pair.production.json("snapshot", expected=(5,))
    assert result["targets"][0]["domains"][0]["outcome"] == "unreachable"
    last_full = pair.production.stream()["last_full"]
    pair.failover.start()
    pair.wait_equal()
    # It resumed: there was no further full synchronization.
    assert pair.production.stream()["last_full"] == last_full


def test_failover_says_that_production_is_silent(tmp_path: Path) -> None:
    with paired(tmp_path, node='peer_timeout = "1s"\n') as pair:
        wait_until(lambda: pair.failover.status()["exit_code"] == 0, 60, "failover heard production")
        pair.production.kill()
        wait_until(lambda: pair.failover.status()["exit_code"] == 5, 60, "failover missed production")


@pytest.mark.parametrize(
    "running", [pytest.param(True, id="with agent"), pytest.param(False, id="without agent", marks=pytest.mark.soak)]
)
def test_a_root_with_other_files_waits_for_approval(idle: Pair, running: bool) -> None:
    other, same = idle.failover.root / "other.conf", idle.failover.root / "main.conf"
    other.write_text("not production's\n")
    same.write_text("another content\n")
    if running:
        idle.production.start()
        idle.wait_for(lambda stream: stream["approval"], "the approval was asked for")
        idle.production.cli("status", check=4)
    done = idle.production.cli("snapshot", "--json", check=4)
    result = json.loads(done.stdout)
    assert deviations(examples()["snapshot"], result) == []
    approval = result["targets"][0]["domains"][0]["approval"]
    assert (approval["deletions"], approval["overwrites"]) == (1, 1)
    assert other.read_text() == "not production's\n"
    assert "all of tree, which it has never received" in idle.failover.cli("status", check=False).stdout
    # Its warnings are in the result; beside JSON, stderr is for what nobody expected.
    assert done.stderr == ""
    if running:
        assert "give --yes" in idle.production.cli("approve", TARGET, check=4).stderr
        approved = idle.production.json("approve", TARGET, "--yes")
        assert deviations(examples()["approve"], approved) == []
        idle.wait_synced()
    else:
        idle.production.cli("approve", TARGET, "--yes", check=5)
        idle.production.cli("snapshot", "--yes")
    idle.wait_equal()
    assert not other.exists()


def test_target_forget_drops_the_pin(pair: Pair) -> None:
    plan = pair.production.cli("target", "forget", TARGET, check=4)
    assert "give --yes" in plan.stderr
    assert pair.production.status()["peers"]
    result = pair.production.json("target", "forget", TARGET, "--yes")
    assert deviations(examples()["target-forget"], result) == []
    assert result["peer_removed"]
    assert pair.production.status()["peers"] == []
    pair.production.cli("target", "forget", "nobody", "--yes", check=2)


@pytest.mark.soak
def test_a_second_agent_on_the_same_state_is_refused(pair: Pair) -> None:
    done = pair.production.cli("agent", check=1)
    assert f"is used by process {pair.production.pid}" in done.stderr
    assert "Traceback" not in done.stderr


def test_sigterm_ends_an_agent_with_0_and_removes_its_socket(pair: Pair) -> None:
    assert pair.production.stop() == 0
    assert not (pair.production.state / "agent.sock").exists()
    assert "Traceback" not in pair.production.log.read_text()


def test_a_state_that_is_removed_under_the_agent_ends_it_and_init_makes_no_other(pair: Pair) -> None:
    node = pair.failover
    for path in node.state.glob("node.db*"):
        path.unlink()
    assert node.process is not None
    assert node.process.wait(20) == 1
    node.process = None
    assert "was removed or replaced while the agent ran" in node.last_words()
    refused = node.cli("init", check=1).stderr
    assert "holds the identity of a node but not its node.db" in refused
    assert "syncer invite" in refused
    assert not (node.state / "node.db").exists()


def test_what_production_cannot_handle_is_never_green(pair: Pair) -> None:
    os.mkfifo(pair.production.root / "pipe")
    wait_until(lambda: pair.production.status()["exit_code"] == 3, 60, "the problem counts")
    shown = pair.production.cli("status", check=3).stdout
    assert "1 path that could not be handled" in shown


@pytest.mark.soak
def test_two_nodes_asked_by_one_process_answer_for_themselves(pair: Pair) -> None:
    for _ in range(5):
        assert pair.production.status()["node"] == "prod-a"
        assert pair.failover.status()["node"] == TARGET
