"""`syncer reverse` says who becomes what before it asks, and names the nodes in what is to be decided."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from syncer.cli.render_home import roles_line, undecided_lines
from syncer.model import Kind
from syncer.procedures.comparison import Difference, Side, State, What
from syncer.procedures.home_plan import DomainPlan, Item, Plan, Policy


def test_what_must_be_decided_is_said_with_the_names_of_the_nodes() -> None:
    side = Side(What.EDITED, Kind.FILE, 1)
    item = Item(Difference(b"etc/both", State.CONFLICT, side, side), None)
    plan = Plan("dr-a", "1", "prod-a", "2", Policy.MERGE, (DomainPlan("nginx", b"", False, 0, (item,)),))
    first, hint = undecided_lines(plan)
    assert first == "nginx: 1 path must be decided first: etc/both"
    assert hint == '  --prefer "nginx:etc/both=dr-a" keeps what dr-a has, =prod-a what prod-a has'


def test_the_roles_are_said_by_name() -> None:
    said = roles_line({"production": "prod-a", "failover": "dr-a"})
    assert said == "afterwards prod-a is production, and dr-a its failover"


def test_it_says_who_becomes_production_before_it_asks(
    agent: Any, run: Callable[..., tuple[int, str, str]], person: Callable[[str], None]
) -> None:
    roles = {"production": "prod-a", "failover": "dr-a"}
    agent.answer("home_plan", {"peer": "dr-a", "at_home": True, "wishes": {}, **roles, "exit_code": 0})
    person("n")
    code, _, err = run("reverse")
    assert code == 4
    assert "prod-a is failover of dr-a already, and has what that sends: only the roles are exchanged" in err
    assert "afterwards prod-a is production, and dr-a its failover" in err
    assert "Make prod-a production again, and dr-a its failover?" in err
    assert [name for name, _ in agent.calls] == ["home_plan"]
