"""The JSON shapes of docs/json.md: as examples for fakes, and as what real results are compared with."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).parents[1] / "docs" / "json.md"
_EXAMPLE = re.compile(r"^```json ([a-z-]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples() -> dict[str, dict[str, Any]]:
    """Return every example of the page by its name; parsed afresh, so that tests may change them."""
    return {name: json.loads(text) for name, text in _EXAMPLE.findall(DOCUMENT.read_text("utf-8"))}


def deviations(documented: Any, actual: Any, where: str = "") -> list[str]:
    """Return where `actual` has other keys or types than `documented`; null fits everywhere.

    Every item of a list must be like the first documented one.
    """
    if documented is None or actual is None:
        return []
    if isinstance(documented, dict) and isinstance(actual, dict):
        missing = [f"{where}.{key} is missing" for key in documented.keys() - actual.keys()]
        unknown = [f"{where}.{key} is not documented" for key in actual.keys() - documented.keys()]
        shared = documented.keys() & actual.keys()
        return (
            missing
            + unknown
            + [line for key in shared for line in deviations(documented[key], actual[key], f"{where}.{key}")]
        )
    if isinstance(documented, list) and isinstance(actual, list):
        if not documented:
            return []
        return [line for item in actual for line in deviations(documented[0], item, f"{where}[]")]
    numbers = (int, float)
    if type(documented) in numbers and type(actual) in numbers:
        return []
    if type(documented) is not type(actual):
        return [f"{where} is {type(actual).__name__}, documented as {type(documented).__name__}"]
    return []
