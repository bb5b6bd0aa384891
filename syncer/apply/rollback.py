"""Plans the way back to an earlier generation, from what the later ones displaced (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from syncer.model import Change, Entry, Kind, Known, name_of, parent_of, shown
from syncer.state.generations import Displaced

NAMED_PATHS = 5
"""How many paths a refusal names."""


class WayBack(NamedTuple):
    """What brings an earlier state back: parents before children, absence as entry None."""

    changes: list[Change]
    edited: frozenset[bytes]
    """Paths that had been edited on this node: what comes back was never applied from production."""


def plan_rollback(generations: Iterable[Iterable[Displaced]]) -> WayBack:
    """Return what stood at each path before the earliest of these generations changed it.

    `generations` are the rows of each, from the newest down to the one after the target.
    """
    before: dict[bytes, Displaced] = {}
    for rows in generations:
        # An earlier generation tells of an earlier moment: its word replaces that of a later one.
        before.update((row.path, row) for row in rows)
    ordered = sorted(before.values(), key=lambda row: (parent_of(row.path), name_of(row.path)))
    changes = [Change(0, row.path, row.entry) for row in ordered if row.path or row.entry is not None]
    return WayBack(changes, frozenset(row.path for row in ordered if row.edited and row.entry is not None))


def with_parents(way: WayBack, edits: Mapping[bytes, Known | None], base: Iterable[Known]) -> WayBack:
    """Return the way back with the directories that someone has removed here since they were applied.

    `edits` are the differences between disk and base; `base` may be limited to the paths of `edits`.
    """
    applied = {known.entry.path: known.entry for known in base}
    planned = {change.path: change.entry for change in way.changes}
    added: dict[bytes, Entry] = {}
    for path, entry in planned.items():
        parent = parent_of(path)
        while entry is not None and parent and parent not in planned and parent not in added:
            here = edits.get(parent)
            known = applied.get(parent)
            gone = parent in edits and (here is None or here.entry.kind is not Kind.DIRECTORY)
            if gone and known is not None and known.kind is Kind.DIRECTORY:
                added[parent] = known
            parent = parent_of(parent)
    if not added:
        return way
    changes = [*way.changes, *(Change(0, path, entry) for path, entry in added.items())]
    changes.sort(key=lambda change: (parent_of(change.path), name_of(change.path)))
    return WayBack(changes, way.edited)


def needed_contents(changes: Iterable[Change]) -> dict[bytes, int]:
    """Return digest → size in bytes of all files that are not empty."""
    return {
        change.entry.digest: change.entry.size
        for change in changes
        if change.entry is not None and change.entry.kind is Kind.FILE and change.entry.size
    }


def unrestorable(changes: Iterable[Change], missing: set[bytes]) -> list[bytes]:
    """Return the paths that cannot come back: their content is missing, or nothing that can be made again."""
    return [
        change.path
        for change in changes
        if change.entry is not None
        and (
            change.entry.kind is Kind.UNKNOWN
            or (change.entry.kind is Kind.FILE and change.entry.size and change.entry.digest in missing)
        )
    ]


def sample_of(paths: list[bytes], reasons: Mapping[bytes, str]) -> str:
    """Name some paths in a sentence, each with why it is lacking where that is known."""
    named = [f"{shown(path)!a}" + (f" ({reasons[path]})" if path in reasons else "") for path in paths[:NAMED_PATHS]]
    more = f" and {len(paths) - NAMED_PATHS} more" if len(paths) > NAMED_PATHS else ""
    return ", ".join(named) + more
