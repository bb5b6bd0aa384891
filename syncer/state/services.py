"""What is known of each domain's services, in node.db."""

from __future__ import annotations

from syncer.model import ServiceLife, ServiceState
from syncer.state.store import StateStore, storable


def read_service(store: StateStore, domain: str) -> ServiceLife:
    """Return what was last recorded; an empty `boot` where nothing ever was."""
    with store.read() as reader:
        row = reader.execute(
            "SELECT state, since, boot, lived, generation, detail, checked_at FROM service WHERE domain = ?", (domain,)
        ).fetchone()
    if row is None:
        return ServiceLife()
    return ServiceLife(ServiceState(row[0]), row[1], row[2], bool(row[3]), *row[4:])


def write_service(store: StateStore, domain: str, life: ServiceLife) -> None:
    """Make it durable, in place of what was recorded before."""
    with store.transaction() as writer:
        writer.execute(
            "INSERT OR REPLACE INTO service (domain, state, since, boot, lived, generation, detail, checked_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (domain, life.state.value, life.since, life.boot, int(life.lived), life.generation,
             storable(life.detail), life.checked_at),
        )  # fmt: skip  # the columns in their order
