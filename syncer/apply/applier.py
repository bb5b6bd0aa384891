"""Opens one domain's transactions, and keeps its staging area clean.

The order is the promise: survey, plan, stage, verify, flush, then a short burst of renames and removals, then
metadata with the mtimes of directories last, then flush. Only after that the caller commits base and cursor.
A crash in the burst leaves the cursor where it was: the same changes come again, and because what stands on
the disk decides what is done, applying them twice ends the same.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from syncer.apply.attempt import Attempt
from syncer.apply.check import in_order
from syncer.apply.leftovers import clear_leftovers, remove_stages
from syncer.apply.owners import Owners
from syncer.apply.preflight import limits_of_accounts, limits_of_agent, limits_of_file_system
from syncer.apply.stage import Stages
from syncer.apply.values import Applied, BaseReader, Reach
from syncer.errors import ApplyError, UnavailableRootError
from syncer.files import Disk, Root
from syncer.model import Change

__all__ = ["Applied", "Applier", "Attempt"]


class Applier:
    """Where one domain's transactions land; used by one thread, one attempt at a time."""

    def __init__(
        self, domain: str, root: Path, node_id: str, base: BaseReader, disk: Disk, owners: Owners | None = None
    ) -> None:
        """Apply below `root`, and remove what a crash left staged; DiskError where that fails."""
        self._domain = domain
        self._root = root
        self._node_id = node_id
        self._owners = owners or Owners()
        self._stages = Stages(root, domain, node_id, disk)
        self._base = base
        self._holds: tuple[tuple[int, int], list[str]] | None = None
        self._disk = disk
        clear_leftovers(root, domain, node_id, disk)

    def begin(self, changes: Sequence[Change], reach: Reach) -> Attempt:
        """Check the changes, decide, and stage what needs no content; nothing becomes visible.

        Raises PeerProtocolError for changes that cannot be, UnavailableRootError where the root is gone,
        ApplyError where the disk refuses (CURSOR_MISMATCH where a directory was removed here).
        """
        ordered = in_order(changes)
        try:
            root = Root(self._root)
        except OSError as error:
            raise UnavailableRootError(
                f"the root {self._root} of domain {self._domain} cannot be opened ({error.strerror}): "
                "mount or create it"
            ) from error
        self._owners.refresh()
        self._stages.begin(root)
        return Attempt(self._domain, ordered, root, self._stages, self._base, reach, self._disk, self._owners)

    def limits(self, users: tuple[str, ...], groups: tuple[str, ...], *, may_probe: bool) -> list[str]:
        """Return a sentence for each thing that cannot be held here; the file system is tried once for each root."""
        found = limits_of_accounts(self._owners, users, groups) + limits_of_agent()
        try:
            if may_probe:
                found += self._probed()
        except (ApplyError, OSError) as error:
            found.append(f"what the file system of the root on failover can hold was not found out: {error}")
        return found

    def _probed(self) -> list[str]:
        try:
            root = Root(self._root)
        except FileNotFoundError:
            # It is made for the first transaction; its file system is that of what it is made in.
            with Root(self._root.parent) as parent:
                stage = self._stages.beside(parent.descriptor)
                try:
                    return limits_of_file_system(stage, self._disk)
                finally:
                    stage.close()
        with root:
            here = os.fstat(root.descriptor)
            place = (here.st_dev, here.st_ino)
            if self._holds is None or self._holds[0] != place:
                self._stages.begin(root)
                try:
                    stage = self._stages.for_directory(b"")
                    self._holds = (place, limits_of_file_system(stage, self._disk))
                finally:
                    if b"" in self._stages.disturbed:
                        self._disk.set_times(root.descriptor, here.st_atime_ns, here.st_mtime_ns)
                    self._stages.end()
            return self._holds[1]

    def close(self) -> None:
        """Remove the staging area, as far as the disk lets us; what stays is removed at the next start."""
        with contextlib.suppress(ApplyError, OSError):
            self._stages.close()
            remove_stages(self._root, self._domain, self._node_id, self._disk)
