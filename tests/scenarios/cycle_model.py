"""What was written on which node, and what of it must stand where after each change of places: a model of edits."""

from __future__ import annotations

import contextlib
import os
import random
import re
import threading
from pathlib import Path

from syncer.demo.comparison import STAGING

NUMBER = re.compile(rb"edit (\d+) ")
FOLDERS = ("", "sites/", "users/", "users/deep/")
NAMES = ("a.conf", "b.conf", "c.xml", "d e", "f")
ADDRESSES = ("192.0.2.1", "198.51.100.1", "203.0.113.9")
GONE = 0
"""Stands for a deletion, and for what was never there."""


Mark = dict[tuple[str, str], int]
"""For each node and path how many edits there were."""
Numbers = dict[str, int]
"""For each path the number of the edit that stands there."""


class Ledger:
    """Every edit of every path on each node, and how far they were acknowledged. Used by several threads.

    What stood everywhere when it began anew is each node's first edit of a path. While two nodes believe to be
    production each goes on from there by itself.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._base: Numbers = {}
        self._edits: dict[tuple[str, str], list[int]] = {}
        self._acknowledged: dict[tuple[str, str], int] = {}
        self._last_on: dict[str, Numbers] = {}
        self._highest = 0
        self.count = 0
        """Edits so far."""

    def next_number(self) -> int:
        """Return a number that no other edit has."""
        with self._lock:
            self._highest += 1
            return self._highest

    def wrote(self, node: str, path: str, number: int) -> None:
        """Take in an edit, once it is on the disk."""
        with self._lock:
            self.count += 1
            self._edits.setdefault((node, path), []).append(number)
            self._last_on.setdefault(node, {})[path] = number

    def mark(self, node: str) -> Mark:
        """Return how many edits of each path were made on a node by now: what a later acknowledgement is of."""
        with self._lock:
            return {at: len(edits) for at, edits in self._edits.items() if at[0] == node}

    def acknowledged(self, mark: Mark) -> None:
        """Take in that everything up to a mark was acknowledged."""
        with self._lock:
            for at, count in mark.items():
                # RACE: it may have begun anew since the mark.
                known = len(self._edits.get(at, ()))
                self._acknowledged[at] = max(min(count, known), self._acknowledged.get(at, 0))

    def lost_of_acknowledged(self, node: str, standing: Numbers) -> list[str]:
        """Say which acknowledged edits of a node do not stand, nor any that came after them on that node."""
        with self._lock:
            found = []
            paths = {*self._base, *(path for maker, path in self._edits if maker == node)}
            for path in sorted(paths):
                made = [self._base.get(path, GONE), *self._edits.get((node, path), ())]
                allowed = set(made[self._acknowledged.get((node, path), 0) :])
                if standing.get(path, GONE) not in allowed:
                    found.append(f"{path}: {standing.get(path, GONE)} instead of one of {sorted(allowed)}")
            return found

    def unsent_of(self, node: str, standing: Numbers) -> Numbers:
        """Return the last contents that were written on a node and do not stand where it handed over to."""
        with self._lock:
            last = dict(self._last_on.get(node, {}))
        return {path: number for path, number in last.items() if number not in (GONE, standing.get(path, GONE))}

    def goes_on(self, standing: Numbers) -> None:
        """Take what stands on a node that was promoted for where it goes on from; what others did is still unsent."""
        with self._lock:
            self._base = dict(standing)
            self._edits, self._acknowledged = {}, {}

    def begin_anew(self, standing: Numbers) -> None:
        """Take what stands on the node that serves for all that there is, and for acknowledged."""
        self.goes_on(standing)
        with self._lock:
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
                self._ledger.wrote(self._node, path, GONE)
            case 1:
                file.chmod(self._chance.choice((0o600, 0o644, 0o755)))
            case 2 | 3:
                # In place: a reader may find any part of it.
                file.parent.mkdir(parents=True, exist_ok=True)
                number, content = self._content(path)
                file.write_bytes(content)
                self._ledger.wrote(self._node, path, number)
            case _:
                file.parent.mkdir(parents=True, exist_ok=True)
                number, content = self._content(path)
                fresh = self._root.parent / f".fresh-{self._node}"
                fresh.write_bytes(content)
                os.replace(fresh, file)
                self._ledger.wrote(self._node, path, number)

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
