"""`syncer history DOMAIN GENERATION` with --save or --release: takes what it displaced out, or lets it go."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Any

from syncer.admin.following import Event
from syncer.admin.history import destination_of, require_generation
from syncer.errors import ConfigurationError
from syncer.model import Kind, shown
from syncer.replicate.destination import Destination
from syncer.state.generations import Displaced, read_displaced

if TYPE_CHECKING:
    from syncer.node.agent import Node

PIECE = 256 * 1024
"""Bytes of a content that one event carries."""


async def history_save(node: Node, arguments: dict[str, Any]) -> AsyncIterator[Event]:
    """Yield what stood at each path before a generation changed it, contents in pieces; then how many there were."""
    destination = destination_of(node, str(arguments["domain"]), "history")
    number = int(arguments["generation"])
    assert node.failover is not None, "only then there are destinations"
    on_worker = partial(node.failover.receiver.on_worker, destination.domain)
    rows = await on_worker(partial(_rows, destination, number))
    missing = []
    for row in rows:
        entry = row.entry
        assert entry is not None, "only what stood there is saved"
        head = {"path": shown(row.path), "kind": entry.kind.name.lower(), "mode": f"{entry.mode:04o}"}
        if entry.kind is not Kind.FILE:
            yield "progress", {**head, "link_target": shown(entry.link_target) if entry.link_target else "", "data": ""}
            continue
        offset = 0
        while True:
            piece = await on_worker(partial(_piece, destination, entry.digest, offset))
            if piece is None:
                missing.append(shown(row.path))
                break
            offset += len(piece)
            more = offset < entry.size and bool(piece)
            data = base64.b64encode(piece).decode("ascii")
            yield "progress", {**head, "link_target": "", "data": data, "offset": offset - len(piece)}
            if not more:
                break
    yield "result", {"paths": len(rows) - len(missing), "missing": missing, "exit_code": 1 if missing else 0}


async def history_release(node: Node, arguments: dict[str, Any]) -> dict[str, Any]:
    """Let the limits of the history apply to a protected generation again."""
    destination = destination_of(node, str(arguments["domain"]), "history")
    number = int(arguments["generation"])
    assert node.failover is not None, "only then there are destinations"

    def release() -> bool:
        require_generation(destination, number)
        return destination.history.release(number)

    if not await node.failover.receiver.on_worker(destination.domain, release):
        raise ConfigurationError(f"generation {number} of {destination.domain} is not protected: nothing was done")
    return {"domain": destination.domain, "generation": number, "exit_code": 0}


def _rows(destination: Destination, number: int) -> list[Displaced]:
    require_generation(destination, number)
    destination.history.take_all_in()
    rows = read_displaced(destination.store, destination.domain, number)
    kinds = (Kind.FILE, Kind.DIRECTORY, Kind.SYMLINK)
    return [row for row in rows if row.path and row.entry is not None and row.entry.kind in kinds]


def _piece(destination: Destination, digest: bytes, offset: int) -> bytes | None:
    """Return some of a kept content; None where it is not kept."""
    descriptor = destination.history.opener()(digest)
    if descriptor is None:
        return None
    try:
        return os.pread(descriptor, PIECE, offset)
    finally:
        os.close(descriptor)
