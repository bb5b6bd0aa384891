"""What destroys is shown first and asked about, and only what was shown is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from syncer.cli import output
from syncer.errors import RefusedError
from tests.documented import examples

Run = Callable[..., tuple[int, str, str]]

EQUAL = {
    "name": "nginx", "outcome": "equal", "changes": 0, "bytes": 0, "seconds": 0.03, "error": "",
    "exit_code": 0, "approval": None, "plan": [], "plan_total": 0, "unsent": [],
}  # fmt: skip  # a table


def test_snapshot_without_a_person_does_nothing_and_exits_4(agent: Any, run: Run) -> None:
    code, out, err = run("snapshot")
    assert code == 4
    assert "refused" in out
    assert "--yes" in err
    assert [name for name, _ in agent.calls] == ["snapshot"]


@pytest.mark.parametrize("flags", [["--yes"], ["--yes", "--json"]])
def test_snapshot_with_yes_approves_what_was_found_and_goes_on(agent: Any, run: Run, flags: list[str]) -> None:
    done = {"targets": [{"name": "dr-a", "domains": [EQUAL]}], "exit_code": 0}
    agent.answer("snapshot", examples()["snapshot"], done)
    code, out, err = run("snapshot", "dr-a", *flags)
    assert code == 0
    assert "equal" in out
    assert "2 deletions and 1 overwrite there wait for your approval" in err
    item = {"target": "dr-a", "domain": "nginx", "id": "9f2c4d1b7a6e5f30"}
    first = {"target": "dr-a", "domains": [], "dry_run": False}
    assert agent.calls == [
        ("snapshot", first),
        ("approve", item),
        ("snapshot", {**first, "approvals": [item]}),
    ]


def test_a_person_is_shown_the_plan_and_may_say_no(agent: Any, run: Run, person: Callable[[str], None]) -> None:
    person("n")
    code, _, err = run("snapshot")
    assert code == 4
    assert "  update   nginx.conf" in err
    assert "and 2 more paths" in err
    assert [name for name, _ in agent.calls] == ["snapshot"]
    person("y")
    run("snapshot")
    assert [name for name, _ in agent.calls] == ["snapshot"] * 2 + ["approve", "snapshot"]


def test_a_dry_run_never_asks(agent: Any, run: Run, person: Callable[[str], None]) -> None:
    person("y")
    assert run("snapshot", "--dry-run", "--yes")[0] == 4
    assert [name for name, _ in agent.calls] == ["snapshot"]


@pytest.mark.parametrize("arguments", [["approve", "dr-a"], ["target", "forget", "dr-b"]])
def test_what_destroys_asks_first(agent: Any, run: Run, person: Callable[[str], None], arguments: list[str]) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (4, "")
    assert "give --yes" in err
    person("n")
    assert run(*arguments)[0] == 4
    assert all(sent.get("plan_only") or sent.get("dry_run") for _, sent in agent.calls)
    person("y")
    assert run(*arguments)[0] == 0
    assert not agent.calls[-1][1].get("plan_only", agent.calls[-1][1].get("dry_run"))


def test_approve_passes_only_what_was_shown(agent: Any, run: Run) -> None:
    run("approve", "dr-a", "--domain", "nginx", "--yes")
    assert agent.calls[-1] == (
        "approve",
        {"target": "dr-a", "domain": "nginx", "ids": ["9f2c4d1b7a6e5f30"]},
    )


def test_consent(person: Callable[[str], None]) -> None:
    output.confirm("Do it?", yes=True)
    with pytest.raises(RefusedError, match="no terminal"):
        output.confirm("Do it?", yes=False)
    person("")
    with pytest.raises(RefusedError, match="as you said"):
        output.confirm("Do it?", yes=False)


def test_a_rollback_shows_its_plan_and_does_only_that(agent: Any, run: Run, person: Callable[[str], None]) -> None:
    done = examples()["rollback"]
    planned = {**done, "outcome": "planned", "generation": None, "problems": [], "exit_code": 3}
    agent.answer("rollback", planned, planned, planned, done)
    asked = {"domain": "nginx", "generation": 87, "dry_run": True}
    code, out, _ = run("rollback", "nginx", "87", "--dry-run")
    assert (code, "  update   file      nginx.conf" in out) == (3, True)
    code, _, err = run("rollback", "nginx", "87")
    assert (code, "give --yes" in err) == (4, True)
    assert [arguments for _, arguments in agent.calls] == [asked, asked]
    person("y")
    code, out, err = run("rollback", "nginx", "87")
    assert code == 0
    assert "syncer resume" in err
    assert "`syncer rollback nginx 88` undoes it" in out
    sent = agent.calls[-1][1]
    assert (sent["dry_run"], sent["from"]) == (False, 88)
    assert sent["by"]


def test_a_rollback_to_where_the_domain_stands_asks_nothing(agent: Any, run: Run) -> None:
    agent.answer(
        "rollback", {**examples()["rollback"], "outcome": "equal", "plan": [], "plan_total": 0, "problems": []}
    )
    code, out, _ = run("rollback", "nginx", "87")
    assert (code, "nothing to do" in out) == (0, True)
    assert len(agent.calls) == 1


def test_a_rollback_is_taken_back_only_after_its_plan_was_agreed_to(agent: Any, run: Run) -> None:
    planned = EQUAL | {"outcome": "planned", "plan_total": 1, "changes": 1}
    planned |= {"plan": [{"path": "a.conf", "action": "update", "kind": "file", "size": 1}]}
    empty = {"resumed": [], "holds": [], "still": [], "exit_code": 0}
    plan = empty | {"rolled_back": [{"name": "dr-a", "domains": [planned]}], "exit_code": 3}
    done = empty | {"rolled_back": [{"name": "dr-a", "domains": [EQUAL | {"outcome": "applied", "changes": 1}]}]}
    agent.answer("resume", plan, plan, done)
    code, _, error = run("resume", "dr-a")
    assert code == 4
    assert "update   file      a.conf" in error
    code, out, _ = run("resume", "dr-a", "--yes")
    assert (code, "dr-a nginx: applied 1 change" in out) == (0, True)
    asked = {"target": "dr-a", "domains": []}
    assert [arguments for _, arguments in agent.calls] == [
        {**asked, "plan_only": True},
        {**asked, "plan_only": True},
        {**asked, "confirmed": True},
    ]


def test_a_repair_shows_what_was_found_and_asks(agent: Any, run: Run, person: Callable[[str], None]) -> None:
    code, out, err = run("verify", "--repair")
    assert (code, out) == (4, "")
    assert "edited     on failover   nginx.conf" in err
    assert [command for command, _ in agent.calls] == ["verify"]
    person("y")
    code, out, _ = run("verify", "--repair")
    assert code == 3
    assert "1 path not as recorded" in out
    assert [command for command, _ in agent.calls][1:] == ["verify", "verify_repair"]


def test_nothing_found_is_nothing_to_repair(agent: Any, run: Run) -> None:
    answer = examples()["verify"]
    answer["targets"][0]["domains"][0].update(outcome="equal", findings=[], findings_total=0, exit_code=0)
    agent.answer("verify", answer | {"exit_code": 0})
    code, out, _ = run("verify", "--repair", "--yes")
    assert code == 0
    assert "every byte is as it was recorded" in out
    assert [command for command, _ in agent.calls] == ["verify"]


def test_a_start_that_is_probably_not_meant_asks(agent: Any, run: Run) -> None:
    done = examples()["service"]
    doubtful = done | {"doubt": "dr-a is in mode failover", "exit": "", "seconds": 0.0}
    agent.answer("service", doubtful, doubtful, done)
    code, out, err = run("service", "start", "nginx")
    assert (code, out) == (4, "")
    assert "dr-a is in mode failover" in err
    code, out, _ = run("service", "start", "nginx", "--yes")
    assert (code, "nginx: start: done (systemctl start nginx: exit 0, in" in out) == (0, True)
    [_, _, (_, arguments)] = agent.calls[:3]
    assert (arguments["agreed"], arguments["dry_run"]) == (True, False)
