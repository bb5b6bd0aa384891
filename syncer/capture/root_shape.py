"""Which file systems are mounted at and below a root, from /proc/self/mountinfo (proc(5)); cheap to ask again."""

from __future__ import annotations

import os
import select
import stat
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from syncer.capture.mounts import MOUNT_TABLE, is_within, unescaped
from syncer.model import Mount, RootShape

UUIDS = Path("/dev/disk/by-uuid")


class MountLine(NamedTuple):
    """One line of mountinfo."""

    device: str
    """major:minor."""
    inside: bytes
    point: bytes
    kind: str
    source: str


class Table(Protocol):
    """The kernel's list of mounts."""

    def has_changed(self) -> bool:
        """Tell whether anything was mounted or unmounted since the last call; True at the first."""

    def read(self) -> bytes:
        """Return all lines; b"" where there is no list."""


class MountTable:
    """The mounts of this process's namespace; one for each who asks, since the kernel tells each change once."""

    def __init__(self, path: Path = MOUNT_TABLE) -> None:
        """Open the list; without /proc there is none, and then nothing is ever said to be mounted."""
        self._poll = select.poll()
        self._first = True
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._descriptor = -1
        else:
            self._poll.register(self._descriptor, select.POLLERR | select.POLLPRI)

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def has_changed(self) -> bool:
        """Tell whether anything was mounted or unmounted since the last call; True at the first."""
        first, self._first = self._first, False
        changed = bool(self._poll.poll(0)) if self._descriptor >= 0 else False
        return first or changed

    def read(self) -> bytes:
        """Return all lines; b"" where there is no list."""
        if self._descriptor < 0:
            return b""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        pieces = []
        while piece := os.read(self._descriptor, 1 << 16):
            pieces.append(piece)
        return b"".join(pieces)


class Glance(NamedTuple):
    """What one look at a root's place has shown."""

    shape: RootShape
    moved: bool
    """Something was mounted or unmounted somewhere since the last look, even if it is as before again."""


class ShapeWatch:
    """Tells the shape of one root; usable from any thread."""

    def __init__(self, root: Path, table: Table | None = None, uuids: Path = UUIDS) -> None:
        """Look at `root`, which may be missing now and back later."""
        self._root = os.fsencode(root)
        self._table = table or MountTable()
        self._uuids = uuids
        self._lock = threading.Lock()
        self._known: tuple[bytes, RootShape] | None = None

    def look(self) -> Glance:
        """Return the shape of now; about ten microseconds where nothing was mounted since the last look."""
        with self._lock:
            moved = self._table.has_changed()
            top = os.path.realpath(self._root)
            is_link = self._is_link()
            if not moved and self._known is not None and self._known[0] == top:
                shape = self._known[1]._replace(is_link=is_link)
            else:
                lines = [line for line in map(parsed, self._table.read().splitlines()) if line is not None]
                shape = shape_of(lines, top, known_uuids(self._uuids), is_link=is_link)
            self._known = (top, shape)
            return Glance(shape, moved)

    def _is_link(self) -> bool:
        try:
            return stat.S_ISLNK(os.lstat(self._root).st_mode)
        except OSError:
            # Missing or unreachable: that is said elsewhere, and is no change of kind.
            return self._known is not None and self._known[1].is_link


def shape_of(lines: Iterable[MountLine], top: bytes, uuids: Mapping[str, str], *, is_link: bool) -> RootShape:
    """Return the shape of a root whose real path is `top`; `uuids` maps device nodes and major:minor."""
    below: dict[bytes, Mount] = {}
    around: MountLine | None = None
    for line in lines:
        if line.point != top and is_within(line.point, top):
            # Of several at one point the last one counts: it covers the others.
            relative = line.point[len(top.rstrip(b"/")) + 1 :]
            below[relative] = Mount(relative, _name(line, uuids), line.inside)
        elif is_within(top, line.point) and (around is None or len(line.point) >= len(around.point)):
            around = line
    mounts = set(below.values())
    if around is not None:
        rest = top[len(around.point.rstrip(b"/")) :].strip(b"/")
        inside = around.inside.rstrip(b"/") + b"/" + rest if rest else around.inside
        mounts.add(Mount(b"", _name(around, uuids), inside))
    return RootShape(is_link, frozenset(mounts))


def parsed(line: bytes) -> MountLine | None:
    """Return one line of mountinfo, None where it is none; blanks in its fields are octal escapes."""
    left, _, right = line.partition(b" - ")
    fields, rest = left.split(b" "), right.split(b" ")
    if len(fields) < 6 or len(rest) < 2:
        return None
    return MountLine(
        os.fsdecode(fields[2]),
        unescaped(fields[3]),
        unescaped(fields[4]),
        os.fsdecode(rest[0]),
        # As node.db can hold it: what is stored must equal what is seen.
        unescaped(rest[1]).decode("utf-8", "backslashreplace"),
    )


def known_uuids(directory: Path) -> dict[str, str]:
    """Return device node → UUID and major:minor → UUID, as udev has found them; {} where there is no udev."""
    found: dict[str, str] = {}
    try:
        names = os.listdir(directory)
    except OSError:
        return found
    for name in names:
        node = os.path.realpath(directory / name)
        found[node] = name
        try:
            number = os.stat(node).st_rdev
        except OSError:
            # Unplugged since it was listed.
            continue
        found[f"{os.major(number)}:{os.minor(number)}"] = name
    return found


def _name(line: MountLine, uuids: Mapping[str, str]) -> str:
    """Name a file system by what stays the same at a reboot: device numbers and names may not."""
    uuid = uuids.get(line.device)
    if uuid is None and line.source.startswith("/dev/"):
        uuid = uuids.get(os.path.realpath(line.source))
    return f"UUID={uuid}" if uuid is not None else f"{line.kind} {line.source}"
