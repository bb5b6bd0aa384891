"""A plan goes into a file and comes back as it was; what was edited, cut off or made up is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.errors import PlanError
from syncer.model import Kind
from syncer.procedures.comparison import Difference, Side, State, What
from syncer.procedures.home_plan import DomainPlan, Item, Plan, Policy, Take, fingerprint, require_decided
from syncer.procedures.plan_file import lines_of, parse, require_same

EDITED, DELETED = Side(What.EDITED, Kind.FILE, 12), Side(What.DELETED, None, 0)
ITEMS = (
    Item(Difference(b"", State.HERE, Side(What.METADATA, Kind.DIRECTORY, 0), None), Take.HERE),
    Item(Difference(b"a\xff\n", State.CONFLICT, EDITED, DELETED), None),
    Item(Difference(b"b", State.HERE, EDITED, None, needs_person=True), None),
    Item(Difference(b"d/c", State.THERE, None, EDITED), Take.THERE),
)
PLAN = Plan(
    "dr-a", "id-b", "prod-a", "id-a", Policy.MERGE,
    (DomainPlan("nginx", fingerprint(b"1"), False, 7, ITEMS), DomainPlan("ssh", fingerprint(b"2"), True, 0, ())),
)  # fmt: skip  # one value a line

sides = st.none() | st.builds(
    Side, st.sampled_from(What), st.none() | st.sampled_from(Kind), st.integers(0, (1 << 63) - 1)
)
paths = st.lists(
    st.binary(min_size=1, max_size=8).filter(lambda name: name not in (b".", b"..") and not {0, 47} & set(name)),
    max_size=3,
).map(b"/".join)
items = st.builds(
    Item,
    st.builds(Difference, paths, st.sampled_from(State), sides, sides, st.booleans()),
    st.none() | st.sampled_from(Take),
)


@given(st.lists(items, max_size=5), st.sampled_from(Policy))
def test_any_plan_comes_back_as_it_was(found: list[Item], policy: Policy) -> None:
    domain = PLAN.domains[0]._replace(items=tuple(found))
    plan = PLAN._replace(domains=(domain, PLAN.domains[1]), policy=policy)
    lines = list(lines_of(plan))
    assert all(line.isascii() and "\n" not in line for line in lines)
    assert parse(lines) == plan


def test_only_what_is_to_be_taken_may_be_edited() -> None:
    lines = list(lines_of(PLAN))
    edited = json.loads(lines[2]) | {"take": "there"}
    given_plan = parse([*lines[:2], json.dumps(edited), *lines[3:]])
    assert given_plan.domains[0].items[1].take is Take.THERE
    require_same(given_plan, PLAN)
    with pytest.raises(PlanError, match="'b' of domain nginx must be decided first"):
        require_decided(given_plan)
    other = parse([*lines[:2], json.dumps(edited | {"state": "here"}), *lines[3:]])
    with pytest.raises(PlanError, match="only `take` may be edited"):
        require_same(other, PLAN)
    moved = PLAN._replace(domains=(PLAN.domains[0]._replace(fingerprint=fingerprint(b"3")), PLAN.domains[1]))
    with pytest.raises(PlanError, match="domain nginx has moved since the plan was made"):
        require_same(given_plan, moved)
    with pytest.raises(PlanError, match="not dr-b to prod-a"):
        require_same(given_plan, PLAN._replace(here="dr-b", here_id="id-c"))
    with pytest.raises(PlanError, match="other domains"):
        require_same(given_plan, PLAN._replace(domains=PLAN.domains[:1]))


def changed(number: int, **values: Any) -> Callable[[list[str]], list[str]]:  # any JSON
    def change(lines: list[str]) -> list[str]:
        lines[number] = json.dumps(json.loads(lines[number]) | values)
        return lines

    return change


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (lambda lines: [], "it was cut off, its first line is missing"),
        (lambda lines: lines[:-1], "it was cut off, the line with its end is missing"),
        (lambda lines: [*lines[:2], *lines[3:]], "lines are missing"),
        (lambda lines: [*lines, "more"], "something follows its end"),
        (lambda lines: ["{"], "line 1: it is no JSON"),
        (lambda lines: ["[" * 100_000], "line 1: it is no JSON"),
        (lambda lines: ["[]"], "line 1: it is no JSON object"),
        (lambda lines: [lines[0], " " * 100_000], "line 2: it is too long"),
        (changed(0, version=2), "no plan of `syncer reverse` in version 1"),
        (changed(0, policy="mine"), "policy is none of serving, merge"),
        (changed(0, here="dr-a"), "here is no object"),
        (changed(0, domains={}), "domains is no list of objects"),
        (changed(0, domains=[{"name": "nginx", "fingerprint": "00", "compared": "changes"}]), "another length"),
        (changed(0, domains=[{"name": "nginx", "fingerprint": "xy", "compared": "changes"}]), "not hexadecimal"),
        (changed(1, domain="mail"), "domain is none of those"),
        (changed(1, path="/etc/passwd"), "path has an empty component"),
        (changed(1, path="a/../b"), "path has a '.' or '..' component"),
        (changed(1, path="\ud800"), "path is no path"),
        (changed(1, path=7), "path is not a text"),
        (changed(1, take="both"), "take is none of here, there"),
        (changed(1, take=[]), "take is none of here, there"),
        (changed(1, state=None), "state is none of"),
        (changed(1, needs_person=1), "needs_person is neither true nor false"),
        (changed(1, here=[]), "here is no object"),
        (changed(1, here={"change": "edited", "kind": "door", "size": 1}), "kind of here is none of file"),
        (changed(1, here={"change": "edited", "kind": "file", "size": True}), "size is not a number"),
        (changed(1, here={"change": "edited", "kind": "file", "size": -1}), "size is not a number"),
        (changed(-1, end=1), "lines are missing"),
    ],
)
def test_what_is_no_plan_is_refused_with_the_line(edit: Callable[[list[str]], list[str]], why: str) -> None:
    with pytest.raises(PlanError, match="the plan cannot be carried out") as raised:
        parse(edit(list(lines_of(PLAN))))
    assert why in str(raised.value)


def test_the_documented_lines_are_those_of_a_plan() -> None:
    text = (Path(__file__).parents[3] / "docs" / "json.md").read_text("utf-8")
    documented = [json.loads(line) for line in text.split("```jsonl\n")[1].split("```")[0].splitlines()]
    written = [json.loads(line) for line in lines_of(PLAN)]

    def shape(value: object) -> object:
        if isinstance(value, dict):
            return {key: shape(one) for key, one in value.items()}
        return [shape(one) for one in value[:1]] if isinstance(value, list) else None

    assert [shape(line) for line in documented] == [shape(line) for line in (written[0], written[2], written[-1])]
