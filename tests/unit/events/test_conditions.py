"""Conditions of triggers: types checked at load, no exceptions at run time; what is relied upon of the library."""

from __future__ import annotations

from typing import Any

import pytest

from syncer.events.conditions import (
    LONGEST,
    Condition,
    ConditionError,
    EvaluationError,
    syntax_error,
    wrong_patterns,
)

TYPES: dict[str, type[Any]] = {"success": bool, "error": str, "bytes": int, "seconds": float, "site": str}
VALUES: dict[str, Any] = {"success": False, "error": "disk full", "bytes": 7, "seconds": 1.5, "site": "north"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("!success", True),
        ("success", False),
        ("!success && bytes > 6", True),
        # The name of a type, and of a variable.
        ("bytes == 7", True),
        ("event.bytes == 7", True),
        ("seconds >= 1.5", True),
        ("error.contains('full') || error.startsWith('x')", True),
        ("error.matches('^disk .*')", True),
        ("site in ['north', 'south']", True),
        ("double(bytes) > seconds", True),
        ("size(error) < 3 ? true : false", False),
    ],
)
def test_conditions(text: str, expected: bool) -> None:
    assert Condition(text, TYPES).holds(VALUES) is expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sucess", "line 1, column 1: undeclared reference to 'sucess'): known here are success, error, bytes"),
        ("success &&\n  foo", "line 2, column 3: undeclared reference to 'foo'"),
        ("bytes == 'x'", "line 1, column 7: found no matching overload for '_==_' applied to '(int, string)'"),
        ("seconds > 1", "'(double, int)'"),
        ("!error", "no matching overload"),
        ("seconds > 30", "compare a `decimal` with a number that has a decimal point, such as 30.0"),
        ("bytes", "is a value of type int, not a condition"),
        ("dyn(success)", "is a value of type dyn, not a condition"),
        ("", "is not a condition in CEL"),
        ("(", "Syntax error"),
        ("success == true; drop", "Syntax error"),
        ("open('/etc/passwd') == ''", "undeclared reference to 'open'"),
        ("success\0", "NUL"),
        ("success" + " " * LONGEST, "longer than"),
        ("'\ud800' == error &&", "is not a condition in CEL"),
    ],
)
def test_what_is_wrong_is_said_with_its_position_when_it_compiles(text: str, said: str) -> None:
    with pytest.raises(ConditionError) as caught:
        Condition(text, TYPES)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["1 / (bytes - 7) > 0", "timestamp(error) > timestamp('2026-01-01T00:00:00Z')"])
def test_what_has_no_answer_is_no_yes(text: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        Condition(text, TYPES).holds(VALUES)
    assert str(caught.value)
    assert "INVALID_ARGUMENT" not in str(caught.value)


def test_bytes_of_a_path_that_are_no_text_are_no_error() -> None:
    assert Condition("error.contains('udcff')", TYPES).holds({**VALUES, "error": "a\udcff"})


def test_a_missing_variable_is_no_yes() -> None:
    with pytest.raises(EvaluationError):
        Condition("success", TYPES).holds({})


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("error.matches('(')", 1),
        ("success || error.matches(\"a{2,1}\") || error.matches('[')", 2),
        ("matches(error, '''*''')", 1),
        ("matches(site + ('a'), r'\\d(')", 1),
        ("error.matches('^disk .*') && error.matches(r'\\d+')", 0),
        # Not known before there is an event, or no argument of it.
        ("error.matches('(' + site)", 0),
        ("error.matches(site)", 0),
        ("error == \"matches('(')\" // error.matches('(')", 0),
        ("error == 'a\\'.matches(' && error.matches('x')", 0),
        ("error.matches(success ? 'x' : '(')", 0),
    ],
)
def test_a_pattern_that_is_none_is_found_wherever_it_stands(text: str, wrong: int) -> None:
    Condition(text, TYPES)
    found = list(wrong_patterns(text))
    assert len(found) == wrong
    assert all("invalid regular expression" in reason for reason in found)


def test_syntax_is_looked_at_without_knowing_the_variables() -> None:
    assert "(line 1, column 7: Syntax error" in syntax_error("foo ==")
    assert syntax_error("foo == bar.baz('x') && !qux") == ""
