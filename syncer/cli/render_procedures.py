"""Procedures as lines: where each stands, what it waits for, and the command that goes on or aborts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from rich.text import Text

from syncer.cli.exposure import Severity
from syncer.cli.output import printable
from syncer.cli.wording import moment_in_words, seconds_in_words

_LEADS = {"lead": "led by this node", "second": "led by {peer}"}


def status_lines(procedures: list[dict[str, Any]]) -> Iterator[Text]:
    """Yield the lines of a status."""
    for found in procedures:
        style = Severity.BAD.value if found["needs_person"] else Severity.LATE.value
        for number, line in enumerate(procedure_lines(found)):
            yield Text(printable(line), style="" if number else style)


def procedure_lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield one procedure with its steps."""
    head = f"procedure {found['kind']} ({found['id'][:8]}) with {found['peer']}, "
    head += _LEADS[found["role"]].format(peer=found["peer"])
    if found["outcome"] == "open":
        yield f"{head}, under way since {moment_in_words(found['begun'])} ({seconds_in_words(found['seconds'])})"
    else:
        yield f"{head}, {found['outcome']} {moment_in_words(found['ended'])} after {seconds_in_words(found['seconds'])}"
    if found["reason"]:
        yield f"  {'undone' if found['outcome'] == 'aborted' else 'being undone'}: {found['reason']}"
    for step in found["steps"]:
        yield f"  {_step(step, found)}"
    if found["waits_for"]:
        yield f"  {'waits for you' if found['needs_person'] else 'waits for'}: {found['waits_for']}"
    progress = found["progress"]
    if progress["text"]:
        of = f" ({progress['done']:,} of {progress['total']:,})" if progress["total"] else ""
        yield f"  now: {progress['text']}{of}"
    if found["go_on"] and found["needs_person"]:
        yield f"  try again: {found['go_on']}"
    for command in found["without_peer"]:
        yield f"  it goes on by itself when {found['peer']} returns; where that is dead: {command}"
    if found["give_up"] and found["needs_person"] and not found["without_peer"]:
        yield f"  give it up as it stands, on this node: {found['give_up']}"
    if found["abort"] and not found["reason"]:
        yield f"  undo it: {found['abort']}"


def report_lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield what was kept of a procedure: what it was given, what its steps came to, and its report."""
    parts = {"given": found["parameters"], **found["results"], "report": found["report"]}
    for name, document in parts.items():
        if document:
            yield f"  {name}: {json.dumps(document, ensure_ascii=True, sort_keys=True)}"


def _step(step: dict[str, Any], found: dict[str, Any]) -> str:
    is_peer = (step["on"] == "second") == (found["role"] == "lead")
    where = f" (on {found['peer']})" if is_peer else ""
    mark = ", the point of no return" if step["point_of_no_return"] else ""
    why = f": {step['reason']}" if step["reason"] else ""
    return f"{step['state']:8} {step['title']}{where}{mark}{why}"
