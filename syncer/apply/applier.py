"""Opens one domain's transactions, carries interrupted ones to their end, and keeps the staging areas clean.

The order is the promise: survey, plan, stage, verify, flush, then the intent into the journal, then a short burst of
renames that put what stands there into the stage, then metadata with the mtimes of directories last, then flush.
Only after that the caller commits base, cursor, generation and the end of the intent at once. A crash before the
intent leaves nothing visible; after it, recovery takes the steps that are missing. Where the disk refuses a step,
those before it are taken back, and where it refuses that too, recovery goes on as after a crash.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from syncer.apply.area import remove_empty_areas
from syncer.apply.areas import Areas
from syncer.apply.attempt import Attempt
from syncer.apply.candidate import Check
from syncer.apply.check import in_order
from syncer.apply.journal import Journal
from syncer.apply.leftovers import Leftovers, remove_leftovers
from syncer.apply.owners import Owners
from syncer.apply.preflight import Preflight
from syncer.apply.recovery import recover
from syncer.apply.stage import Stages
from syncer.apply.values import Applied, BaseReader, Reach
from syncer.errors import ApplyError, Reason, UnavailableRootError
from syncer.files import Disk, Root
from syncer.model import Change
from syncer.state.intents import Intent

__all__ = ["Applied", "Applier", "Attempt"]


class Applier:
    """Where one domain's transactions land; used by one thread, one attempt at a time."""

    def __init__(
        self, domain: str, root: Path, node_id: str, base: BaseReader, disk: Disk, owners: Owners, journal: Journal
    ) -> None:
        """Apply below `root`; nothing is touched yet."""
        self._domain = domain
        self._root = root
        self._node_id = node_id
        self._owners = owners
        self._stages = Stages(root, domain, node_id, disk)
        self._everywhere = Areas(root, domain, node_id, disk)
        self._base = base
        self._preflight = Preflight(root, self._stages, owners, disk)
        self._disk = disk
        self._journal = journal
        # What an earlier life left is not known yet.
        self._may_have_leftovers = True
        self._last: Attempt | None = None

    def begin(self, changes: Sequence[Change], reach: Reach, check: Check | None = None) -> Attempt:
        """Check the changes, decide, and stage what needs no content; nothing becomes visible.

        `check` looks at the tree as it would be, before any of it stands.

        Raises PeerProtocolError for changes that cannot be, UnavailableRootError where the root is gone,
        ApplyError where the disk refuses (CURSOR_MISMATCH where a directory was removed here).
        """
        ordered = in_order(changes)
        root = self._open_root()
        self._owners.refresh()
        self._stages.begin(root)
        try:
            leftovers = self._leftovers(root) if self._has_leftovers() else None
        except BaseException:
            root.close()
            raise
        try:
            self._last = Attempt(
                self._domain, ordered, root, self._stages, self._base, reach, self._disk, self._owners,
                self._journal, leftovers, check,
            )  # fmt: skip  # one argument list
            return self._last
        except BaseException as error:
            self._may_have_leftovers = True
            if isinstance(error, ApplyError):
                self._make_room(error)
            raise

    def recover(self, intent: Intent, reach: Reach) -> Applied:
        """Carry a journalled transaction to its end; raises as `begin`, and may be called again then."""
        root = self._open_root()
        self._owners.refresh()
        try:
            applied = recover(self._domain, intent, root, self._stages, self._base, reach, self._disk, self._owners)
            return applied._replace(generation=intent.standing.generation)
        finally:
            root.close()

    def tidy(self) -> None:
        """After a transaction: remove what earlier attempts left, and make the next one's stage ready."""
        with self._open_root() as root:
            if self._has_leftovers():
                self._remove_leftovers(keep=0)
                self._may_have_leftovers = False
            self._stages.make_ready(root)

    def remove_empty(self) -> None:
        """At the start: remove what an earlier life had made ready and never used, as far as the disk lets us."""
        with contextlib.suppress(ApplyError, OSError):
            remove_empty_areas(self._root, self._domain, self._node_id, self._disk)

    def limits(self, users: tuple[str, ...], groups: tuple[str, ...], *, may_probe: bool) -> list[str]:
        """Return a sentence for each thing that cannot be held here of what production may send."""
        return self._preflight.limits(users, groups, may_probe=may_probe)

    def close(self) -> None:
        """Close the areas, and remove those with nothing in them, as far as the disk lets us."""
        with contextlib.suppress(ApplyError, OSError):
            self._stages.close()
        self.remove_empty()

    def _leftovers(self, root: Root) -> Leftovers:
        """Keep the newest attempt's staging for its contents, and remove older ones."""
        self._remove_leftovers(keep=1)
        return Leftovers(self._stages.areas(root), self._needed())

    def _needed(self) -> set[bytes]:
        return {*self._journal.stages_in_use(), self._stages.name}

    def _has_leftovers(self) -> bool:
        """Tell whether an attempt may have left something: one that was carried out leaves nothing."""
        if self._last is not None:
            self._may_have_leftovers = self._may_have_leftovers or not self._last.is_done
            self._last = None
        return self._may_have_leftovers

    def _remove_leftovers(self, keep: int) -> None:
        """Look on every mount below the root, also on those that the last transaction did not write to."""
        needed = self._needed()
        try:
            for area in self._everywhere.current():
                remove_leftovers(area, needed, keep)
        finally:
            # An open descriptor would keep a mount from being unmounted.
            self._everywhere.close()

    def _make_room(self, error: ApplyError) -> None:
        """On a full disk, what is staged for later is in the way."""
        if error.reason is Reason.DISK_FULL:
            with contextlib.suppress(ApplyError, OSError):
                self.tidy()

    def _open_root(self) -> Root:
        try:
            return Root(self._root)
        except OSError as error:
            raise UnavailableRootError(
                f"the root {self._root} of domain {self._domain} cannot be opened ({error.strerror}): "
                "mount or create it"
            ) from error
