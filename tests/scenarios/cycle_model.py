"""What was written on which node, and what of it must stand where after each change of places: a model of edits."""

from __future__ import annotations

import contextlib
import os
import random
import re
import threading
from pathlib import Path
from typing import NamedTuple

from syncer.demo.comparison import STAGING

NUMBER = re.compile(rb"edit (\d+) ")
FOLDERS = ("", "sites/", "users/", "users/deep/")
NAMES = ("a.conf", "b.conf", "c.xml", "d e", "f")
ADDRESSES = ("192.0.2.1", "198.51.100.1", "203.0.113.9")
GONE = 0
"""Stands for a deletion, and for what was never there."""


class Edit(NamedTuple):
    """One edit of a path: `number` is in the content that it left; GONE where it deleted."""

    number: int
    node: str


Numbers = dict[str, int]
"""For each path the number of the edit that stands there."""


class Ledger:
    """Every edit of every path, in order; and how far they were acknowledged. Used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._edits: dict[str, list[Edit]] = {}
        self._acknowledged: dict[str, int] = {}
        self._last_on: dict[str, Numbers] = {}
        self._highest = 0
        self.count = 0
        """Edits so far."""

    def next_number(self) -> int:
        """Return a number that no other edit has."""
        with self._lock:
            self._highest += 1
            return self._highest

    def wrote(self, path: str, edit: Edit) -> None:
        """Take in an edit, once it is on the disk."""
        with self._lock:
            self.count += 1
            self._edits.setdefault(path, []).append(edit)
            self._last_on.setdefault(edit.node, {})[path] = edit.number

    def mark(self) -> dict[str, int]:
        """Return how many edits of each path there are now: what a later acknowledgement is of."""
        with self._lock:
            return {path: len(edits) for path, edits in self._edits.items()}

    def acknowledged(self, mark: dict[str, int]) -> None:
        """Take in that everything up to a mark was acknowledged."""
        with self._lock:
            for path, count in mark.items():
                self._acknowledged[path] = max(count, self._acknowledged.get(path, 0))

    def lost_of_acknowledged(self, standing: Numbers) -> list[str]:
        """Say which acknowledged edits do not stand, nor any that came after them on the same node."""
        with self._lock:
            found = []
            for path, count in self._acknowledged.items():
                allowed = {edit.number for edit in self._edits[path][count - 1 :]}
                if standing.get(path, GONE) not in allowed:
                    found.append(f"{path}: {standing.get(path, GONE)} instead of one of {sorted(allowed)}")
            return found

    def unsent_of(self, node: str, standing: Numbers) -> Numbers:
        """Return the last contents that were written on a node and do not stand where it handed over to."""
        with self._lock:
            last = dict(self._last_on.get(node, {}))
        return {path: number for path, number in last.items() if number not in (GONE, standing.get(path, GONE))}

    def begin_anew(self, standing: Numbers) -> None:
        """Take what stands on the node that serves for all that there is, and for acknowledged."""
        with self._lock:
            self._edits = {path: [Edit(number, "")] for path, number in standing.items()}
            self._acknowledged = dict.fromkeys(standing, 1)
            self._last_on = {}


class Editor(threading.Thread):
    """Edits one node's root at random, at most so often, until it is told to stop."""

    def __init__(self, node: str, root: Path, ledger: Ledger, seed: int, most: int, pause: float = 0.01) -> None:
        """Edit with pauses of about `pause` seconds; everything that it does follows from `seed`."""
        super().__init__(name=f"editor of {node}")
        self._node, self._root, self._ledger = node, root, ledger
        self._chance = random.Random(seed)
        self._most, self._pause = most, pause
        self._ended = threading.Event()

    def run(self) -> None:
        for _ in range(self._most):
            # How fast somebody edits is what this is; it waits for nothing.
            if self._ended.wait(self._chance.uniform(0, 2 * self._pause)):
                return
            # The tree may be changed by syncer at the same moment: what cannot be edited then is not.
            with contextlib.suppress(OSError):
                self._edit()

    def end(self) -> None:
        """Have it stop, and wait until it has."""
        self._ended.set()
        self.join()

    def _edit(self) -> None:
        path = self._chance.choice(FOLDERS) + self._chance.choice(NAMES)
        file = self._root / path
        match self._chance.randrange(10):
            case 0:
                file.unlink()
                self._ledger.wrote(path, Edit(GONE, self._node))
            case 1:
                file.chmod(self._chance.choice((0o600, 0o644, 0o755)))
            case 2 | 3:
                # In place: a reader may find any part of it.
                file.parent.mkdir(parents=True, exist_ok=True)
                number, content = self._content(path)
                file.write_bytes(content)
                self._ledger.wrote(path, Edit(number, self._node))
            case _:
                file.parent.mkdir(parents=True, exist_ok=True)
                number, content = self._content(path)
                fresh = self._root.parent / f".fresh-{self._node}"
                fresh.write_bytes(content)
                os.replace(fresh, file)
                self._ledger.wrote(path, Edit(number, self._node))

    def _content(self, path: str) -> tuple[int, bytes]:
        number = self._ledger.next_number()
        lines = [f"edit {number} of {path} on {self._node}"]
        lines += [f"listen {self._chance.choice(ADDRESSES)}:{port}" for port in range(self._chance.choice((1, 3, 400)))]
        return number, "\n".join([*lines, ""]).encode()


def numbers_in(root: Path) -> Numbers:
    """Return which edit stands at each path."""
    found: Numbers = {}
    for file in root.rglob("*"):
        path = str(file.relative_to(root))
        if path.split("/", maxsplit=1)[0] == STAGING.decode() or not file.is_file():
            continue
        match = NUMBER.match(file.read_bytes()[:64])
        if match is not None:
            found[path] = int(match[1])
    return found


def numbers_kept(folder: Path) -> set[int]:
    """Return which edits a node's history holds: `folder` is where the node lies, with its root."""
    found = set()
    # In `kept`, or as it was displaced, until the history takes it in.
    for where, _, names in os.walk(folder / ".syncer"):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                match = NUMBER.match(Path(where, name).read_bytes()[:64])
                if match is not None:
                    found.add(int(match[1]))
    return found
