"""Opens one domain's transactions, and keeps its staging area clean.

The order is the promise: survey, plan, stage, verify, flush, then a short burst of renames and removals, then
metadata with the mtimes of directories last, then flush. Only after that the caller commits base and cursor.
A crash in the burst leaves the cursor where it was: the same changes come again, and because what stands on
the disk decides what is done, applying them twice ends the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from syncer.apply.attempt import Attempt
from syncer.apply.candidate import Check
from syncer.apply.check import in_order
from syncer.apply.leftovers import clear_leftovers, remove_stages
from syncer.apply.metadata import Owners
from syncer.apply.stage import Stages
from syncer.apply.values import Applied, BaseReader, Reach
from syncer.errors import ApplyError, UnavailableRootError
from syncer.files import Disk, Root
from syncer.model import Change

__all__ = ["Applied", "Applier", "Attempt"]


class Applier:
    """Where one domain's transactions land; used by one thread, one attempt at a time."""

    def __init__(self, domain: str, root: Path, node_id: str, base: BaseReader, disk: Disk) -> None:
        """Apply below `root`, and remove what a crash left staged; DiskError where that fails."""
        self._domain = domain
        self._root = root
        self._node_id = node_id
        self._owners = Owners()
        self._stages = Stages(root, domain, node_id, disk)
        self._base = base
        self._disk = disk
        clear_leftovers(root, domain, node_id, disk)

    def begin(self, changes: Sequence[Change], reach: Reach, check: Check | None = None) -> Attempt:
        """Check the changes, decide, and stage what needs no content; nothing becomes visible.

        `check` looks at the tree as it would be, before any of it stands.

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
        return Attempt(self._domain, ordered, root, self._stages, self._base, reach, self._disk, self._owners, check)

    def close(self) -> None:
        """Remove the staging area, as far as the disk lets us; what stays is removed at the next start."""
        with contextlib.suppress(ApplyError, OSError):
            self._stages.close()
            remove_stages(self._root, self._domain, self._node_id, self._disk)
