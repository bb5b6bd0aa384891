"""`syncer diff --rendered`: what substitution changes in the files of each target, as unified diffs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from syncer.admin.snapshot import choose
from syncer.capture.contents import ContentCache
from syncer.errors import UndoTooLargeError
from syncer.index.store import IndexStore
from syncer.model import Entry, Kind, shown
from syncer.replicate.content import ContentChangedError
from syncer.replicate.source import DiskSource
from syncer.substitution.mapping import Mapping
from syncer.substitution.preview import decoded, preview, unified
from syncer.substitution.rewrite import Renderer, concerns, rewrite
from syncer.substitution.rules import RuleSet

if TYPE_CHECKING:
    from syncer.node.agent import Node
    from syncer.node.production import ProductionSide

LARGEST_SHOWN = 16 << 20
"""Bytes; of a larger file only the number of replacements is told."""
MOST_LINES = 2000
"""Of one file's diff."""


async def with_renderings(
    node: Node, production: ProductionSide, arguments: dict[str, Any], result: dict[str, Any]
) -> None:
    """Add `rendered` to each target of the result of a comparison."""
    most = int(arguments.get("most") or 20)
    chosen = choose(node, production, arguments)
    for target in result["targets"]:
        files: list[dict[str, Any]] = []
        total = 0
        for sender in chosen:
            if sender.stream.target == target["name"]:
                sent = production.sent(sender.stream)
                look = _Look(sent.domain, sent.root, sent.rules, target["name"], most - len(files))
                await asyncio.to_thread(look.run, production.index)
                files += look.files
                total += look.total
        target["rendered"] = {"files": files, "total": total}


class _Look:
    """One domain, rendered for one target."""

    def __init__(self, domain: str, root: Path, rules: RuleSet, target: str, most: int) -> None:
        self.files: list[dict[str, Any]] = []
        self.total = 0
        self._domain = domain
        self._rules = rules
        self._target = target
        self._most = most
        self._source = DiskSource(root, ContentCache(0))

    def run(self, index: IndexStore) -> None:
        """Go through all files; the first `most` that change are shown, the others counted."""
        if not self._rules.rules:
            return
        try:
            with index.snapshot(self._domain) as snapshot:
                for entry in snapshot.entries():
                    mapping = self._rules.for_path(self._domain, entry.path)
                    if entry.kind is Kind.FILE and entry.size and mapping is not None:
                        self._one(entry, mapping)
        finally:
            self._source.refresh()

    def _one(self, entry: Entry, mapping: Mapping) -> None:
        shows = len(self.files) < self._most
        try:
            if entry.size > LARGEST_SHOWN:
                found = self._streamed(entry, mapping)
            else:
                data = b"".join(self._source.read(entry.path, entry.digest, entry.size))
                if not concerns(data, mapping):
                    return
                found = self._shown(entry, data, mapping) if shows else _counted(data, mapping)
        except (ContentChangedError, UndoTooLargeError) as error:
            reason = "it changed while it was read" if isinstance(error, ContentChangedError) else str(error)
            found = {"replacements": 0, "undo_bytes": 0, "encoding": "", "diff": "", "problem": reason}
        if found["replacements"] or found["problem"]:
            self.total += 1
            if shows:
                self.files.append({"domain": self._domain, "path": shown(entry.path), **found})

    def _shown(self, entry: Entry, data: bytes, mapping: Mapping) -> dict[str, Any]:
        made = preview(data, mapping)
        path = shown(entry.path)
        labels = (f"{self._domain}/{path} (production)", f"{self._domain}/{path} ({self._target})")
        return {
            "replacements": made.report.replacements,
            "undo_bytes": len(made.report.undo),
            "encoding": decoded(data)[1],
            "diff": "\n".join(unified(data, made.rendered, labels, MOST_LINES)),
            "problem": "",
        }

    def _streamed(self, entry: Entry, mapping: Mapping) -> dict[str, Any]:
        renderer = Renderer(mapping)
        for piece in self._source.read(entry.path, entry.digest, entry.size):
            renderer.feed(piece)
        report = renderer.finish()[1]
        problem = f"larger than {LARGEST_SHOWN >> 20} MiB: not shown" if report.replacements else ""
        return {
            "replacements": report.replacements,
            "undo_bytes": len(report.undo),
            "encoding": "",
            "diff": "",
            "problem": problem,
        }


def _counted(data: bytes, mapping: Mapping) -> dict[str, Any]:
    return {"replacements": rewrite(data, mapping)[1].replacements, "problem": ""}
