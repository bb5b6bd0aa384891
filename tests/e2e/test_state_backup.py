"""`syncer state backup` beside a running agent, and `syncer state restore` with what it means for both nodes."""

from __future__ import annotations

from pathlib import Path

from tests.documented import deviations, examples
from tests.e2e.harness import paired, wait_until


def test_a_lost_state_comes_back_fenced_and_an_existing_one_keeps_its_mode(tmp_path: Path) -> None:
    with paired(tmp_path) as pair:
        production, failover = pair.production, pair.failover
        (production.root / "a").write_text("a")
        pair.wait_synced()
        file = tmp_path / "prod.backup"
        made = production.json("state", "backup", str(file))
        assert deviations(examples()["state-backup"], made) == []
        assert file.stat().st_mode & 0o777 == 0o600
        assert "is there already" in production.cli("state", "backup", str(file), check=False).stderr
        assert "an agent" in production.cli("state", "restore", str(file), "--yes", check=False).stderr
        assert production.stop() == 0
        # Without a person's word nothing happens.
        assert production.cli("state", "restore", str(file), check=4).returncode == 4
        restored = production.json("state", "restore", str(file), "--yes")
        assert deviations(examples()["state-restore"], restored) == []
        assert (restored["mode"], restored["here"]["mode"]) == ("production", "production")
        production.start()
        (production.root / "b").write_text("b")
        pair.wait_synced()
        # Nobody takes the restored node for a copy of itself; all of it was compared anew.
        assert pair.differences() == []
        assert production.stop() == 0
        (production.state / "node.db").write_bytes(b"a disk has torn it")
        for log in ("node.db-wal", "node.db-shm"):
            (production.state / log).unlink(missing_ok=True)
        restored = production.json("state", "restore", str(file), "--yes")
        assert (restored["mode"], restored["here"]) == ("fenced", None)
        production.start()
        (production.root / "c").write_text("c")
        status = production.status()
        assert status["mode"] == "fenced"
        assert "restored from a backup" in status["mode_reason"]
        assert production.told("fenced")
        assert production.stop() == 0
        # A person knows that nobody was promoted.
        (production.state / "node.db").unlink()
        restored = production.json("state", "restore", str(file), "--as", "production", "--yes")
        assert restored["mode"] == "production"
        production.start()
        wait_until((failover.root / "c").exists, 60.0, "it sends again")
        assert production.cli("state", "restore", str(tmp_path / "none"), "--yes", check=False).returncode == 1
