"""What a local edit is called, who wins over it, and when it is put back (pure)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from syncer.model import Entry, Kind, Known
from syncer.replicate.compare import same_entry

CREATED, EDITED, DELETED = "created", "edited", "deleted"
REPLACED, METADATA, UNREADABLE = "replaced", "metadata", "unreadable"

ACTIONS = {
    CREATED: "delete",
    EDITED: "update",
    DELETED: "create",
    REPLACED: "replace",
    METADATA: "metadata",
    UNREADABLE: "update",
}
"""What making it as it was does to the path, in the words of a plan."""

_WHAT = {action: what for what, action in ACTIONS.items() if what != UNREADABLE}

SameEntry = Callable[[Entry, Entry], bool]

SHORTEST_PAUSE = 1.0
LONGEST_PAUSE = 60.0


def what_of_action(action: str) -> str:
    """Return what was done to a path that a plan's `action` would make as it was."""
    return _WHAT[action]


def what_happened(applied: Known | None, found: Known | None, same: SameEntry = same_entry) -> str:
    """Name how a path differs from what was applied; "" where it does not, or is none of syncer's.

    A directory's time alone is no difference. `same` tells whether what a scan found is what was applied.
    """
    if found is None:
        return DELETED if applied is not None and applied.entry.kind is not Kind.UNKNOWN else ""
    if applied is None:
        return "" if found.entry.kind is Kind.UNKNOWN else CREATED
    before, now = applied.entry, found.entry
    if before.kind is Kind.UNKNOWN:
        return ""
    if now.kind is not before.kind:
        return UNREADABLE if now.kind is Kind.UNKNOWN else REPLACED
    if now.digest != before.digest or now.link_target != before.link_target:
        return EDITED
    # Nobody touched it since: what differs is what could not be applied here, and that is a problem, no edit.
    if applied.identity == found.identity:
        return ""
    if now.kind is Kind.DIRECTORY:
        now = now._replace(mtime_ns=before.mtime_ns)
    return "" if same(before, now) else METADATA


def to_confirm(
    looked: Mapping[bytes, str], recorded: Mapping[bytes, str], touched: Iterable[bytes] | None
) -> set[bytes]:
    """Return the paths of which a look says another thing than what is recorded.

    `touched` are the paths and directories that were looked at; None: everything was.
    """
    differing = {path for path, what in looked.items() if recorded.get(path) != what}
    if touched is None:
        return differing | (recorded.keys() - looked.keys())
    tops = set(touched)
    return differing | {path for path in recorded if path not in looked and _is_within(path, tops)}


def _is_within(path: bytes, tops: set[bytes]) -> bool:
    while True:
        if path in tops:
            return True
        if not path:
            return False
        path = path.rpartition(b"/")[0]


class RestorePace:
    """When edits are to be put back: at once, but ever more slowly where the same ones come again.

    Something on failover may edit a file as often as it is put back, or the disk may refuse; that must not
    become a full synchronization a second.
    """

    def __init__(self) -> None:
        self._asked: frozenset[bytes] = frozenset()
        self._pause = SHORTEST_PAUSE
        self._not_before = 0.0

    def due(self, paths: Iterable[bytes], now: float) -> float | None:
        """Return when (seconds, monotonic) these edits are to be put back; None where there are none."""
        wanted = frozenset(paths)
        if not wanted:
            return None
        return now if not wanted & self._asked else max(self._not_before, now)

    def asked(self, paths: Iterable[bytes], now: float) -> None:
        """Note that a synchronization was asked for at `now`, because of these paths."""
        wanted = frozenset(paths)
        self._pause = min(self._pause * 2, LONGEST_PAUSE) if wanted & self._asked else SHORTEST_PAUSE
        self._not_before = now + self._pause
        self._asked = wanted
