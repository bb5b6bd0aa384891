"""A model of what a file system still has after the power failed: which operations are durable, which may be lost.

It is more hostile than ext4, XFS or btrfs, so that nothing rests on the habits of one of them:

- A name (made, removed, renamed, swapped) is durable once one of its directories is flushed, or its file system.
  Until then each operation is lost or kept by itself, in any combination in which what it needs is there: nothing
  is renamed that was never made. An operation is atomic: a renamed thing is at one of its names, not at both or none.
- Bytes are durable once the file is flushed, or its file system. Until then the file holds any earlier state of
  them, nothing at all, or zeros of the new length.
- Mode, owner, times and attributes are durable as the bytes are (of a directory with its names). Until then they
  are as they were at any moment since. What a symbolic link is, only a flush of the file system makes sure.
- Flushing a file says nothing about its name, flushing a directory nothing about what its files hold.
- node.db loses nothing that was committed (SQLite with synchronous=FULL flushes by itself).
"""

from __future__ import annotations

import itertools
import random
import stat
from collections.abc import Iterator
from typing import NamedTuple

Inode = tuple[int, int]
"""Device and number."""

MANY_WRECKS = 64
"""Up to so many combinations are tried all; of more, a seeded sample."""


class Metadata(NamedTuple):
    """All that an inode says of itself."""

    mode: int
    uid: int
    gid: int
    atime_ns: int
    mtime_ns: int
    attributes: tuple[tuple[str, bytes], ...] = ()


class NameChange(NamedTuple):
    """What one name in one directory stood for, and stands for now."""

    directory: Inode
    name: bytes
    old: Inode | None
    new: Inode | None


Operation = tuple[NameChange, ...]
"""The names that one system call changes, all of them or none."""


class Node:
    """One inode: what of it is durable comes first, then every later state."""

    def __init__(self, metadata: Metadata, data: bytes | None = None, target: bytes = b"", *, durable: bool) -> None:
        self.kind = stat.S_IFMT(metadata.mode)
        self.metadata = [metadata]
        self.target = target
        self.names: dict[bytes, Inode] = {}
        """Of a directory: what is durable."""
        self.data: list[bytes] = []
        if self.kind == stat.S_IFREG:
            self.data = [data or b""] if durable else [b"", data or b""]

    def write(self, data: bytes) -> None:
        """Note new bytes."""
        if data != self.data[-1]:
            self.data.append(data)

    def describe(self, metadata: Metadata) -> None:
        """Note new metadata."""
        if metadata != self.metadata[-1]:
            self.metadata.append(metadata)

    def flush(self) -> None:
        """Make the newest state of bytes and metadata durable."""
        self.metadata = self.metadata[-1:]
        self.data = self.data[-1:]

    def possible_data(self) -> list[bytes]:
        """Return what a file may hold after the power failed, the newest last."""
        if len(self.data) < 2:
            return self.data
        zeros = bytes(len(self.data[-1]))
        return list(dict.fromkeys([self.data[0], b"", zeros, *self.data[1:-1], self.data[-1]]))


class Wreck(NamedTuple):
    """One possible state after the power failed."""

    names: dict[Inode, dict[bytes, Inode]]
    data: dict[Inode, bytes]
    metadata: dict[Inode, Metadata]


class Durable:
    """What is on the platters, and what only the memory knew."""

    def __init__(self) -> None:
        self.nodes: dict[Inode, Node] = {}
        self.pending: list[Operation] = []

    def change_names(self, *changes: NameChange) -> None:
        """Note one operation on names."""
        self.pending.append(changes)

    def flush_file(self, inode: Inode) -> None:
        """Make bytes and metadata of one inode durable."""
        self.nodes[inode].flush()

    def flush_directory(self, inode: Inode) -> None:
        """Make the names in one directory durable, with all that led to them, and its own metadata."""
        self.nodes[inode].flush()
        self._keep({number for number, operation in enumerate(self.pending) if _touches(operation, inode)})

    def flush_filesystem(self, device: int) -> None:
        """Make everything on a device durable."""
        for inode, node in self.nodes.items():
            if inode[0] == device:
                node.flush()
        here = {n for n, operation in enumerate(self.pending) if any(c.directory[0] == device for c in operation)}
        self._keep(here)

    def wrecks(self, seed: int, most: int) -> Iterator[Wreck]:
        """Yield what may be found after a power failure now: all states where they are few, else `most` of them."""
        soft_data = [inode for inode, node in self.nodes.items() if len(node.possible_data()) > 1]
        soft_metadata = [inode for inode, node in self.nodes.items() if len(node.metadata) > 1]
        ranges: list[list[int]] = [
            *([0, 1] for _ in self.pending),
            *(list(range(len(self.nodes[inode].possible_data()))) for inode in soft_data),
            *(list(range(len(self.nodes[inode].metadata))) for inode in soft_metadata),
        ]
        for pick in _picks(ranges, random.Random(seed), most):
            names = len(self.pending)
            chosen_data = dict(zip(soft_data, pick[names : names + len(soft_data)], strict=True))
            chosen_metadata = dict(zip(soft_metadata, pick[names + len(soft_data) :], strict=True))
            yield Wreck(
                self._names_with([bool(kept) for kept in pick[:names]]),
                {
                    inode: node.possible_data()[chosen_data.get(inode, -1)]
                    for inode, node in self.nodes.items()
                    if node.data
                },
                {inode: node.metadata[chosen_metadata.get(inode, -1)] for inode, node in self.nodes.items()},
            )

    def _names_with(self, kept: list[bool]) -> dict[Inode, dict[bytes, Inode]]:
        names = {inode: dict(node.names) for inode, node in self.nodes.items() if node.kind == stat.S_IFDIR}
        for operation, is_kept in zip(self.pending, kept, strict=True):
            if is_kept and all(names[change.directory].get(change.name) == change.old for change in operation):
                _carry_out(operation, names)
        return names

    def _keep(self, wanted: set[int]) -> None:
        """Carry out pending operations for good, with those that they build upon."""
        for number in range(len(self.pending) - 1, -1, -1):
            if number not in wanted:
                continue
            places = {(change.directory, change.name) for change in self.pending[number]}
            wanted |= {
                earlier
                for earlier in range(number)
                if places & {(change.directory, change.name) for change in self.pending[earlier]}
            }
        names = {inode: node.names for inode, node in self.nodes.items()}
        for number in sorted(wanted):
            operation = self.pending[number]
            for change in operation:
                assert names[change.directory].get(change.name) == change.old, "the model lost an operation"
            _carry_out(operation, names)
        self.pending = [operation for number, operation in enumerate(self.pending) if number not in wanted]


def _carry_out(operation: Operation, names: dict[Inode, dict[bytes, Inode]]) -> None:
    for change in operation:
        if change.new is None:
            names[change.directory].pop(change.name, None)
        else:
            names[change.directory][change.name] = change.new


def _touches(operation: Operation, directory: Inode) -> bool:
    return any(change.directory == directory for change in operation)


def _picks(ranges: list[list[int]], chance: random.Random, most: int) -> Iterator[tuple[int, ...]]:
    """Yield combinations: all where they are few, else the extremes and a sample, each once."""
    count = 1
    for choices in ranges:
        count *= len(choices)
    if count <= min(most, MANY_WRECKS):
        yield from itertools.product(*ranges)
        return
    first, last = tuple(choices[0] for choices in ranges), tuple(choices[-1] for choices in ranges)
    seen = {first, last}
    yield first
    yield last
    while len(seen) < most:
        # Now nearly everything is lost, now nearly nothing: even odds would miss both.
        odds = chance.choice((0.15, 0.5, 0.85))
        pick = tuple(
            choices[-1] if chance.random() < odds else choices[chance.randrange(len(choices))] for choices in ranges
        )
        if chance.random() < 0.5:
            pick = tuple(
                choices[0] if chance.random() > odds else value for choices, value in zip(ranges, pick, strict=True)
            )
        if pick not in seen:
            seen.add(pick)
            yield pick
