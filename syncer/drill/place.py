"""Where a drill keeps its copies: below the state directory, closed to others, and gone when it ends or is killed."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from syncer.errors import RefusedError, SyncerError

NAME = "drill"
"""Below the state directory; nothing else may be kept there."""


@contextlib.contextmanager
def drill_place(state: Path) -> Iterator[Path]:
    """Make the place for one drill, and remove it with all that is in it, whatever happens.

    Raises RefusedError where another drill is under way, SyncerError where the disk does not allow it.
    """
    place = state / NAME
    try:
        # RACE: made with its final mode: nobody else ever looks into it.
        place.mkdir(mode=0o700)
    except FileExistsError as error:
        raise RefusedError(f"another drill is under way on this node ({place}): wait until it ends") from error
    except OSError as error:
        raise SyncerError(f"{place}: cannot be made for the drill ({error.strerror}): check the disk") from error
    try:
        yield place
    finally:
        remove_drill(state)


def remove_drill(state: Path) -> None:
    """Remove what a drill has left there; at the start of a node that is what a crash has left."""
    place = state / NAME
    if place.is_symlink() or not place.exists():
        return
    # CRASH: the copies hold what the roots hold, secrets among it; a drill that was killed leaves them until now.
    remove_tree(place)


def remove_tree(path: Path) -> None:
    """Remove a copy, directories among it that its owner may not enter. Raises SyncerError where it cannot."""
    try:
        shutil.rmtree(path, onerror=_opened_up)
    except OSError as error:
        raise SyncerError(f"{path}: the copy of a drill cannot be removed ({error.strerror}): remove it") from error


def _opened_up(function: Callable[..., Any], path: str, _: object) -> None:
    """Try again as the owner of a directory that forbids itself to be read; only without root it comes to that."""
    if not os.path.lexists(path):
        return
    for closed in (os.path.dirname(path), path):
        if not os.path.islink(closed) and os.path.isdir(closed):
            os.chmod(closed, 0o700)
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)
