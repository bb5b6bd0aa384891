"""Whose a path is on the node that its base came from: as applied where it stands so, else by the names there."""

from __future__ import annotations

import os
from collections.abc import Mapping

from syncer import access_list
from syncer.apply.owners import Owners, as_kernel_takes, same_attributes
from syncer.attributes import ACCESS_LISTS, decode, encode
from syncer.model import Entry

_REMEMBERED = 10_000
"""Different sets of attributes kept in memory; a tree has few."""


class HomeOwners:
    """Turns owners, groups and access lists back; on any one thread at a time."""

    def __init__(
        self, renamed: Mapping[str, str] | None = None, owners: Owners | None = None, *, may_chown: bool | None = None
    ) -> None:
        """`renamed` tells what names of production are called here, `owners` what numbers they have here.

        Who may not chown could not set what was asked for: what stands is taken for it. None: as this process may.
        """
        self._owners = owners or Owners(renamed=renamed)
        self._may_chown = os.geteuid() == 0 if may_chown is None else may_chown
        self._names: dict[str, str] = {}
        # Where several names of production are one here, the first of them: the others only as they were applied.
        for theirs, ours in sorted((renamed or {}).items()):
            self._names.setdefault(ours, theirs)
        self._attributes: dict[bytes, bytes] = {}
        self._equal: dict[tuple[bytes, bytes], bool] = {}

    def refresh(self) -> None:
        """Forget old answers; called once a walk."""
        self._owners.refresh()
        self._equal.clear()

    def home(self, entry: Entry, applied: Entry | None) -> Entry:
        """Return an entry of this node with owners as the other node knows them; `applied` is its row of the base."""
        if applied is None or applied.kind is not entry.kind:
            attributes = self._renamed(entry.attributes) if entry.attributes else b""
            return entry._replace(owner=self._name(entry.owner), group=self._name(entry.group), attributes=attributes)
        uid, gid = self._owners.local(applied) if self._may_chown else (entry.uid, entry.gid)
        user = (applied.uid, applied.owner) if uid == entry.uid else (entry.uid, self._name(entry.owner))
        group = (applied.gid, applied.group) if gid == entry.gid else (entry.gid, self._name(entry.group))
        attributes = entry.attributes
        if attributes != applied.attributes:
            same = self._is_as_applied(attributes, applied)
            attributes = applied.attributes if same else self._renamed(attributes)
        if (user[1], group[1], attributes) == (entry.owner, entry.group, entry.attributes) and (
            (user[0], group[0]) == (entry.uid, entry.gid)
        ):
            return entry
        return entry._replace(uid=user[0], owner=user[1], gid=group[0], group=group[1], attributes=attributes)

    def _is_as_applied(self, attributes: bytes, applied: Entry) -> bool:
        key = attributes, applied.attributes
        same = self._equal.get(key)
        if same is None:
            if len(self._equal) >= _REMEMBERED:
                self._equal.clear()
            same = same_attributes(as_kernel_takes(attributes), self._owners.attributes(applied))
            self._equal[key] = same
        return same

    def _name(self, name: str) -> str:
        return self._names.get(name, name)

    def _renamed(self, encoded: bytes) -> bytes:
        """Return attributes with the names in their access lists as the other node knows them."""
        if not encoded or not self._names:
            return encoded
        found = self._attributes.get(encoded)
        if found is None:
            if len(self._attributes) >= _REMEMBERED:
                self._attributes.clear()
            found = self._attributes[encoded] = encode(
                {name: self._list(value) if name in ACCESS_LISTS else value for name, value in decode(encoded).items()}
            )
        return found

    def _list(self, value: bytes) -> bytes:
        return access_list.encode(item._replace(name=self._name(item.name)) for item in access_list.decode(value))
