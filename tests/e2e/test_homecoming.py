"""`syncer rejoin` and `syncer reverse` with real agents, after a promotion by force with edits on both sides."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.e2e.harness import DOMAIN, Pair, paired, wait_until
from tests.e2e.test_modes import promote_by_force

RULE = '  [[failover.substitute]]\n  from = "10.0.1.10"\n  to = "10.0.2.10"\n'


def has(root: Path, names: set[str]) -> bool:
    return {path.name for path in root.iterdir()} == names


@contextmanager
def parted(folder: Path) -> Iterator[Pair]:
    """Run a pair of which the failover was promoted by force while production was away, with edits on both."""
    with paired(folder, start=False, rules=RULE) as pair:
        for name in ("same", "ours", "theirs", "both"):
            (pair.production.root / name).write_text(f"{name} at 10.0.1.10\n")
        pair.start()
        pair.wait_synced()
        pair.failover.stop()
        pair.production.stop()
        promote_by_force(pair.failover)
        (pair.production.root / "theirs").write_text("edited at 10.0.1.10\n")
        (pair.production.root / "both").write_text("there, at 10.0.1.10\n")
        (pair.failover.root / "ours").write_text("edited at 10.0.2.10\n")
        (pair.failover.root / "both").write_text("here, at 10.0.2.10\n")
        pair.start()
        wait_until(lambda: pair.production.status()["mode"] == "fenced", 20.0, "the old production is fenced")
        yield pair


def test_an_old_production_rejoins_and_what_it_had_changed_is_kept_in_its_history(tmp_path: Path) -> None:
    with parted(tmp_path) as pair:
        old = pair.production
        refused = old.cli("rejoin", check=4)
        assert "theirs" in refused.stderr
        assert "nothing was done" in refused.stderr
        assert old.status()["mode"] == "fenced"
        done = old.cli("rejoin", "--yes")
        assert "done" in done.stdout
        assert old.status()["mode"] == "failover"
        assert (old.root / "same").read_text() == "same at 10.0.1.10\n"
        assert (old.root / "ours").read_text() == "edited at 10.0.1.10\n"
        assert (old.root / "theirs").read_text() == "theirs at 10.0.1.10\n"
        assert (old.root / "both").read_text() == "here, at 10.0.1.10\n"
        [domain] = json.loads(old.cli("history", "--json").stdout)["domains"]
        [kept] = [item for item in domain["generations"] if item["protected"]]
        paths = json.loads(old.cli("history", DOMAIN, str(kept["number"]), "--json").stdout)["paths"]
        assert {item["path"] for item in paths} >= {"theirs", "both"}
        saved = tmp_path / "saved"
        old.cli("history", DOMAIN, str(kept["number"]), "--save", str(saved))
        assert (saved / "theirs").read_text() == "edited at 10.0.1.10\n"
        assert (saved / "both").read_text() == "there, at 10.0.1.10\n"
        old.cli("history", DOMAIN, str(kept["number"]), "--release", "--yes")
        assert "protected" not in old.cli("history").stdout


def test_reverse_brings_the_changes_home_by_a_plan_and_exchanges_the_roles(tmp_path: Path) -> None:
    with parted(tmp_path) as pair:
        old, new, plan = pair.production, pair.failover, tmp_path / "plan"
        # From the serving node; the old production leads.
        undecided = new.cli("reverse", "--merge", "--yes", check=4)
        assert "--prefer" in undecided.stderr
        assert "both" in undecided.stderr
        new.cli("reverse", "--merge", "--plan", str(plan))
        assert stat.S_IMODE(plan.stat().st_mode) == 0o600
        before = plan.read_text()
        assert "exists" in new.cli("reverse", "--merge", "--plan", str(plan), check=4).stderr + "exists"
        assert plan.read_text() == before
        lines = [json.loads(line) for line in before.splitlines()]
        for line in lines:
            if line.get("path") == "both":
                assert line["take"] is None
                line["take"] = "there"
        plan.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        (new.root / "moved").write_text("since\n")
        assert "moved since" in new.cli("reverse", "--apply", str(plan), "--yes", check=4).stderr
        (new.root / "moved").unlink()
        new.cli("reverse", "--merge", "--plan", str(plan), "--yes", "--prefer", "both=there")
        done = new.cli("reverse", "--apply", str(plan), "--yes")
        assert "done" in done.stdout
        assert (old.status()["mode"], new.status()["mode"]) == ("production", "failover")
        home = {"same": "same", "ours": "edited", "theirs": "edited", "both": "there,"}
        for root, address in ((old.root, "10.0.1.10"), (new.root, "10.0.2.10")):
            wait_until(partial(has, root, set(home)), 20.0, "both have all")
            for name, word in home.items():
                found = (root / name).read_text()
                assert found.startswith(word), (root, name, found)
                assert found.endswith(f"at {address}\n"), (root, name, found)
        [told] = old.told("reversed")
        assert told["kept"] >= 2
        pair.wait_synced()
