"""One file's preview as docs/json.md describes it, whichever way it goes (pure, but for reading the file)."""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Iterable
from typing import Any

from syncer.errors import PreviewError
from syncer.substitution.attribution import Attribution, Place
from syncer.substitution.encoding import Kind, kind_of
from syncer.substitution.preview import Replaced, decoded, unified
from syncer.substitution.rule import Rule

LARGEST = 64 << 20
"""Bytes of a file that can be previewed."""
LISTED = 1000
"""Replacements that one answer carries; the total is always told."""
MOST_LINES = 5000
"""Of one file's diff."""


def read_whole(path: bytes) -> bytes:
    """Return a file's bytes; raises PreviewError."""
    try:
        # Never waits for whoever would write into a FIFO.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise PreviewError("is no file: only the bytes of files are substituted")
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(LARGEST + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise PreviewError(f"cannot be read: {error.strerror}") from error
    if len(data) > LARGEST:
        raise PreviewError(f"has more than {LARGEST >> 20} MiB, which is too much for a preview")
    return data


def empty_document(path: bytes, place: Place, targets: list[str]) -> dict[str, Any]:
    """Return the document of a file of which nothing is known yet."""
    return {
        "path": os.fsdecode(path),
        "domain": place.domain or None,
        "targets": targets,
        "way": "none",
        "reason": "",
        "replacements": [],
        "replacements_total": 0,
        "undo_record": False,
        "needs_person": False,
        "left_alone": "",
        "unended_line": 0,
        "size": 0,
        "result_size": 0,
        "is_text": False,
        "encoding": "",
        "diff": "",
        "contents": None,
        "problem": "",
    }


def replacements_of(replaced: Iterable[Replaced], place: Place, rules: Iterable[Rule]) -> list[dict[str, Any]]:
    """Return each replacement with the rule that made it; `rules` lead where the replacements lead."""
    attribution = Attribution(rules)
    known: dict[str, str] = {}
    found = []
    for item in replaced:
        if item.before not in known:
            rule = attribution.applying(place, item.before)
            known[item.before] = "" if rule is None else str(rule)
        found.append({"line": item.line, "from": item.before, "to": item.after, "rule": known[item.before]})
    return found


def with_result(
    document: dict[str, Any], before: bytes, after: bytes, labels: tuple[str, str], arguments: dict[str, Any]
) -> dict[str, Any]:
    """Add what became of the file: sizes, and the diff or the bytes where they are asked for."""
    is_text = kind_of(before) is not Kind.BINARY and kind_of(after) is not Kind.BINARY
    found: dict[str, Any] = {"size": len(before), "result_size": len(after), "is_text": is_text}
    if is_text:
        found["encoding"] = decoded(before)[1]
    if arguments.get("diff") and is_text and before != after:
        found["diff"] = "\n".join(unified(before, after, labels, MOST_LINES))
    if arguments.get("contents"):
        found["contents"] = base64.b64encode(after).decode("ascii")
    return document | found
