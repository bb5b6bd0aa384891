"""Applies one domain's transactions to the disk: stage, verify, flush, one short burst, flush.

The order is the promise. Contents are written and verified in the staging area, and flushed there, before
anything becomes visible. Then comes the burst: conflicts go, staged things are renamed into place (parents
first), deletions follow (deepest first), metadata and the mtimes of directories come last, because every
rename before would change them. Then the directories are flushed; only after that the caller commits base
and cursor, and acknowledges. A crash in the burst leaves the cursor where it was: the same changes come
again, and because what is done is decided by what stands on the disk, applying them twice ends the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from syncer.apply.attempt import Attempt
from syncer.apply.contents import explained
from syncer.apply.metadata import Owners
from syncer.apply.plan import Planner, check_changes
from syncer.apply.stage import Stage
from syncer.apply.values import Applied, BaseReader, Reach
from syncer.files import Disk, Root
from syncer.model import Change

__all__ = ["Applied", "Applier", "Attempt"]


class Applier:
    """Where one domain's transactions land; used by one thread."""

    def __init__(self, domain: str, root: Path, node_id: str, base: BaseReader, disk: Disk) -> None:
        """Apply below `root`; the staging area is made when the first transaction needs it."""
        self._domain = domain
        self._root = root
        self._label = f"{domain}-{node_id[:8]}".encode()
        self._base = base
        self._disk = disk
        self._owners = Owners()
        self._stages: dict[int, Stage] = {}

    def begin(self, changes: Sequence[Change], reach: Reach) -> Attempt:
        """Plan a transaction and start to stage it; nothing becomes visible before `Attempt.finish`.

        Raises PeerProtocolError where the changes contradict themselves, ApplyError where the disk refuses.
        """
        check_changes(changes)
        self._owners.refresh()
        try:
            root = Root(self._root)
        except OSError as error:
            raise explained(error, "opening the root") from error
        try:
            plan = Planner(self._domain, root, self._base, reach).plan(changes)
            return Attempt(self._domain, root, plan, self._base, self._disk, self._owners, self._stage_on)
        except OSError as error:
            root.close()
            raise explained(error, "planning a change") from error
        except BaseException:
            root.close()
            raise

    def close(self) -> None:
        """Remove the staging areas."""
        for stage in self._stages.values():
            stage.close()
        self._stages.clear()

    def _stage_on(self, device: int, top: bytes) -> Stage:
        """Return the staging area on a file system: the root's, or that of a mount below it at `top`."""
        stage = self._stages.get(device)
        if stage is None:
            stage = self._stages[device] = Stage(
                self._root if not top else self._root / Path(top.decode("utf-8", "surrogateescape")),
                self._label,
                self._disk,
                within=bool(top),
            )
        return stage
