"""Which start of which node was seen last, so that a copy of a node's identity is told from a restart of it."""

from __future__ import annotations

import logging
import uuid

from syncer.errors import StateError
from syncer.model import NEVER, Start
from syncer.state.store import StateStore

log = logging.getLogger(__name__)

RESTORED_AHEAD = 1 << 20
"""How far a restored node.db is put ahead: more starts than any node makes after its backup."""


def begin_start(store: StateStore) -> Start:
    """Count a start durably, before anybody hears of it, and return it.

    Where the disk takes nothing it is NEVER, which nobody refuses: a full disk must not keep a node from starting.
    """
    try:
        with store.transaction() as writer:
            number: int = writer.execute("UPDATE node SET starts = starts + 1 RETURNING starts").fetchone()[0]
    except StateError as error:
        log.warning("this start is not counted, so no peer could tell a copy of this node from it: %s", error)
        return NEVER
    return Start(number, str(uuid.uuid4()))


def after_restore(store: StateStore, further: int = 0) -> None:
    """Put a node.db that a person has restored ahead of what peers remember of the lost one. Raises StateError.

    `further` tells restores of one backup apart: it grows from each to the next.
    """
    with store.transaction() as writer:
        writer.execute("UPDATE node SET starts = starts + ?", (RESTORED_AHEAD + further,))


def read_peer_start(store: StateStore, node_id: str) -> Start:
    """Return the start of a peer that was seen last; NEVER where none was."""
    with store.read() as reader:
        row = reader.execute("SELECT starts, instance FROM peer_start WHERE node_id = ?", (node_id,)).fetchone()
    return NEVER if row is None else Start(*row)


def remember_peer_start(store: StateStore, node_id: str, start: Start) -> None:
    """Remember a peer's start durably; one that is known already costs nothing.

    Where the disk takes nothing, what was known before stays: a full disk must not end a session.
    """
    if read_peer_start(store, node_id) == start:
        return
    try:
        with store.transaction() as writer:
            writer.execute(
                "INSERT OR REPLACE INTO peer_start (node_id, starts, instance) VALUES (?, ?, ?)", (node_id, *start)
            )
    except StateError as error:
        log.warning("which start of node %s speaks is not remembered: %s", node_id, error)


def forget_peer_start(store: StateStore, node_id: str) -> None:
    """Believe the next start of this peer, whichever it is: a person has paired it anew. Raises StateError."""
    with store.transaction() as writer:
        writer.execute("DELETE FROM peer_start WHERE node_id = ?", (node_id,))
