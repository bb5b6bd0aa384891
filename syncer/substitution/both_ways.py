"""What leads from a text to its rendering and back where the rules at hand are not those that rendered it (pure)."""

from __future__ import annotations

from typing import NamedTuple

from syncer.errors import UndoError
from syncer.substitution.encoding import HEAD, MARK, Kind, kind_of, narrow
from syncer.substitution.mapping import Mapping
from syncer.substitution.matcher import Matcher, compiled
from syncer.substitution.reversal import Reversal
from syncer.substitution.rewrite import Restorer, restore, rewrite
from syncer.substitution.scanner import Span
from syncer.substitution.undo import UndoRecord


class BothWays(NamedTuple):
    """A text, and the records that lead to its rendering and back by another mapping than the one that rendered it."""

    source: bytes
    undo: bytes
    """What `Restorer(mapping, …)` needs to make the rendering of the text."""
    redo: bytes
    """What rendering the rendering by the mapping lacks of the text."""


def both_ways(rendered: bytes, made_by: Mapping, undo: bytes, mapping: Mapping) -> BothWays:
    """Restore what `made_by` rendered into `rendered`, and say how `mapping` leads from the text to it and back.

    Holds all of the file. Raises UndoError where the record is not of this file, UndoTooLargeError.
    """
    places: list[tuple[int, int, bytes]] = []
    restorer = Restorer(made_by, undo, lambda *place: places.append(place))
    source = restorer.feed(rendered) + restorer.finish()
    again, report = rewrite(rendered, mapping)
    if again == source:
        return BothWays(source, report.undo, b"")
    # It was read as text where the record says so, whatever it looks like.
    kind = kind_of(rendered)
    if kind is Kind.BINARY and UndoRecord(undo).is_text:
        kind = Kind.BYTES
    there, here = _text(rendered, kind), _text(source, kind)
    to_source = [Span(start, there[start : start + length], text) for start, length, text in places]
    # Where the record only says that something stays as it is, nothing leads back from it.
    to_source = [span for span in to_source if span.text != span.image]
    ways = compiled(mapping)
    back = _record(here, _turned(to_source), ways.inverse, looks_binary=_looks_binary(source, kind))
    if restore(source, mapping, back) != rendered:
        raise UndoError("what leads there and back by other rules could not be written down")
    return BothWays(source, back, _record(there, to_source, ways.forward, looks_binary=_looks_binary(rendered, kind)))


def _record(text: bytes, replaced: list[Span], matcher: Matcher, *, looks_binary: bool) -> bytes:
    """Return what replacing the tokens that `matcher` finds in `text` lacks of what is `replaced`."""
    reversal = Reversal(matcher)
    reversal.advance(text, replaced, final=True)
    return reversal.undo.encode(is_text=looks_binary)


def _turned(spans: list[Span]) -> list[Span]:
    """Return the same places in the other text, the other way."""
    found = []
    shift = 0
    for start, text, image, _ in spans:
        found.append(Span(start + shift, image, text))
        shift += len(image) - len(text)
    return found


def _text(data: bytes, kind: Kind) -> bytes:
    return narrow(data[MARK : len(data) & ~1], kind) if kind.wide else data


def _looks_binary(data: bytes, kind: Kind) -> bool:
    return kind is Kind.BYTES and b"\0" in data[:HEAD]
