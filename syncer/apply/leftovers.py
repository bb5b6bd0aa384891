"""Removes staging areas: what a crash left in them at the start, and themselves at the end."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from syncer.apply.stage import DIRECTORY_FLAGS, ELSEWHERE, NAME, Stage, stage_name
from syncer.files import Disk, DiskError
from syncer.model import join


def clear_leftovers(root: Path, domain: str, node_id: str, disk: Disk) -> None:
    """Remove what a crash left in this domain's stages beside and directly below `root`."""
    real = Path(os.path.realpath(root))
    own = stage_name(domain, node_id)
    for place in {real.parent, real}:
        try:
            descriptor = _open_owned(place, own)
        except OSError as error:
            # Nothing was ever staged there, or not by this user.
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP):
                continue
            raise DiskError("open_stage", own, error) from error
        Stage(descriptor, disk).close()


def remove_stages(root: Path, domain: str, node_id: str, disk: Disk) -> None:
    """Remove this domain's stages beside and below `root`, and `.syncer` where nobody else uses it."""
    clear_leftovers(root, domain, node_id, disk)
    real = Path(os.path.realpath(root))
    for place in {real.parent, real}:
        try:
            holder = os.open(place, DIRECTORY_FLAGS)
        except FileNotFoundError:
            continue
        try:
            _remove_stage(holder, stage_name(domain, node_id), disk, keep_times=place == real)
        finally:
            os.close(holder)


def _remove_stage(holder: int, own: bytes, disk: Disk, *, keep_times: bool) -> None:
    before = os.fstat(holder)
    try:
        shared = os.open(NAME, DIRECTORY_FLAGS, dir_fd=holder)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP):
            return
        raise
    try:
        for directory, name in ((shared, own), (holder, NAME)):
            try:
                disk.remove_directory(directory, name, join(NAME, own))
            except DiskError as error:
                # Another domain stages there too, or nothing was staged: that is not ours.
                if error.number not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST, *ELSEWHERE):
                    raise
    finally:
        os.close(shared)
    if keep_times and os.fstat(holder).st_mtime_ns != before.st_mtime_ns:
        disk.set_times(holder, before.st_atime_ns, before.st_mtime_ns, NAME)


def _open_owned(place: Path, own: bytes) -> int:
    """Open a domain's stage in `place`; OSError where it is missing, a link, or in someone else's hands."""
    shared = os.open(place / os.fsdecode(NAME), DIRECTORY_FLAGS)
    try:
        if os.fstat(shared).st_uid != os.geteuid():
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return os.open(own, DIRECTORY_FLAGS, dir_fd=shared)
    finally:
        os.close(shared)
