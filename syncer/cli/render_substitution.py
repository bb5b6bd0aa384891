"""Previews of substitution and unified diffs as lines; pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from syncer.cli.output import printable
from syncer.cli.wording import counted

SHOWN = 20
"""Replacements of one file that are listed for a person."""

_LEFT_ALONE = {"binary": "it is binary", "certificate or key": "it is a certificate or key"}


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
            yield from diff_lines(item["diff"])
    more = rendered["total"] - len(rendered["files"])
    if more > 0:
        yield f"  substitution changes {counted(more, 'more file')}: --most shows more"
    elif not rendered["total"]:
        yield "  substitution changes no file"


def _summary(item: dict[str, Any]) -> str:
    if item["left_alone"]:
        return f"left alone, since {_LEFT_ALONE.get(item['left_alone'], item['left_alone'])}"
    said = counted(item["replacements_total"], "replacement") if item["replacements_total"] else "nothing is replaced"
    return said + ("; an undo record is needed to lead back" if item["undo_record"] else "")


def _replacement(item: dict[str, Any]) -> str:
    said = f"{item['from']} → {item['to']}"
    return said if item["rule"] in ("", said) else f"{said}, by {item['rule']}"
