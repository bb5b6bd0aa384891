"""Names of users and groups, remembered until /etc/passwd or /etc/group change."""

from __future__ import annotations

import grp
import os
import pwd
import time
from pathlib import Path

CHECK_SECONDS = 1.0
_FILES = (Path("/etc/passwd"), Path("/etc/group"))


class _Users(dict[int, str]):
    """uid → name, "" where it has none."""

    def __missing__(self, uid: int) -> str:
        try:
            name = _storable(pwd.getpwuid(uid).pw_name)
        except KeyError:
            name = ""
        self[uid] = name
        return name


class _Groups(dict[int, str]):
    """gid → name, "" where it has none."""

    def __missing__(self, gid: int) -> str:
        try:
            name = _storable(grp.getgrgid(gid).gr_name)
        except KeyError:
            name = ""
        self[gid] = name
        return name


class Owners:
    """Looks up names; `users[uid]` and `groups[gid]` cost a dictionary access once known."""

    def __init__(self, files: tuple[Path, ...] = _FILES) -> None:
        self.users: dict[int, str] = _Users()
        self.groups: dict[int, str] = _Groups()
        self._files = files
        self._checked = 0.0
        self._versions = self._read_versions()

    def refresh(self) -> None:
        """Forget all names where one of the files has changed; looks at most once a second."""
        now = time.monotonic()
        if now - self._checked < CHECK_SECONDS:
            return
        self._checked = now
        versions = self._read_versions()
        if versions != self._versions:
            self._versions = versions
            self.users.clear()
            self.groups.clear()

    def _read_versions(self) -> list[tuple[int, int] | None]:
        found: list[tuple[int, int] | None] = []
        for file in self._files:
            try:
                status = os.stat(file)
            except FileNotFoundError:
                found.append(None)
            else:
                found.append((status.st_ino, status.st_ctime_ns))
        return found


def _storable(name: str) -> str:
    """Return a name as SQLite and the protocol can hold it: undecodable bytes written out as escapes."""
    return name if name.isascii() else name.encode("utf-8", "backslashreplace").decode("utf-8")
