"""Owner, mode, attributes and mtime of what is applied: set in the right order, and verified."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from syncer.apply.attributes import access_list_of, named, opened, set_attributes, without_access_list
from syncer.apply.plan import Step
from syncer.files import Disk, DiskError
from syncer.model import Entry, Kind

_REFUSED = frozenset((errno.EPERM, errno.EACCES, errno.EINVAL))
_SET_ID_BITS = 0o6000


def set_metadata(
    disk: Disk, descriptor: int, here: os.stat_result, step: Step, atime_ns: int, *, fresh: bool = False
) -> tuple[os.stat_result, str]:
    """Give what is opened its owner, mode, attributes and mtime where they differ from `here`.

    What is `fresh` has no attributes yet. Returns what fstat says afterwards, and why something could not be
    set ("": all is as wanted).
    """
    entry, uid, gid, path = step.entry, step.uid, step.gid, step.path
    reasons: list[str] = []
    mode = entry.mode
    # chown clears setuid and setgid, so the mode comes after it.
    if here.st_uid != uid or here.st_gid != gid:
        missing = _set_owner(lambda user, group: disk.set_owner(descriptor, user, group, path), here, entry, uid, gid)
        if missing:
            reasons.append(missing)
            # With another owner these bits would give away other rights than on production.
            mode &= ~_SET_ID_BITS
        here = os.fstat(descriptor)
    reasons += _attempt("mode", lambda: disk.set_mode(descriptor, mode, path), here.st_mode & 0o7777 != mode)
    if step.attributes or not fresh:
        # After owner and mode: chown clears capabilities, and chmod changes an access list's mask.
        refused, lacks_access_list = set_attributes(opened(disk, descriptor, path), step.attributes)
        reasons += refused
        if lacks_access_list:
            mode = without_access_list(mode, access_list_of(step.attributes))
            reasons += _attempt("mode", lambda: disk.set_mode(descriptor, mode, path), needed=True)
    reasons += _attempt(
        "mtime",
        lambda: disk.set_times(descriptor, atime_ns, entry.mtime_ns, path),
        here.st_mtime_ns != entry.mtime_ns,
    )
    here = os.fstat(descriptor)
    if not reasons:
        reasons = _not_held(here, entry, mode)
    return here, "; ".join(reasons)


def set_link_metadata(
    disk: Disk, directory: int, name: bytes, step: Step, *, fresh: bool = False
) -> tuple[os.stat_result, str]:
    """Give a symbolic link its owner, attributes and mtime; it has no mode. Returns as `set_metadata` does."""
    entry, uid, gid, path = step.entry, step.uid, step.gid, step.path
    here = os.stat(name, dir_fd=directory, follow_symlinks=False)
    reasons: list[str] = []
    if here.st_uid != uid or here.st_gid != gid:
        missing = _set_owner(
            lambda user, group: disk.set_owner_at(directory, name, user, group, path), here, entry, uid, gid
        )
        reasons += [missing] if missing else []
    if step.attributes or not fresh:
        reasons += set_attributes(named(disk, directory, name, path), step.attributes).reasons
    if here.st_mtime_ns != entry.mtime_ns:
        atime_ns = here.st_atime_ns
        reasons += _attempt(
            "mtime", lambda: disk.set_times_at(directory, name, atime_ns, entry.mtime_ns, path), needed=True
        )
    here = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if not reasons:
        reasons = _not_held(here, entry, here.st_mode & 0o7777)
    return here, "; ".join(reasons)


def _set_owner(change: Callable[[int, int], None], here: os.stat_result, entry: Entry, uid: int, gid: int) -> str:
    """Change owner and group, or the group alone where only that is allowed; return what is missing."""
    try:
        change(uid, gid)
    except DiskError as error:
        if error.number not in _REFUSED:
            raise
        number = error.number
    else:
        return ""
    missing = []
    if here.st_uid != uid:
        missing.append(f"owner {entry.owner or uid}")
    if here.st_gid != gid:
        try:
            change(-1, gid)
        except DiskError as error:
            if error.number not in _REFUSED:
                raise
            missing.append(f"group {entry.group or gid}")
    if not missing:
        return ""
    why = "the agent does not run as root" if os.geteuid() != 0 else os.strerror(number)
    return f"{' and '.join(missing)} cannot be set: {why}"


def _attempt(what: str, change: Callable[[], None], needed: bool) -> list[str]:
    if not needed:
        return []
    try:
        change()
    except DiskError as error:
        if error.number not in _REFUSED:
            raise
        return [f"{what} cannot be set ({os.strerror(error.number)}): let the agent run as root or as the owner"]
    return []


def _not_held(here: os.stat_result, entry: Entry, mode: int) -> list[str]:
    """Say what the file system took without complaint and did not keep."""
    reasons = []
    if entry.kind is not Kind.SYMLINK and here.st_mode & 0o7777 != mode:
        reasons.append(f"mode {mode:04o} became {here.st_mode & 0o7777:04o}: the file system or the group forbids it")
    if here.st_mtime_ns != entry.mtime_ns:
        reasons.append("its mtime cannot be kept by the file system here")
    return reasons
