"""Rewrites a file's bytes by a mapping, and restores them: streaming, in constant memory, exact both ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from syncer.errors import UndoError
from syncer.substitution.encoding import HEAD, Kind, kind_of, narrow
from syncer.substitution.mapping import Mapping
from syncer.substitution.matcher import Compiled, compiled
from syncer.substitution.passage import Head, Passage
from syncer.substitution.reversal import Reversal
from syncer.substitution.scanner import HELD_BEHIND, LEAST_PASSED, OVERLAP, Scanner, Span
from syncer.substitution.undo import UndoRecord

BINARY = "binary"
CERTIFICATE = "certificate or key"


class Replacement(NamedTuple):
    """One token that was replaced: its place in the source and in the rendered file, in bytes."""

    offset: int
    length: int
    rendered_offset: int
    rendered_length: int


class Report(NamedTuple):
    """What a rendering did; sizes in bytes."""

    size: int
    rendered_size: int
    replacements: int
    undo: bytes
    """Encoded undo record; empty where the inverse mapping restores the source by itself."""
    left_alone: str
    """Why nothing was rewritten: "binary", "certificate or key" (nothing outside of one was rewritten), or empty."""


class Renderer:
    """Renders one file piece by piece; holds about 8 KiB, one block of what was fed, and the undo record."""

    def __init__(self, mapping: Mapping, on_replacement: Callable[[Replacement], None] | None = None) -> None:
        """Render by `mapping`, telling each replacement to `on_replacement`, in order."""
        self._compiled = compiled(mapping)
        self._on_replacement = on_replacement
        self._head = Head()
        self._work: _Rendering | None = None

    def feed(self, piece: bytes) -> bytes:
        """Take a piece of the source; return what of the rendered file is ready."""
        if self._work is None:
            head = self._head.feed(piece)
            if head is None:
                return b""
            self._work, piece = self._begin(head), head
        return self._work.feed(piece)

    def finish(self) -> tuple[bytes, Report]:
        """Return the rest, and the report. Raises UndoTooLargeError."""
        if self._work is not None:
            return self._work.finish()
        whole = self._head.rest()
        kind = kind_of(whole)
        if not kind.wide and (kind is Kind.BINARY or not self._compiled.touches(whole)):
            return whole, Report(len(whole), len(whole), 0, b"", BINARY if kind is Kind.BINARY else "")
        work = self._begin(whole)
        ready = work.feed(whole)
        rest, report = work.finish()
        return ready + rest, report

    def _begin(self, head: bytes) -> _Rendering:
        return _Rendering(self._compiled, head, self._on_replacement)


class _Rendering:
    """Renders a file of which the kind is known."""

    def __init__(self, both: Compiled, head: bytes, on_replacement: Callable[[Replacement], None] | None) -> None:
        self._compiled = both
        self._on_replacement = on_replacement
        self._source = Passage(Scanner(both.forward), head)
        self._reversal = Reversal(both.inverse)
        self._size = self._rendered_size = self._replacements = 0
        self._shift = 0
        """Units by which the rendered text is longer so far."""
        self._zero_in_head = False

    def feed(self, piece: bytes) -> bytes:
        self._size += len(piece)
        if self._source.kind is Kind.BINARY:
            self._rendered_size += len(piece)
            return piece
        if self._is_clean(piece):
            return self._pass(piece)
        return b"".join(
            [
                self._pass(block) if self._is_clean(block) else self._advance(block, final=False)
                for block in self._source.blocks(piece)
            ]
        )

    def finish(self) -> tuple[bytes, Report]:
        source = self._source
        if source.kind is Kind.BINARY:
            return b"", Report(self._size, self._size, 0, b"", BINARY)
        rest = self._advance(b"", final=True) + source.ending()
        self._rendered_size += len(source.ending())
        undo = self._reversal.undo.encode(is_text=self._zero_in_head)
        left_alone = CERTIFICATE if source.scanner.certificates and not self._replacements else ""
        return rest, Report(self._size, self._rendered_size, self._replacements, undo, left_alone)

    def _is_clean(self, piece: bytes) -> bool:
        """Tell whether no token is undecided and none can begin in `piece` or where it joins what came before."""
        return (
            len(piece) >= LEAST_PASSED
            and not self._source.wide
            and not self._compiled.touches(self._source.scanner.buffer[-HELD_BEHIND:] + piece[:OVERLAP])
            and not self._compiled.touches(piece)
        )

    def _pass(self, piece: bytes) -> bytes:
        """Return a clean piece as it is, with one copy."""
        source = self._source
        passed = b"".join((source.take(source.scanner.end), memoryview(piece)[:-HELD_BEHIND]))
        source.scanner.pass_over(piece)
        source.at = source.scanner.done
        self._reversal.advance_clean(passed)
        self._count(passed)
        return passed

    def _advance(self, block: bytes, *, final: bool) -> bytes:
        mark = self._source.extend(block)
        written, ways_back, text = self._write(self._source.scanner.settle(final=final))
        self._reversal.advance(text, ways_back, final=final)
        rendered = mark + written if mark else written
        self._count(rendered)
        return rendered

    def _count(self, rendered: bytes) -> None:
        if not self._source.wide and self._rendered_size < HEAD:
            self._zero_in_head |= b"\0" in rendered[: HEAD - self._rendered_size]
        self._rendered_size += len(rendered)

    def _write(self, spans: list[Span]) -> tuple[bytes, list[Span], bytes]:
        """Return the decided part as bytes of the rendered file, the ways back, and the same part as text."""
        source, scanner = self._source, self._source.scanner
        if not spans:
            start = source.at
            written = source.take(scanner.done)
            return written, [], scanner.cut(start, scanner.done) if source.wide else written
        parts: list[bytes] = []
        texts: list[bytes] = []
        ways_back: list[Span] = []
        for span in spans:
            if source.wide:
                texts += (scanner.cut(source.at, span.start), span.image)
            parts += (source.take(span.start), source.replace(len(span.text), span.image))
            ways_back.append(Span(span.start + self._shift, span.image, span.text))
            if self._on_replacement is not None:
                self._tell(span)
            self._shift += len(span.image) - len(span.text)
        if source.wide:
            texts.append(scanner.cut(source.at, scanner.done))
        parts.append(source.take(scanner.done))
        self._replacements += len(spans)
        written = b"".join(parts)
        return written, ways_back, b"".join(texts) if source.wide else written

    def _tell(self, span: Span) -> None:
        assert self._on_replacement is not None, "asked before"
        source = self._source
        self._on_replacement(
            Replacement(
                source.offset(span.start),
                source.width * len(span.text),
                source.offset(span.start + self._shift),
                source.width * len(span.image),
            )
        )


class Restorer:
    """Restores one file that was not edited, piece by piece; the mapping is the one it was rendered by."""

    def __init__(
        self, mapping: Mapping, undo: bytes, on_restored: Callable[[int, int, bytes], None] | None = None
    ) -> None:
        """Take the record, which may be hostile. Raises UndoError, as the other methods do.

        `on_restored` is told each place that is put back, in order: where it begins and how long it is in the rendered
        text, in units, and what stands there then.
        """
        self._compiled = compiled(mapping)
        self._on_restored = on_restored
        self._record = UndoRecord(undo)
        self._patches = self._record.patches()
        self._patch = next(self._patches, None)
        self._head = Head()
        self._rendered: Passage | None = None

    def feed(self, piece: bytes) -> bytes:
        """Take a piece of the rendered file; return what of the source is ready."""
        if self._rendered is None:
            head = self._head.feed(piece)
            if head is None:
                return b""
            piece = self._begin(head)
        return self._continue(piece)

    def finish(self) -> bytes:
        """Return the rest."""
        ready = self._continue(self._begin(self._head.rest())) if self._rendered is None else b""
        rendered = self._rendered
        assert rendered is not None, "begun above"
        if rendered.kind is not Kind.BINARY:
            ready += self._advance(b"", final=True) + rendered.ending()
        if self._patch is not None or rendered.at > rendered.scanner.done:
            raise UndoError("the undo record names places that this file does not have: it belongs to another one")
        return ready

    def _begin(self, head: bytes) -> bytes:
        self._rendered = Passage(Scanner(self._compiled.inverse), head, is_text=self._record.is_text)
        return head

    def _continue(self, piece: bytes) -> bytes:
        rendered = self._rendered
        assert rendered is not None, "begun before"
        if rendered.kind is Kind.BINARY:
            return piece
        return b"".join([self._advance(block, final=False) for block in rendered.blocks(piece)])

    def _advance(self, block: bytes, *, final: bool) -> bytes:
        rendered = self._rendered
        assert rendered is not None, "begun before"
        parts = [rendered.extend(block)]
        for span in rendered.scanner.settle(final=final):
            # A patch wins over a token that it overlaps.
            self._apply_patches(parts, span.start + len(span.text))
            if span.start >= rendered.at:
                self._put_back(parts, span.start, len(span.text), span.image)
        self._apply_patches(parts, rendered.scanner.done)
        parts.append(rendered.take(rendered.scanner.done))
        return b"".join(parts)

    def _apply_patches(self, parts: list[bytes], end: int) -> None:
        """Put back what stood at the places of the record that begin before `end`."""
        while self._patch is not None and self._patch.start < end:
            self._put_back(parts, *self._patch)
            self._patch = next(self._patches, None)

    def _put_back(self, parts: list[bytes], start: int, length: int, text: bytes) -> None:
        rendered = self._rendered
        assert rendered is not None, "begun before"
        parts += (rendered.take(start), rendered.replace(length, text))
        if self._on_restored is not None:
            self._on_restored(start, length, text)


def rewrite(data: bytes, mapping: Mapping) -> tuple[bytes, Report]:
    """Return `data` rendered by `mapping`, and the report. Raises UndoTooLargeError."""
    renderer = Renderer(mapping)
    ready = renderer.feed(data)
    rest, report = renderer.finish()
    return (ready + rest if ready else rest), report


def restore(data: bytes, mapping: Mapping, undo: bytes) -> bytes:
    """Return what was rendered by `mapping` into `data`. Raises UndoError."""
    restorer = Restorer(mapping, undo)
    ready = restorer.feed(data)
    return ready + restorer.finish()


def concerns(data: bytes, mapping: Mapping) -> bool:
    """Tell whether rendering the whole file `data` may change it or need an undo record; quick, and True too often."""
    both = compiled(mapping)
    kind = kind_of(data)
    return both.touches(narrow(data[2 : len(data) & ~1], kind) if kind.wide else data)
