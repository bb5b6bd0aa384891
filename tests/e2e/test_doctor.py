"""`syncer doctor` on real nodes: a healthy pair is well, each broken thing is found, and nothing is changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.documented import deviations, examples
from tests.e2e.harness import Node, Pair, paired


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with paired(tmp_path) as found:
        (found.production.root / "a").write_text("a")
        found.wait_synced()
        yield found


def doctor(node: Node, expected: int, *arguments: str) -> dict[str, Any]:
    found = node.json("doctor", *arguments, expected=None)
    assert exit_of(ours(found)) == expected, grave(found)
    assert found["exit_code"] == exit_of(findings(found))
    return found


def findings(result: dict[str, Any], group: str = "") -> list[dict[str, str]]:
    return [item for found in result["groups"] if group in ("", found["name"]) for item in found["findings"]]


def ours(result: dict[str, Any]) -> list[dict[str, str]]:
    """Return the findings less those about the machine: its limits are not ours, and another test may lower them."""
    return [item for item in findings(result) if item not in findings(result, "machine")]


def exit_of(found: list[dict[str, str]]) -> int:
    severities = {item["severity"] for item in found}
    return 1 if "error" in severities else 3 if "warning" in severities else 0


def grave(result: dict[str, Any]) -> list[str]:
    return [item["what"] for item in ours(result) if item["severity"] in ("error", "warning")]


def test_a_healthy_pair_has_nothing_to_do_with_and_without_its_agents(pair: Pair) -> None:
    for node in (pair.production, pair.failover):
        found = doctor(node, 0)
        assert deviations(examples()["doctor"], found) == []
        assert any(item["what"].startswith("runs as process") for item in findings(found, "agent"))
    [peer] = findings(doctor(pair.production, 0), "peers")
    assert peer["what"].endswith("answers, and both nodes know each other")
    pair.failover.stop()
    lonely = doctor(pair.production, 1)
    assert any("cannot be reached (Connection refused)" in what for what in grave(lonely))
    pair.failover.start()
    pair.production.stop()
    before = sorted(os.listdir(pair.production.state))
    found = doctor(pair.production, 0)
    assert any("none runs" in item["what"] for item in findings(found, "agent"))
    assert sorted(os.listdir(pair.production.state)) == before
    done = pair.production.cli("doctor", check=False)
    said = done.stdout
    assert ("nothing to do (" in said) == (done.returncode == 0)
    assert "  ok      node.listen: " in said


@pytest.mark.soak
def test_the_stream_goes_on_while_the_doctor_looks(pair: Pair) -> None:
    doctor(pair.production, 0)
    (pair.production.root / "b").write_text("b")
    pair.wait_equal()
    assert pair.production.stream()["state"] == "streaming"
    assert pair.failover.raised("pairing.refused") == []


@pytest.mark.soak
def test_what_a_service_reads_and_nobody_synchronizes(pair: Pair, tmp_path: Path) -> None:
    key = tmp_path / "x.key"
    key.touch()
    (pair.production.root / "nginx.conf").write_text(f"events {{}}\nhttp {{\n ssl_certificate_key {key};\n}}\n")
    pair.wait_synced()
    [item] = [item for item in findings(doctor(pair.production, 3)) if item["severity"] == "warning"]
    assert item["where"] == str(key)
    assert "nginx.conf line 3 (ssl_certificate_key), is in no domain" in item["what"]
    # On this failover the key happens to be there; then it is not.
    doctor(pair.failover, 0)
    key.unlink()
    assert any("does not exist on this node" in what for what in grave(doctor(pair.failover, 3)))


@pytest.mark.soak
def test_a_target_that_forgot_this_node(pair: Pair, tmp_path: Path) -> None:
    pair.production.cli("target", "forget", "dr-a", "--yes")
    assert any("is not paired with this node" in what for what in grave(doctor(pair.production, 1)))


@pytest.mark.soak
def test_a_missing_root_and_a_state_that_others_read(pair: Pair) -> None:
    pair.production.stop()
    pair.production.state.chmod(0o750)
    assert grave(doctor(pair.production, 3)) == ["other users can look into it"]
    pair.production.root.rename(pair.production.root.with_name("away"))
    assert any("is missing" in what for what in grave(doctor(pair.production, 1)))


@pytest.mark.soak
def test_an_unknown_domain_and_a_wrong_configuration_exit_2(pair: Pair) -> None:
    assert (
        "is not a configured domain; there are: tree" in pair.production.cli("doctor", "--domain", "x", check=2).stderr
    )
    pair.production.config.write_text("[node]\n")
    assert "node.name" in pair.production.cli("doctor", check=2).stderr
