"""`syncer promote --drill` through the command line, with production alive, dead, and a drill that is killed."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from tests.documented import deviations, examples
from tests.e2e.harness import paired, wait_until

RULES = '  [[failover.substitute]]\n  from = "10.0.1.10"\n  to = "10.0.2.10"\n'


def drilled(node: Any, code: int) -> dict[str, Any]:
    result: dict[str, Any] = node.json("promote", "--drill", expected=(code,))
    assert deviations(examples()["drill"], result) == []
    assert result["exit_code"] == code
    return result


def test_a_drill_reports_ready_and_works_without_production(tmp_path: Path) -> None:
    with paired(tmp_path, start=False, rules=RULES, domain='check = ["true"]\nstart = ["true"]\n') as pair:
        root, failover = pair.production.root, pair.failover
        (root / "site.conf").write_text("listen 10.0.1.10:80\n")
        (root / "plain.conf").write_text("nothing\n")
        pair.production.start()
        pair.wait_synced()
        result = drilled(failover, 0)
        [domain] = result["domains"]
        assert (domain["home"]["restored"], domain["home"]["same"], domain["home"]["unproven"]) == (1, 1, 0)
        said = failover.cli("promote", "--drill").stdout
        assert "2 files proved to come home byte for byte" in said
        assert "dr-a becomes production under term 2" in said
        assert "dr-a is ready (" in said
        assert failover.status()["mode"] == "failover"
        assert pair.production.status()["mode"] == "production"
        assert failover.cli("promote", "--drill", "--force", check=2).returncode == 2
        refused = pair.production.cli("promote", "--drill", check=4)
        assert "a drill is for the failover node" in refused.stderr
        pair.production.kill()
        result = drilled(failover, 3)
        assert [item["level"] for item in result["readiness"]["findings"] if item["name"] == "production"] == [
            "warning"
        ]
        assert not (failover.state / "drill").exists()
        # Also where no agent runs.
        assert failover.stop() == 0
        [domain] = drilled(failover, 3)["domains"]
        assert domain["home"]["proved"] == 2
        assert not (failover.state / "drill").exists()


def test_a_drill_that_is_killed_leaves_nothing_after_the_next_start(tmp_path: Path) -> None:
    check = f'check = ["/bin/sh", "-c", "test -e {tmp_path}/go || exit 0; touch {tmp_path}/runs; exec sleep 60"]\n'
    with paired(tmp_path, domain=check) as pair:
        (pair.production.root / "a").write_text("a")
        pair.wait_synced()
        (tmp_path / "go").touch()
        failover = pair.failover
        with failover.log.open("ab") as log:
            running = failover._spawn(("promote", "--drill"), log, {})
        wait_until((tmp_path / "runs").exists, 30.0, "the check runs on the copy")
        assert (failover.state / "drill").stat().st_mode & 0o777 == 0o700
        failover.kill()
        running.send_signal(signal.SIGTERM)
        running.wait(30.0)
        assert (failover.state / "drill").exists()
        (tmp_path / "go").unlink()
        failover.start()
        assert not (failover.state / "drill").exists()
        (pair.production.root / "b").write_text("b")
        pair.wait_synced()
        assert drilled(failover, 0)["outcome"] == "ready"
