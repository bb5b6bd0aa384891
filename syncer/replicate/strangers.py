"""Directories that cannot go, since something stands in them that is not synchronized: it is nobody's to delete."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from syncer.capture.ignore import Scope
from syncer.capture.keep_local import ancestors
from syncer.errors import BeneathRootError
from syncer.files import Root
from syncer.model import join
from syncer.replicate.compare import order_of


def holding_strangers(path: Path, scope: Scope, directories: Collection[bytes], *, specials: bool) -> set[bytes]:
    """Return which of `directories` below the root `path` hold, at any depth, what does not belong to the domain.

    With `specials` a FIFO, a socket or a device does not belong to it either. What cannot be listed holds nothing.
    """
    strangers: list[bytes] = []
    seen: set[bytes] = set()
    with Root(path) as root:
        # The upper ones first: what they lead to is looked through once.
        for top in sorted(directories, key=order_of):
            waiting = [top] if top not in seen else []
            while waiting:
                directory = waiting.pop()
                seen.add(directory)
                found, below = _look_into(root, scope, directory, specials=specials)
                strangers += found
                waiting += below
    return ancestors(strangers) & set(directories)


def _look_into(root: Root, scope: Scope, directory: bytes, *, specials: bool) -> tuple[list[bytes], list[bytes]]:
    """Return what in a directory is none of the domain's, and which directories in it are."""
    strangers: list[bytes] = []
    below: list[bytes] = []
    try:
        with os.scandir(root.directory(directory)) as entries:
            for entry in entries:
                path = join(directory, os.fsencode(entry.name))
                is_special = specials and not entry.is_file(follow_symlinks=False) and not entry.is_symlink()
                if entry.is_dir(follow_symlinks=False):
                    (below if scope.may_descend(path) else strangers).append(path)
                elif is_special or not scope.wants(path, is_directory=False):
                    strangers.append(path)
    except (OSError, BeneathRootError):
        # RACE: it went since it was found; the next look finds it so.
        return [], []
    return strangers, below
