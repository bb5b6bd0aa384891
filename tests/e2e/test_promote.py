"""`syncer promote` with real agents, services and hooks: handed over, taken by force, and the dead one's return."""

from __future__ import annotations

from pathlib import Path

from tests.documented import deviations, examples
from tests.e2e.harness import DOMAIN, Node, paired, wait_until


def with_commands(node: Node, tables: str) -> str:
    """Return the tables of a node with services that are a file, and hooks; all write to a log."""
    log, service = node.folder / "log", node.folder / "service"
    commands = {
        "start": f"echo start >> {log}; touch {service}",
        "stop": f"echo stop >> {log}; rm -f {service}",
        "status": f"test -e {service} || exit 3",
        "freeze": f"echo freeze >> {log}; rm -f {service}",
    }
    lines = "".join(f'{key} = ["/bin/sh", "-c", "{line}"]\n' for key, line in commands.items())
    hooks = "".join(
        f'{hook} = ["/bin/sh", "-c", "echo $SYNCER_HOOK $SYNCER_KIND $SYNCER_PEER $SYNCER_TERM >> {log}"]\n'
        for hook in ("before_promote", "after_promote", "before_demote", "after_demote")
    )
    head = f"[domains.{DOMAIN}]\n"
    return f"[hooks]\n{hooks}\n" + tables.replace(head, head + lines)


def log_of(node: Node) -> list[str]:
    found = (node.folder / "log").read_text("utf-8").split("\n")[:-1]
    (node.folder / "log").write_text("")
    return found


def test_a_role_goes_over_and_back_by_force_and_the_dead_one_is_fenced_when_it_returns(tmp_path: Path) -> None:
    with paired(tmp_path, start=False) as pair:
        pair.failover.stop()
        for node in (pair.failover, pair.production):
            node.write_configuration(with_commands(node, pair.tables_of(node)))
        (pair.production.folder / "service").touch()
        pair.start()
        (pair.production.root / "file").write_text("x")
        pair.wait_synced()
        refused = pair.production.cli("promote", "--yes", check=4)
        assert "only a failover node is promoted" in refused.stderr
        assert "there is no terminal" in pair.failover.cli("promote", check=4).stderr

        done = pair.failover.cli("promote", "--yes")
        assert f"done     Hand over: be production no more (on {pair.production.name})" in done.stderr
        assert ": done in " in done.stdout
        assert (pair.failover.status()["mode"], pair.production.status()["mode"]) == ("production", "failover")
        name = pair.production.name
        assert log_of(pair.failover) == [f"before_promote planned {name} 1", "start", f"after_promote planned {name} 2"]
        assert log_of(pair.production)[:2] == [f"before_demote planned {pair.failover.name} 1", "freeze"]
        assert pair.production.raised("fenced") == []
        (pair.failover.root / "other").write_text("y")
        wait_until((pair.production.root / "other").exists, 20.0, "changes go the other way")

        # The new production dies, and the old one takes over without it.
        pair.failover.kill()
        plan = pair.production.json("promote", expected=(5,))
        assert deviations(examples()["promote-plan"], plan) == []
        assert (plan["kind"], plan["needs_force"], plan["answers"]) == ("forced", True, False)
        result = pair.production.json("promote", "--force", "--yes", expected=(0,))
        assert (result["procedure"]["kind"], result["procedure"]["outcome"]) == ("promote_forced", "finished")
        status = pair.production.status()
        assert (status["mode"], status["term"]["counter"]) == ("production", 3)
        assert (pair.production.folder / "service").exists()
        pair.failover.start()
        wait_until(lambda: pair.failover.status()["mode"] == "fenced", 20.0, "the dead one is fenced when it returns")
        assert pair.failover.told("fenced")[0]["term"] == 3
