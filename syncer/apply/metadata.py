"""Owners by name with the number as fallback, and what this process may not set."""

from __future__ import annotations

import grp
import os
import pwd
import time

from syncer.model import Entry

FORGET_AFTER = 5.0
"""Seconds that a looked-up name is believed; accounts change rarely, and never mid-transaction."""


class Owners:
    """Turns owner names of production into numbers of this machine."""

    def __init__(self) -> None:
        self._users: dict[str, int | None] = {}
        self._groups: dict[str, int | None] = {}
        self._since = time.monotonic()

    def refresh(self) -> None:
        """Forget old lookups; called once a transaction."""
        if time.monotonic() - self._since > FORGET_AFTER:
            self._users.clear()
            self._groups.clear()
            self._since = time.monotonic()

    def of(self, entry: Entry) -> tuple[int, int]:
        """Return the uid and gid that an entry shall have here."""
        return self._user(entry.owner, entry.uid), self._group(entry.group, entry.gid)

    def _user(self, name: str, number: int) -> int:
        if not name:
            return number
        if name not in self._users:
            try:
                self._users[name] = pwd.getpwnam(name).pw_uid
            except KeyError:
                self._users[name] = None
        found = self._users[name]
        return number if found is None else found

    def _group(self, name: str, number: int) -> int:
        if not name:
            return number
        if name not in self._groups:
            try:
                self._groups[name] = grp.getgrnam(name).gr_gid
            except KeyError:
                self._groups[name] = None
        found = self._groups[name]
        return number if found is None else found


def may_set_owner(uid: int, gid: int) -> bool:
    """Tell whether this process can give a file to that owner: root can, others only to their groups."""
    return os.geteuid() == 0 or (uid == os.geteuid() and gid in {os.getegid(), *os.getgroups()})
