"""Previews of substitution and unified diffs as lines; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from syncer.cli.output import printable
from syncer.cli.wording import counted

SHOWN = 20
"""Replacements of one file that are listed for a person."""

DIFF_LINES = 100
"""Lines of one file's diff that are shown among those of others."""

_CUT_OFF = re.compile(r"… and (\d+) more changed lines")
_LEFT_ALONE = {"binary": "it is binary"}


def file_lines(item: dict[str, Any], *, shows_diff: bool) -> Iterator[str]:
    """Yield what becomes of one file."""
    where = " → " + ", ".join(item["targets"]) if item["targets"] else ""
    if item["problem"]:
        yield printable(f"{item['path']}{where}: {item['problem']}")
        return
    yield printable(f"{item['path']}{where}: {_summary(item)}")
    if item["reason"]:
        yield printable(f"  {item['reason']}")
    if item["needs_person"]:
        yield "  needs a person: some of what production's file was made of only its undo record knew"
    if shows_diff:
        if item["diff"]:
            yield from diff_lines(item["diff"])
        return
    for replacement in item["replacements"][:SHOWN]:
        yield printable(f"  line {replacement['line']}: {_replacement(replacement)}")
    more = item["replacements_total"] - min(len(item["replacements"]), SHOWN)
    if more > 0:
        yield f"  and {counted(more, 'more replacement')}"


def diff_lines(diff: str) -> Iterator[str]:
    """Yield the lines of a diff so that no content can steer the terminal; tabs stay."""
    for line in diff.split("\n"):
        yield "\t".join(printable(part) for part in line.split("\t"))


def rendering_lines(rendered: dict[str, Any]) -> Iterator[str]:
    """Yield what substitution changes in the files of one target."""
    for item in rendered["files"]:
        undo = ", with an undo record" if item["undo_bytes"] else ""
        problem = f": {item['problem']}" if item["problem"] else ""
        count = counted(item["replacements"], "replacement")
        yield printable(f"  {item['domain']} {item['path']}: {count}{undo}{problem}")
        if item["diff"]:
            yield from _bounded(item["diff"])
    more = rendered["total"] - len(rendered["files"])
    if more > 0:
        yield f"  substitution changes {counted(more, 'more file')}: --most shows more"
    elif not rendered["total"]:
        yield "  substitution changes no file"


def left_alone_in_words(item: dict[str, Any]) -> str:
    """Return why a file is left alone, as a sentence's end; of `left_alone` and `unended_line`."""
    why = str(item["left_alone"])
    if why != "certificate or key":
        return _LEFT_ALONE.get(why, why)
    if item["unended_line"]:
        return f"it counts as a certificate or key {_unended(item)}"
    return "what could be replaced stands in what begins as a certificate or key"


def unended_in_words(item: dict[str, Any]) -> str:
    """Return what follows the word on a file's replacements, of `unended_line`; "" where every BEGIN has its END."""
    return f"; it is left alone {_unended(item)}" if item["unended_line"] else ""


def _unended(item: dict[str, Any]) -> str:
    return f"from line {item['unended_line']} on, since a BEGIN there has no END"


def _bounded(diff: str) -> Iterator[str]:
    """Yield the first lines of a file's diff, and how many changed lines are left out."""
    lines = list(diff_lines(diff))
    yield from lines[:DIFF_LINES]
    rest = lines[DIFF_LINES:]
    if rest:
        # The last line of what was cut off before says how much more there is.
        cut = _CUT_OFF.fullmatch(rest[-1])
        more = sum(line.startswith("+") for line in rest) + (int(cut[1]) if cut else 0)
        if more:
            yield f"{counted(more, 'more changed line')}: `syncer substitute --diff FILE`"


def _summary(item: dict[str, Any]) -> str:
    if item["left_alone"]:
        return f"left alone, since {left_alone_in_words(item)}"
    said = counted(item["replacements_total"], "replacement") if item["replacements_total"] else "nothing is replaced"
    # What was restored has been led back already.
    undo = "; an undo record is needed to lead back" if item["undo_record"] and item["way"] == "rendered" else ""
    return said + undo + unended_in_words(item)


def _replacement(item: dict[str, Any]) -> str:
    said = f"{item['from']} → {item['to']}"
    return said if item["rule"] in ("", said) else f"{said}, by {item['rule']}"
