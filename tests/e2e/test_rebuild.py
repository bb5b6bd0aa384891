"""A site is lost: failover takes over, the old identity is retired, and a new machine is paired under the old name."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.documented import deviations, examples
from tests.e2e.harness import DOMAIN, RETRY, TARGET, Node, differences, free_port, paired, wait_until


def join(production: Node, failover: Node) -> None:
    """Name a new failover node in production's configuration, and pair both."""
    table = f'\n[[failover]]\nname = "{failover.name}"\naddress = "{failover.address}"\n{RETRY}'
    production.config.write_text(production.config.read_text("utf-8") + table, "utf-8")
    production.stop()
    production.start()
    token = failover.json("invite")["token"]
    production.cli("join", failover.address, "-", stdin=f"{token}\n")


def test_a_site_is_lost_and_built_anew_under_its_old_name(tmp_path: Path) -> None:
    with paired(tmp_path) as pair:
        lost, serving = pair.production, pair.failover
        name = lost.name
        for number in range(20):
            (lost.root / f"file-{number}").write_text(str(number))
        pair.wait_equal()
        pair.wait_synced()
        old_id = lost.status()["node_id"]
        lost.kill()
        # The site burns down; a machine of it is found much later.
        (lost.root / "never-sent").write_text("lost")
        promoted = serving.json("promote", "--force", "--yes")
        assert promoted["exit_code"] == 0, promoted
        (serving.root / "after").write_text("made while the site was gone")
        # Shown first, and asked: without a terminal nothing is done.
        asked = serving.cli("retire", name, check=4)
        assert "would be retired for good" in asked.stderr
        assert [peer["name"] for peer in serving.status()["peers"]] == [name]
        retired = serving.json("retire", name, "--yes")
        assert deviations(examples()["retire"], retired) == []
        assert (retired["node_id"], retired["retired"], retired["targets"]) == (old_id, True, [name])
        status = serving.status()
        assert deviations(examples()["status"], status) == []
        assert (status["peers"], status["targets"]) == ([], [])
        assert [item["node_id"] for item in status["retired"]] == [old_id]
        assert "was retired" in serving.cli("retire", name, "--yes", check=4).stderr
        # A new machine under the same name.
        new = Node(tmp_path / "new-site", name, "failover", free_port())
        try:
            new.init(f'[domains.{DOMAIN}]\npath = "{new.root}"\n')
            new.start()
            join(serving, new)
            wait_until(lambda: not differences(serving.root, new.root), 60, "the new site is an exact copy")
            serving.cli("wait", "--synced", "--timeout", "30s")
            serving.cli("verify", name)
            # The old machine comes back on the network.
            lost.start()
            wait_until(lambda: lost.status()["retired"], 60, "it is told that it was retired")
            assert (lost.status()["mode"], lost.status()["retired"][0]["by"]) == ("fenced", TARGET)
            assert "never-sent" not in {path.name for root in (serving.root, new.root) for path in root.iterdir()}
            assert [event["by"] for event in lost.told("retired")] == [TARGET]
            assert serving.raised("fenced") == []
            lost.stop()
            # Planned, and back to the site: nothing is lost.
            switched = new.json("promote", "--yes")
            assert switched["exit_code"] == 0, switched
            assert new.status()["mode"] == "production"
            assert (new.root / "after").read_text() == "made while the site was gone"
            assert new.status()["term"]["node_id"] == new.status()["node_id"] != old_id
            # And the one that served is failover again, fed by the new site.
            assert serving.status()["mode"] == "failover"
            (new.root / "from-the-new-site").write_text("x")
            wait_until(lambda: not differences(serving.root, new.root), 60, "it flows the other way")
        finally:
            new.end()
            shutil.rmtree(new.folder, ignore_errors=True)


def test_a_retired_machine_cannot_be_paired_again_with_its_old_identity(tmp_path: Path) -> None:
    with paired(tmp_path) as pair:
        pair.wait_synced()
        pair.production.cli("retire", TARGET, "--yes")
        wait_until(lambda: pair.failover.status()["retired"], 60, "it is told")
        assert pair.failover.status()["exit_code"] == 4
        token = pair.failover.json("invite")["token"]
        refused = pair.production.cli("join", pair.address, "-", stdin=f"{token}\n", check=False)
        assert refused.returncode != 0
        assert "was retired by prod-a" in refused.stderr
        assert pair.production.status()["peers"] == []
