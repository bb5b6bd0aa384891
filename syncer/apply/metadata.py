"""Owner, mode and mtime of what is applied: resolved by name, set in the right order, verified."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import time
from collections.abc import Callable

from syncer.files import Disk, DiskError
from syncer.model import Entry, Kind

_REFUSED = frozenset((errno.EPERM, errno.EACCES, errno.EINVAL))
_SET_ID_BITS = 0o6000

FORGET_AFTER = 5.0
"""Seconds; accounts change rarely."""


class Owners:
    """This node's numbers for owners and groups that come with names; believed for FORGET_AFTER seconds."""

    def __init__(
        self,
        user: Callable[[str], int] = lambda name: pwd.getpwnam(name).pw_uid,
        group: Callable[[str], int] = lambda name: grp.getgrnam(name).gr_gid,
    ) -> None:
        """Look names up with `user` and `group`, which raise KeyError for those they do not know."""
        self._user = user
        self._group = group
        self._local: dict[tuple[int, int, str, str], tuple[int, int]] = {}
        self._since = time.monotonic()

    def refresh(self) -> None:
        """Forget old answers; called once a transaction, so that one sees the same accounts throughout."""
        now = time.monotonic()
        if now - self._since > FORGET_AFTER:
            self._local.clear()
            self._since = now

    def local(self, entry: Entry) -> tuple[int, int]:
        """Return uid and gid here: by name where it exists here too, else the sender's number."""
        key = entry[3:7]
        pair = self._local.get(key)
        if pair is None:
            pair = (_number(self._user, entry.owner, entry.uid), _number(self._group, entry.group, entry.gid))
            self._local[key] = pair
        return pair


def _number(look_up: Callable[[str], int], name: str, number: int) -> int:
    if not name:
        return number
    try:
        return look_up(name)
    # ValueError: a name with a NUL or an unpaired surrogate is nobody's here.
    except (KeyError, ValueError):
        return number


def set_metadata(
    disk: Disk, descriptor: int, here: os.stat_result, entry: Entry, uid: int, gid: int, atime_ns: int
) -> tuple[os.stat_result, str]:
    """Give what is opened its owner, mode and mtime where they differ from `here`.

    Returns what fstat says afterwards, and why something could not be set ("": all is as wanted).
    """
    path = entry.path
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
    disk: Disk, directory: int, name: bytes, entry: Entry, uid: int, gid: int
) -> tuple[os.stat_result, str]:
    """Give a symbolic link its owner and mtime; it has no mode. Returns as `set_metadata` does."""
    path = entry.path
    here = os.stat(name, dir_fd=directory, follow_symlinks=False)
    reasons: list[str] = []
    if here.st_uid != uid or here.st_gid != gid:
        missing = _set_owner(
            lambda user, group: disk.set_owner_at(directory, name, user, group, path), here, entry, uid, gid
        )
        reasons += [missing] if missing else []
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
