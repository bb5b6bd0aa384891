"""Decides which names of a transaction become names of one file, and which file that is (pure).

Names with one link number are names of one file on production. Numbers say nothing across machines, so
what counts here is which names share an inode on this disk, and that nobody else's name does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from syncer.apply.plan import Action, Found, Plan, Step
from syncer.model import DiskIdentity, Entry, Kind, Known

Inode = tuple[int, int]
_STANDS = (Action.RECORD, Action.ADJUST)


class Standing(NamedTuple):
    """A name that the base knows under a link number, and what stands there now."""

    known: Known
    found: Found | None

    @property
    def is_untouched(self) -> bool:
        """Tell whether the disk is as it was when this name was applied."""
        return self.found is not None and not self.known.racy and self.found.identity == self.known.identity


class Source(NamedTuple):
    """A name on this disk, and what its file was when that was decided."""

    path: bytes
    identity: DiskIdentity


class Joined(NamedTuple):
    """A plan in which names of one file become names of one file again."""

    plan: Plan
    sources: dict[bytes, Source]
    """New name → a name on this disk of the very file that it is to be a name of."""
    staged: set[Entry]
    """What files are of which several names are staged: see `file_of`."""
    unmoved: set[bytes]
    """Names that stay as they are while their file gets others: its ctime moves."""


def file_of(entry: Entry) -> Entry:
    """Return what all names of one file have in common; a peer's link number alone proves nothing.

    What they are on the other node may differ: there the rules can have made several files of one.
    """
    return entry._replace(path=b"", note="", origin=b"")


def join_names(plan: Plan, found: Mapping[bytes, Found], others: Mapping[int, Sequence[Standing]]) -> Joined:
    """Make names of one file names of one file.

    `found` is what stands at the paths of the transaction, `others` are the names of the base, by link
    number, that the plan has no step for.
    """
    groups: defaultdict[Entry, list[Step]] = defaultdict(list)
    for step in plan.steps:
        if step.entry.link and step.entry.kind is Kind.FILE:
            groups[file_of(step.entry)].append(step)
    joined = Joined(plan, {}, set(), set())
    if not groups:
        return joined
    joining = _Joining(joined, _known_names(found, others))
    changed: dict[bytes, Step] = {}
    for file, steps in groups.items():
        for step in joining.group(file, steps, others.get(file.link, ())):
            changed[step.path] = step
    return joined._replace(plan=plan._replace(steps=[changed.get(step.path, step) for step in plan.steps]))


def _known_names(found: Mapping[bytes, Found], others: Mapping[int, Sequence[Standing]]) -> Counter[Inode]:
    """Count the names that transaction and base know of each file on this disk; each path counts once."""
    inodes = {path: _inode(here) for path, here in found.items() if here.kind is Kind.FILE}
    for group in others.values():
        for other in group:
            if other.found is not None and other.found.kind is Kind.FILE:
                inodes[other.known.entry.path] = _inode(other.found)
    return Counter(inodes.values())


class _Joining:
    """Chooses a file for each group; no two groups get the same one."""

    def __init__(self, joined: Joined, names: Counter[Inode]) -> None:
        self._joined = joined
        self._names = names
        self._taken: set[Inode] = set()

    def group(self, file: Entry, steps: list[Step], others: Sequence[Standing]) -> list[Step]:
        """Return the steps of one file, placed anew where they stand on another inode than the others."""
        anchor = self._anchor(file, steps, others)
        if anchor is None:
            if len(steps) == 1:
                return [_alone(steps[0])]
            self._joined.staged.add(file)
            return [_placed(step) for step in steps]
        path, found = anchor
        self._taken.add(_inode(found))
        result = []
        for step in steps:
            if step.action is Action.RECORD and step.found is not None and _inode(step.found) == _inode(found):
                self._joined.unmoved.add(step.path)
                result.append(step)
            else:
                self._joined.sources[step.path] = Source(path, found.identity)
                self._joined.staged.add(file)
                result.append(_placed(step))
        return result

    def _anchor(self, file: Entry, steps: list[Step], others: Sequence[Standing]) -> tuple[bytes, Found] | None:
        """Return a name that is already what all are to be, if every name of its file is one of ours."""
        candidates = [(step.path, step.found) for step in steps if step.action is Action.RECORD]
        candidates += [
            (other.known.entry.path, other.found)
            for other in others
            if other.is_untouched and file_of(other.known.entry) == file
        ]
        usable = [(path, found) for path, found in candidates if found is not None and self._is_usable(found)]
        # The one with the most names leaves the least to do.
        return max(usable, key=lambda pair: pair[1].links, default=None)

    def _is_usable(self, found: Found) -> bool:
        inode = _inode(found)
        return found.links == self._names[inode] and inode not in self._taken


def _alone(step: Step) -> Step:
    """Return the step of a name that no other here can be joined with: its inode must have no other name."""
    if step.action in _STANDS and step.found is not None and step.found.links > 1:
        return _placed(step)
    return step


def _placed(step: Step) -> Step:
    return step._replace(action=Action.PLACE) if step.action in _STANDS else step


def _inode(found: Found) -> Inode:
    return found.identity.device, found.identity.inode
