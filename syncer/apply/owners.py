"""Who owners, groups and access lists of production mean on this node: by name, with the number as fallback."""

from __future__ import annotations

import grp
import pwd
import time
from collections.abc import Callable, Mapping

from syncer import access_list
from syncer.attributes import ACCESS_LISTS, LABEL, decode
from syncer.files import has_labels
from syncer.model import Entry

FORGET_AFTER = 5.0
"""Seconds; accounts change rarely."""
_REMEMBERED = 10_000
"""Different sets of attributes kept in memory; a tree has few."""
_NO_ATTRIBUTES: Mapping[bytes, bytes] = {}


class Owners:
    """This node's numbers for owners and groups that come with names; believed for FORGET_AFTER seconds."""

    def __init__(
        self,
        user: Callable[[str], int] = lambda name: pwd.getpwnam(name).pw_uid,
        group: Callable[[str], int] = lambda name: grp.getgrnam(name).gr_gid,
        renamed: Mapping[str, str] | None = None,
    ) -> None:
        """Look names up with `user` and `group`, which raise KeyError for those they do not know.

        `renamed` tells what names of production are called here.
        """
        self._user = user
        self._group = group
        self._renamed = dict(renamed or {})
        self._local: dict[tuple[int, int, str, str], tuple[int, int]] = {}
        self._attributes: dict[bytes, Mapping[bytes, bytes]] = {}
        self._announced: set[str] = set()
        self._strangers: dict[object, str] = {}
        self._unknown: set[str] = set()
        self._since = time.monotonic()
        self.dropped_labels = False
        """SELinux labels came, and this kernel does not use them."""

    def refresh(self) -> None:
        """Forget old answers; called once a transaction, so that one sees the same accounts throughout."""
        now = time.monotonic()
        if now - self._since > FORGET_AFTER:
            self._local.clear()
            self._attributes.clear()
            self._strangers.clear()
            self._since = now

    def local(self, entry: Entry) -> tuple[int, int]:
        """Return uid and gid here: by name where it exists here too, else the sender's number."""
        key = entry[3:7]
        pair = self._local.get(key)
        if pair is None:
            pair = (self._number(self._user, entry.owner, entry.uid), self._number(self._group, entry.group, entry.gid))
            self._local[key] = pair
            self._note_strangers(key)
        return pair

    def attributes(self, entry: Entry) -> Mapping[bytes, bytes]:
        """Return the attributes that the path is to have here, as the kernel takes them."""
        encoded = entry.attributes
        if not encoded:
            return _NO_ATTRIBUTES
        found = self._attributes.get(encoded)
        if found is None:
            if len(self._attributes) >= _REMEMBERED:
                self._attributes.clear()
            found = self._attributes[encoded] = self._resolved(encoded)
            self._note_strangers(encoded)
        return found

    def strangers(self, entry: Entry) -> str:
        """Say which names of an entry nobody has here and no handshake has told of yet; "" for none."""
        if not self._strangers:
            return ""
        found = [self._strangers.get(entry[3:7], ""), self._strangers.get(entry.attributes, "")]
        return "; ".join(filter(None, found))

    def missing(self, users: tuple[str, ...], groups: tuple[str, ...]) -> tuple[list[str], list[str]]:
        """Return those of production's names that nobody has here, as they would be called here.

        They are shown as limits from then on, and no more as problems of each path.
        """
        self._announced.update(users, groups)
        self._local.clear()
        self._attributes.clear()
        self._strangers.clear()
        return (
            [self._renamed.get(name, name) for name in users if not self._is_known(self._user, name)],
            [self._renamed.get(name, name) for name in groups if not self._is_known(self._group, name)],
        )

    def _resolved(self, encoded: bytes) -> Mapping[bytes, bytes]:
        found = {}
        for name, value in decode(encoded).items():
            # A label means nothing to a kernel without SELinux: the next handshake says that it was not kept.
            if name == LABEL and not has_labels():
                self.dropped_labels = True
                continue
            found[name] = self._access_list(value) if name in ACCESS_LISTS else value
        return found

    def _access_list(self, value: bytes) -> bytes:
        entries = []
        for entry in access_list.decode(value):
            number = entry.number
            if entry.tag == access_list.USER:
                number = self._number(self._user, entry.name, number)
            elif entry.tag == access_list.GROUP:
                number = self._number(self._group, entry.name, number)
            entries.append(entry._replace(number=number))
        return access_list.to_kernel(entries)

    def _number(self, look_up: Callable[[str], int], name: str, number: int) -> int:
        if not name:
            return number
        try:
            return look_up(self._renamed.get(name, name))
        # ValueError: a name with a NUL or an unpaired surrogate is nobody's here.
        except (KeyError, ValueError):
            self._unknown.add(name)
            return number

    def _note_strangers(self, key: object) -> None:
        names = sorted(self._unknown - self._announced)
        self._unknown.clear()
        if names:
            self._strangers[key] = f"{', '.join(names)} is not known on failover: production's number is used"

    def _is_known(self, look_up: Callable[[str], int], name: str) -> bool:
        found = self._number(look_up, name, -1) != -1
        self._unknown.clear()
        return found


def same_here(owners: Owners, wanted: Entry, current: Entry) -> bool:
    """Tell whether `current`, as a scan of this disk found it, is what production's `wanted` means here."""
    return (
        wanted.kind is current.kind
        and wanted.mode == current.mode
        and wanted.mtime_ns == current.mtime_ns
        and wanted.size == current.size
        and wanted.digest == current.digest
        and wanted.link_target == current.link_target
        and owners.local(wanted) == (current.uid, current.gid)
        and same_attributes(as_kernel_takes(current.attributes), owners.attributes(wanted))
    )


def same_attributes(current: Mapping[bytes, bytes | None], wanted: Mapping[bytes, bytes]) -> bool:
    """Tell whether attributes are as wanted; a kernel that labels files labels also those that came without."""
    return current == wanted or (
        LABEL not in wanted and {name: value for name, value in current.items() if name != LABEL} == wanted
    )


def as_kernel_takes(encoded: bytes) -> dict[bytes, bytes | None]:
    """Return attributes that were read on this node in the form in which the kernel gave them."""
    if not encoded:
        return {}
    return {
        name: access_list.to_kernel(access_list.decode(value)) if name in ACCESS_LISTS else value
        for name, value in decode(encoded).items()
    }
