"""What stands at the paths that a transaction changes, before it does: the rows of a generation (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Protocol

from syncer.apply.plan import Action, Found, Plan, Step, Survey, beneath_any
from syncer.model import DiskIdentity, Entry, Kind, Known, name_of, parent_of
from syncer.state.generations import Displaced

IsAsApplied = Callable[[Known, DiskIdentity], bool]
"""Tells whether what was found with an identity is still what the base knows."""

TOGETHER = 32
"""Changed paths of one directory from which on its rows are read at once."""


class AppliedRows(Protocol):
    """What was last applied in the domain."""

    def get(self, path: bytes) -> Known | None:
        """Return what was applied at `path`."""

    def children(self, directory: bytes) -> dict[bytes, Known]:
        """Return name → what was applied, of one directory."""


class _Displacement(NamedTuple):
    """Something that stands at a path and goes, or becomes another."""

    path: bytes
    found: Found
    place: bytes
    equal: Entry | None = None
    """The entry whose content stands there already."""


def displaced_rows(
    plan: Plan, survey: Survey, base: AppliedRows, places: Mapping[bytes, bytes], asides: Mapping[bytes, bytes],
    as_applied: IsAsApplied,
) -> Iterator[Displaced]:  # fmt: skip  # one argument list
    """Yield a row for each path that the plan changes.

    `places`: path → where it is staged, which is where what stood there ends up; `asides`: path → where what is
    removed is put; `as_applied` tells whether what the base knows still stands.
    """
    replaced: set[bytes] = set()
    standing: list[_Displacement] = []
    for step in plan.steps:
        path, found = step.path, step.found
        if step.action is Action.RECORD:
            continue
        if found is None:
            # RACE: what someone makes there before our rename is put where our thing was staged.
            yield Displaced(path, None, False, places.get(path, b""))
            continue
        moved = step.action is Action.PLACE
        if moved and found.kind is Kind.DIRECTORY:
            replaced.add(path)
        place = places.get(path, b"") if moved else b""
        standing.append(_Displacement(path, found, place, step.entry if found.same else None))
    removed = {removal.path for removal in plan.removals}
    for path in plan.deletions:
        found = survey.found.get(path)
        if found is not None and (path in removed or (replaced and beneath_any(path, replaced))):
            standing.append(_Displacement(path, found, asides.get(path, b"")))
    known = _Known(base, Counter(parent_of(one.path) for one in standing))
    for one in standing:
        yield _row(one, known.at(one.path), as_applied)


class _Known:
    """Asks for rows one by one where few of a directory are needed, and for all of them where many are."""

    def __init__(self, base: AppliedRows, needed: Mapping[bytes, int]) -> None:
        self._base = base
        self._needed = needed
        self._directories: dict[bytes, dict[bytes, Known]] = {}

    def at(self, path: bytes) -> Known | None:
        parent = parent_of(path)
        if not path or self._needed[parent] < TOGETHER:
            return self._base.get(path)
        if parent not in self._directories:
            self._directories[parent] = self._base.children(parent)
        return self._directories[parent].get(name_of(path))


def makes_generation(plan: Plan) -> bool:
    """Tell whether a plan changes anything that a person would want to go back from.

    A directory's mtime alone does not: it moves with everything in it.
    """
    return bool(plan.removals) or any(
        step.action in (Action.PLACE, Action.BUILD)
        or (step.action is Action.ADJUST and not (step.entry.kind is Kind.DIRECTORY and _only_mtime(step.found, step)))
        for step in plan.steps
    )


def _only_mtime(found: Found | None, step: Step) -> bool:
    uid, gid, entry = step.uid, step.gid, step.entry
    return found is not None and found.mode == entry.mode and found.uid == uid and found.gid == gid


def _row(displaced: _Displacement, known: Known | None, as_applied: IsAsApplied) -> Displaced:
    path, found, place, equal = displaced
    if known is not None and known.entry.kind is found.kind and as_applied(known, found.identity):
        return Displaced(path, known.entry, False, place)
    size = found.identity.size if found.kind is Kind.FILE else 0
    mode = 0 if found.kind is Kind.SYMLINK else found.mode
    entry = Entry(path, found.kind, mode, found.uid, found.gid, "", "", found.identity.mtime_ns, size, b"", b"")
    if equal is not None:
        attributes = equal.attributes if found.same_attributes else found.attributes
        entry = entry._replace(digest=equal.digest, link_target=equal.link_target, attributes=attributes)
    return Displaced(path, entry, True, place)
