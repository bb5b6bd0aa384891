"""`syncer freeze` on real agents: what stops, what is told, and that no freeze outlives what wanted it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documented import deviations, examples
from tests.e2e.harness import DOMAIN, Pair, paired, wait_until


def commands(folder: Path) -> str:
    """Return a domain's commands around a file: the service runs while it is there."""
    runs = folder / "runs"
    runs.touch()
    lines = {
        "status": f"[ -e {runs} ] || exit 3",
        "start": f"touch {runs} && echo start $SYNCER_ACTION >> {folder}/log",
        "freeze": f"rm {runs} && echo freeze $SYNCER_ACTION >> {folder}/log",
    }
    return "".join(f'{key} = ["/bin/sh", "-c", "{script}"]\n' for key, script in lines.items())


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with paired(tmp_path, start=False, domain=commands(tmp_path)) as found:
        (found.production.root / "main.conf").write_text("one\n")
        found.production.start()
        found.production.cli("wait", "--synced")
        yield found
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            if str(tmp_path) in line:
                subprocess.run(["umount", "--lazy", line.split(" ")[4]], check=False)


def test_what_changes_in_a_frozen_domain_arrives_and_is_told(pair: Pair, tmp_path: Path) -> None:
    production = pair.production
    frozen = production.json("freeze", "--for", "30m", "moving house")
    assert deviations(examples()["freeze"], frozen) == []
    assert [(item["domain"], item["starts_again"]) for item in frozen["frozen"]] == [(DOMAIN, True)]
    assert not (tmp_path / "runs").exists()
    assert "moving house" in production.cli("status", check=3).stdout
    refused = production.cli("hold", DOMAIN, "--", "true", check=4)
    assert f"{DOMAIN} is frozen by an operator (moving house)" in refused.stderr
    assert "is frozen" in production.cli("service", "start", DOMAIN, check=4).stderr

    (production.root / "late.conf").write_text("slipped in\n")
    pair.wait_equal()
    wait_until(lambda: production.raised("frozen.changed"), 20, "the change was told")
    [told] = production.raised("frozen.changed")
    assert "late.conf" in told["sample"].split(", ")
    [domain] = production.status()["domains"]
    assert deviations(examples()["status"]["domains"][0]["frozen"], domain["frozen"]) == []
    assert "late.conf" in domain["frozen"]["sample"]

    # As it was, over a restart of the agent that ends badly.
    production.kill()
    production.start()
    assert production.status()["domains"][0]["frozen"]["reason"] == "moving house"
    assert (tmp_path / "log").read_text().split("\n") == ["freeze freeze", ""]
    thawed = production.json("thaw")
    assert deviations(examples()["thaw"], thawed) == []
    assert [(item["services"], "late.conf" in item["sample"]) for item in thawed["thawed"]] == [("started", True)]
    assert (tmp_path / "log").read_text().split("\n") == ["freeze freeze", "start start", ""]
    assert production.status()["domains"][0]["frozen"] is None
    assert production.json("thaw")["thawed"] == []
    assert [event["by"] for event in production.raised("thawed")] == ["operator"]


def test_a_freeze_whose_command_fails_is_none(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "runs").unlink()
    (tmp_path / "runs").mkdir()
    failed = pair.production.cli("freeze", check=1)
    assert "were not frozen: freeze failed" in failed.stderr
    assert pair.production.status()["domains"][0]["frozen"] is None
    assert pair.production.raised("frozen") == []
    assert "at most (node.freeze_max)" in pair.production.cli("freeze", "--for", "2h", check=2).stderr
    assert "is in mode failover" in pair.failover.cli("freeze", check=4).stderr


@pytest.mark.serial
@pytest.mark.needs_root
def test_a_read_only_root_is_writable_again_whatever_happens_to_the_agent(pair: Pair, tmp_path: Path) -> None:
    production, other = pair.production, pair.production.root / "other.conf"
    held = (production.root / "main.conf").open("a")
    production.json("freeze", "--read-only", "--for", "6s")
    with pytest.raises(OSError, match="Read-only file system"):
        other.write_text("x")
    # Who had it open for writing writes on: that is seen, sent and told.
    with held:
        held.write("two\n")
    pair.wait_equal()
    wait_until(lambda: production.raised("frozen.changed"), 20, "the change was told")
    production.kill()
    with pytest.raises(OSError, match="Read-only file system"):
        other.write_text("x")
    production.start()
    wait_until(lambda: production.raised("thawed"), 30, "the freeze ended by itself")
    assert [event["by"] for event in production.raised("thawed")] == ["time"]
    other.write_text("x")
    pair.wait_equal()
    assert production.raised("frozen.forgotten")
    assert (tmp_path / "log").read_text().split("\n") == ["freeze freeze", "start start", ""]
    assert os.fsencode(production.root) not in Path("/proc/self/mountinfo").read_bytes()
    # Without an agent it can be ended, too.
    production.json("freeze", "--read-only")
    production.kill()
    production.json("thaw")
    other.write_text("y")
