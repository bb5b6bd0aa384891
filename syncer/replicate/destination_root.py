"""The root of a domain on failover: whether it is the place that was filled, and so may be written to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from syncer.capture.root_shape import ShapeWatch
from syncer.files import Disk
from syncer.model import Known
from syncer.replicate.shape import shape_change
from syncer.state.brake import BrakeStore


class DestinationRoot:
    """Looks at a root, without opening anything; every method may be called from any thread."""

    def __init__(
        self,
        domain: str,
        path: Path,
        applied: Callable[[bytes], Known | None],
        count: Callable[[], int],
        remembered: BrakeStore,
        watch: ShapeWatch,
        disk: Disk,
    ) -> None:
        """`applied` returns what was last applied at a path, `count` of how many paths; `watch` sees the mounts."""
        self._domain = domain
        self._path = path
        self._applied = applied
        self._count = count
        self._remembered = remembered
        self._watch = watch
        self._disk = disk
        self._accepted_shape = remembered.shape()

    def trouble(self, *, on_demand: bool = False) -> str:
        """Say why the root must not be written to as things are, "" where it may; cheap.

        A root that is missing, that another directory has replaced (an unmounted file system leaves its mount
        point), or that was emptied, is no place for changes that build upon what was applied before. On
        demand an emptied root may be filled again.
        """
        applied = self._applied(b"")
        named = f"the root {self._path} of domain {self._domain}"
        try:
            found = os.stat(self._path)
            with os.scandir(self._path) as listed:
                empty = all(item.name == ".syncer" for item in listed)
        except FileNotFoundError:
            if applied is None and self._path.parent.is_dir():
                return ""
            return f"{named} is missing on failover: mount or create it"
        except OSError as error:
            return (
                f"{named} cannot be used on failover ({error.strerror}): "
                "it must be a directory that the agent can read and write"
            )
        if applied is None or on_demand:
            return ""
        if empty and self._count() > 1:
            return (
                f"{named} is empty on failover though it was filled before: "
                "mount it, or fill it again with `syncer snapshot`"
            )
        if not self.is_same(found):
            return (
                f"{named} is another directory on failover than the one that "
                "was filled: mount or restore it, or fill this one with `syncer snapshot`"
            )
        change = self.shape_change()
        if change:
            return (
                f"{change} on failover: put it back as it was, or fill the tree as it is now with `syncer snapshot`, "
                "which asks first"
            )
        return ""

    def shape_change(self) -> str:
        """Say which mount at or below the root went or came since the last commit, "" where none did."""
        accepted = self._accepted_shape
        return shape_change(accepted, self._watch.look().shape, str(self._path)) if accepted is not None else ""

    def is_same(self, found: os.stat_result | None = None) -> bool:
        """Tell whether the root is the directory that was filled (by inode: devices are renumbered at boot)."""
        applied = self._applied(b"")
        try:
            inode = (found or os.stat(self._path)).st_ino
        except OSError:
            return False
        return applied is None or applied.identity.inode == inode

    def make_where_missing(self) -> None:
        """Make the root for the first synchronization; its parent is there. Raises DiskError."""
        if self._path.exists():
            return
        parent = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._disk.make_directory(parent, os.fsencode(self._path.name), 0o755)
            self._disk.flush_directory(parent)
        finally:
            os.close(parent)

    def settle_shape(self, *, always: bool) -> None:
        """Take the mounts of now as those that count, within the transaction that commits what was written there."""
        if always or self._accepted_shape is None:
            shape = self._watch.look().shape
            if shape != self._accepted_shape:
                self._remembered.accept_shape(shape)
                self._accepted_shape = shape
