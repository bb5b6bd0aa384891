"""What the brake remembers across restarts: deletions of the window, places of roots, approved deletions."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from syncer.model import Kind, Mount, RootShape, name_of, parent_of
from syncer.state.store import StateStore

Loss = tuple[bytes, Kind, bytes, float]
"""Path, kind, content (digest or link target) and time (seconds since 1970) of one deletion."""

RECEIVER = ""
"""The target under whose name a receiver keeps the place of its own root; no target is called so."""


class BrakeStore:
    """The brake's tables of one domain, for one target or for the receiver itself."""

    def __init__(self, store: StateStore, domain: str, target: str = RECEIVER) -> None:
        """Take the precious store; nothing is read yet."""
        self._store = store
        self._key = (target, domain)
        self._domain = domain

    def losses(self) -> list[Loss]:
        """Return what was deleted and is remembered."""
        with self._store.read() as reader:
            rows = reader.execute(
                "SELECT path, kind, content, at FROM brake_deletion WHERE domain = ?", (self._domain,)
            ).fetchall()
        return [(path, Kind(kind), content, at) for path, kind, content, at in rows]

    def replace_losses(self, forgotten: Iterable[bytes], added: Iterable[Loss]) -> None:
        """Forget some deletions and remember others, within the caller's transaction if there is one."""
        with self._store.transaction() as writer:
            writer.executemany(
                "DELETE FROM brake_deletion WHERE domain = ? AND path = ?", ((self._domain, path) for path in forgotten)
            )
            writer.executemany(
                "INSERT OR REPLACE INTO brake_deletion (domain, path, kind, content, at) VALUES (?, ?, ?, ?, ?)",
                ((self._domain, path, int(kind), content, at) for path, kind, content, at in added),
            )

    def applied(self, paths: Iterable[bytes]) -> dict[bytes, tuple[Kind, bytes, bytes]]:
        """Return kind, digest and link target of those `paths` that were applied here, in one visit."""
        found = {}
        with self._store.read() as reader:
            for path in paths:
                row = reader.execute(
                    "SELECT kind, digest, link_target FROM base WHERE domain = ? AND parent = ? AND name = ?",
                    (self._domain, parent_of(path), name_of(path)),
                ).fetchone()
                if row is not None:
                    found[path] = (Kind(row[0]), row[1], row[2])
        return found

    def shape(self) -> RootShape | None:
        """Return the accepted place of the root, None before any was accepted."""
        with self._store.read() as reader:
            row = reader.execute(
                "SELECT is_link FROM accepted_root WHERE target = ? AND domain = ?", self._key
            ).fetchone()
            if row is None:
                return None
            mounts = reader.execute(
                "SELECT point, source, inside FROM accepted_mount WHERE target = ? AND domain = ?", self._key
            ).fetchall()
        return RootShape(bool(row[0]), frozenset(Mount(*mount) for mount in mounts))

    def accept_shape(self, shape: RootShape) -> None:
        """Record the place of the root as the one that counts from now on."""
        with self._store.transaction() as writer:
            writer.execute("DELETE FROM accepted_mount WHERE target = ? AND domain = ?", self._key)
            writer.execute("INSERT OR REPLACE INTO accepted_root VALUES (?, ?, ?)", (*self._key, int(shape.is_link)))
            writer.executemany(
                "INSERT INTO accepted_mount (target, domain, point, source, inside) VALUES (?, ?, ?, ?, ?)",
                ((*self._key, *mount) for mount in shape.mounts),
            )

    def approved(self) -> frozenset[bytes]:
        """Return the deletions that a person approved and that were not acknowledged yet."""
        with self._store.read() as reader:
            rows = reader.execute(
                "SELECT path FROM approved_deletion WHERE target = ? AND domain = ?", self._key
            ).fetchall()
        return frozenset(path for (path,) in rows)

    def replace_approved(self, paths: Collection[bytes]) -> None:
        """Remember exactly these deletions as approved; none forgets them."""
        with self._store.transaction() as writer:
            writer.execute("DELETE FROM approved_deletion WHERE target = ? AND domain = ?", self._key)
            writer.executemany(
                "INSERT INTO approved_deletion (target, domain, path) VALUES (?, ?, ?)",
                ((*self._key, path) for path in paths),
            )

    def forget(self) -> None:
        """Forget what was accepted and approved for the target."""
        with self._store.transaction() as writer:
            for table in ("accepted_root", "accepted_mount", "approved_deletion"):
                writer.execute(f"DELETE FROM {table} WHERE target = ? AND domain = ?", self._key)  # noqa: S608
