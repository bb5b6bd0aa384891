"""The conditions of triggers, in CEL: types checked when the configuration loads, evaluated without exceptions.

cel-expr-python is young: this file alone knows it, and its tests hold what is relied upon. It refuses unknown
variables and wrong types when it compiles, and answers a failing evaluation with a value of type ERROR.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from syncer.model import EventValue

LONGEST = 4096
"""Characters of a condition."""
_CONTAINER = "event"
"""Where the variables live: there a name may be that of a type, such as `bytes`."""
_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_TOKEN = re.compile(
    r"""
      //[^\n]*
    | (?P<text> [rR] (?: \"{3}.*?\"{3} | '{3}.*?'{3} | "[^"\n]*" | '[^'\n]*' )
              | \"{3}(?:\\.|.)*?\"{3} | '{3}(?:\\.|.)*?'{3} | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' )
    | \w+ | \S
    """,
    re.VERBOSE | re.DOTALL,
)
"""One token of CEL, or a comment; `text` is a literal."""
_STATUS = re.compile(r"^[A-Z_]+: | \[[A-Z_]+\]$")


class ConditionError(ValueError):
    """A condition is no CEL, uses an unknown variable or a wrong type; the message reads on after the text."""


class EvaluationError(Exception):
    """A condition has no answer for these variables, such as a division by zero."""


class Condition:
    """One condition, compiled."""

    def __init__(self, text: str, types: Mapping[str, type[EventValue]]) -> None:
        """Compile `text` over variables of these types. Raises ConditionError with the position."""
        # Late: only who has triggers pays for it.
        from cel_expr_python import cel

        if len(text) > LONGEST:
            raise ConditionError(f"is longer than {LONGEST} characters: write a shorter condition")
        if "\0" in text:
            raise ConditionError("contains a NUL byte: remove it")
        kinds = {str: cel.Type.STRING, int: cel.Type.INT, float: cel.Type.DOUBLE, bool: cel.Type.BOOL}
        self._bool = cel.Type.BOOL
        try:
            environment = cel.NewEnv(
                variables={f"{_CONTAINER}.{name}": kinds[kind] for name, kind in types.items()}, container=_CONTAINER
            )
            self._compiled = environment.compile(_plain(text))
        except RuntimeError as error:
            raise ConditionError(_worded(str(error), types)) from None
        found = self._compiled.return_type()
        if found != self._bool:
            raise ConditionError(
                f"is a value of type {found.name().lower()}, not a condition: compare it, as in `name == 'x'`"
            )

    def holds(self, variables: Mapping[str, EventValue]) -> bool:
        """Tell whether it is fulfilled. Raises EvaluationError where it has no answer."""
        data = {
            f"{_CONTAINER}.{name}": _plain(value) if isinstance(value, str) else value
            for name, value in variables.items()
        }
        found = self._compiled.eval(data=data)
        if found.type() != self._bool:
            raise EvaluationError(_STATUS.sub("", str(found.plain_value()))[:200])
        return bool(found.plain_value())


def wrong_patterns(text: str) -> Iterator[str]:
    """Yield what is wrong with each pattern that `matches` is given as it stands there; `text` has been compiled."""
    for literal in _patterns(text):
        try:
            Condition(f"''.matches({literal})", {}).holds({})
        except EvaluationError as error:
            yield str(error)
        except ConditionError:
            # Read otherwise than CEL reads it: then nothing is known of it.
            continue


def syntax_error(text: str) -> str:
    """Return what is wrong with `text` whatever the variables are; "" where that depends on them."""
    try:
        Condition(text, {})
    except ConditionError as error:
        return str(error) if "yntax error" in str(error) else ""
    return ""


def _patterns(text: str) -> Iterator[str]:
    """Yield the literals that are the last argument of `matches`."""
    tokens = [token for token in _TOKEN.finditer(text) if not token[0].startswith("//")]
    for number, token in enumerate(tokens[:-1]):
        if token[0] != "matches" or tokens[number + 1][0] != "(":
            continue
        depth = 0
        for before, last, end in zip(tokens[number:], tokens[number + 1 :], tokens[number + 2 :], strict=False):
            depth += (last[0] in "([{") - (last[0] in ")]}")
            if depth == 1 and end[0] == ")":
                if last["text"] and before[0] in "(,":
                    yield last[0]
                break


def _plain(text: str) -> str:
    """Return `text` as UTF-8 can hold it: bytes of a path that are none stay visible as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _worded(message: str, types: Mapping[str, type[EventValue]]) -> str:
    found = _ERROR.findall(message)
    if not found:
        return f"is not a condition in CEL ({_STATUS.sub('', ' '.join(message.split()))[:200]}): correct it"
    line, column, what = found[0]
    what = _STATUS.sub("", what).replace(f" (in container '{_CONTAINER}')", "")[:200]
    cure = "correct it there"
    if "undeclared reference" in what:
        cure = f"known here are {', '.join(types)}"
    elif "no matching overload" in what and "double" in what and "int" in what:
        cure = "compare a `decimal` with a number that has a decimal point, such as 30.0"
    return f"is not a condition in CEL (line {line}, column {column}: {what}): {cure}"
