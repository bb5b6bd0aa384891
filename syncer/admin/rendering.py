"""What substitution does to one path, as `syncer explain` tells it."""

from __future__ import annotations

from typing import Any

from syncer.admin.preview import read_whole, replacements_of
from syncer.errors import PreviewError, UndoTooLargeError
from syncer.model import Kind, Known
from syncer.origin import Origin
from syncer.replicate.stream import Stream
from syncer.substitution.attribution import Place
from syncer.substitution.preview import preview

NOT_SENT = "not sent: "
"""How the reason begins where the target does not get the file at all."""


def rendering_document(stream: Stream, absolute: bytes, relative: bytes, known: Known | None) -> dict[str, Any] | None:
    """Return how production's file at `relative` is rendered for the target of `stream`; reads it, blocking.

    None where the target has no rules for the domain, or nothing that is synchronized as a file stands there.
    """
    if not stream.rules.rules or known is None or known.entry.kind is not Kind.FILE:
        return None
    document: dict[str, Any] = {
        "rules": [],
        "replacements": 0,
        "undo_record": False,
        "left_alone": "",
        "unended_line": 0,
    }
    mapping = stream.rules.for_path(stream.domain, relative)
    if mapping is None:
        return document | {"left_alone": "no rule applies to its path"}
    try:
        made = preview(read_whole(absolute), mapping)
    except PreviewError as error:
        return document | {"left_alone": f"it {error}"}
    except UndoTooLargeError as error:
        return document | {"left_alone": f"{NOT_SENT}{error}"}
    replaced = replacements_of(made.replaced, Place(stream.domain, relative), stream.rules.rules)
    return {
        "rules": sorted({item["rule"] for item in replaced}),
        "replacements": made.report.replacements,
        "undo_record": bool(made.report.undo),
        "left_alone": made.report.left_alone,
        "unended_line": made.unended_line,
    }


def origin_document(known: Known | None) -> dict[str, Any] | None:
    """Return what production has where other bytes were applied here; None where they are production's own."""
    if known is None or not known.entry.origin:
        return None
    origin = Origin.decode(known.entry.origin)
    return {"digest": origin.digest.hex(), "size": origin.size, "undo_record": bool(origin.undo)}
