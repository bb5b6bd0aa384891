"""The staging area: where a transaction is built and verified before anything of it becomes visible."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from syncer.errors import ApplyError
from syncer.files import Disk, Root

NAME = b".syncer"
"""The directory that holds staging areas; a path component of this name is never captured nor accepted."""


class Stage:
    """One empty directory on the file system of the destination."""

    def __init__(self, root: Path, label: bytes, disk: Disk, *, within: bool = False) -> None:
        """Make (or empty) the area `label` beside `root`, or within it where beside is another file system (or `within`).

        Raises ApplyError where neither can be written.
        """
        self._disk = disk
        self._clean = False
        holder = os.fsencode(root) if within else _holder_of(os.fsencode(root))
        self.path = os.path.join(holder, NAME, label)
        try:
            for path in (os.path.dirname(self.path), self.path):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(path, 0o700)
                _require_private_directory(path)
            self.area = Root(self.path)
        except OSError as error:
            raise ApplyError(
                f"no staging area can be made at {os.fsdecode(self.path)}: {error.strerror}; make its parent writable"
            ) from error

    def take(self) -> None:
        """Begin to use the area; what an earlier cleaning could not remove goes now. Raises OSError."""
        if not self._clean:
            self.empty()
        self._clean = False

    def empty(self) -> None:
        """Remove what a transaction, or a crash, has left. Raises OSError."""
        self.area.forget()
        for name in self.area.names(b""):
            remove_tree(self.area, name, self._disk)
        self.area.forget()
        self._clean = True

    def close(self) -> None:
        """Remove the area, as far as the disk lets us; what stays is removed at the next start."""
        with contextlib.suppress(OSError):
            self.empty()
        self.area.close()
        # Another domain may stage beside us: only what is empty goes.
        for path in (self.path, os.path.dirname(self.path)):
            with contextlib.suppress(OSError):
                os.rmdir(path)


def remove_tree(root: Root, path: bytes, disk: Disk) -> None:
    """Remove whatever stands at `path`, and everything below it."""
    found = root.lstat(path)
    if found is None:
        return
    parent, _, name = path.rpartition(b"/")
    directory = root.directory(parent)
    if not stat.S_ISDIR(found.st_mode):
        disk.unlink(directory, name)
        return
    for child in root.names(path):
        remove_tree(root, path + b"/" + child, disk)
    root.forget()
    disk.remove_directory(root.directory(parent), name)


def _holder_of(root: bytes) -> bytes:
    """Return the directory in which the staging directory lies: the root's parent where a rename can cross."""
    real = os.path.realpath(root)
    parent = os.path.dirname(real)
    try:
        same = os.stat(parent).st_dev == os.stat(real).st_dev
    except OSError:
        same = False
    return parent if same and parent != real and os.access(parent, os.W_OK | os.X_OK) else real


def _require_private_directory(path: bytes) -> None:
    """Someone else's directory under our name would hold our contents: refuse it."""
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise ApplyError(
            f"{os.fsdecode(path)} is not a directory of the agent's user with mode 0700: remove it, syncer makes it anew"
        )
