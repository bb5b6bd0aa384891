from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from syncer.cli.render_procedures import procedure_lines, status_lines
from tests.documented import examples

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def told(agent: Any) -> Any:
    """A fake agent that knows of the documented procedure."""
    agent.answer("procedure", examples()["procedure-list"])
    return agent


def test_what_is_under_way_is_listed_with_its_steps(told: Any, run: Run) -> None:
    code, out, _ = run("procedure")
    assert code == 0
    assert "procedure promote (8f2b1c6e) with prod-a, led by this node, under way since" in out
    assert "  done     Ask the other node whether it takes part\n" in out
    assert "  running  Wait until nothing is left to send (on prod-a)\n" in out
    assert "  now: 3 changes left (9 of 12)\n" in out
    assert "  undo it: syncer procedure 8f2b1c6e abort\n" in out
    assert told.calls == [("procedure", {"id": "", "action": "show", "force": False})]


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        (["8f2b"], {"id": "8f2b", "action": "show", "force": False}),
        (["8f2b", "resume"], {"id": "8f2b", "action": "resume", "force": False}),
        (["resume"], {"id": "", "action": "resume", "force": False}),
        (["abort", "--yes"], {"id": "", "action": "abort", "force": False}),
        (["8f2b", "abort", "--yes", "--force"], {"id": "8f2b", "action": "abort", "force": True}),
    ],
)
def test_an_operator_shows_aborts_and_resumes(agent: Any, run: Run, words: list[str], sent: dict[str, Any]) -> None:
    result = examples()["procedure"]
    result["procedure"] |= {"parameters": {"force": False}, "results": {"drain": {"changes": 3}}}
    agent.answer("procedure", result)
    code, out, _ = run("procedure", *words)
    assert code == 0
    assert '  given: {"force": false}\n  drain: {"changes": 3}\n' in out
    assert agent.calls == [("procedure", sent)]


def test_an_abort_is_asked_for_and_shows_what_would_be_undone(told: Any, run: Run) -> None:
    code, _, err = run("procedure", "abort")
    assert code == 4
    assert "procedure promote (8f2b1c6e)" in err
    assert "give --yes" in err
    assert [arguments["action"] for _, arguments in told.calls] == ["show"]


@pytest.mark.parametrize("words", [["a", "b"], ["a", "undo"], ["--force"], ["a", "resume", "--force"]])
def test_what_is_not_understood_is_refused(told: Any, run: Run, words: list[str]) -> None:
    assert run("procedure", *words)[0] == 2
    assert told.calls == []


def test_what_waits_for_a_person_stands_out_and_names_the_command() -> None:
    found = examples()["procedure-list"]["procedures"][0]
    found |= {"needs_person": True, "waits_for": "the address is taken", "abort": "", "past_return": True}
    found["steps"][1] |= {"reason": "the address is taken", "point_of_no_return": True}
    lines = list(procedure_lines(found))
    title = "Wait until nothing is left to send (on prod-a), the point of no return: the address is taken"
    assert f"  running  {title}" in lines
    assert "  waits for you: the address is taken" in lines
    assert "  try again: syncer procedure 8f2b1c6e resume" in lines
    assert not any("undo it" in line for line in lines)
    assert "red" in str(next(status_lines([found])).style)


def test_what_is_over_is_one_line(agent: Any, run: Run) -> None:
    found = examples()["procedure-list"]["procedures"][0]
    found |= {"outcome": "aborted", "reason": "an operator aborted it", "ended": "2026-01-31T12:00:10+00:00"}
    agent.answer("procedure", {"procedures": [found], "exit_code": 0})
    out = run("procedure")[1]
    assert out.count("\n") == 1
    assert out.startswith("8f2b1c6e promote with prod-a, aborted ")
    assert out.endswith(": an operator aborted it\n")
    agent.answer("procedure", {"procedures": [], "exit_code": 0})
    assert run("procedure")[1] == "there was no procedure yet\n"


def test_a_status_shows_it(agent: Any, run: Run) -> None:
    status = examples()["status"]
    status["procedures"] = examples()["procedure-list"]["procedures"]
    agent.answer("status", status)
    assert "procedure promote (8f2b1c6e) with prod-a, led by this node" in run("status")[1]
