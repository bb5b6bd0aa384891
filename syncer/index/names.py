"""Who owns what in a domain: the names that a target must know, from what is indexed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from syncer import access_list
from syncer.attributes import ACCESS_LISTS, decode

MOST_NAMES = 1000
"""Names of users, and as many of groups, that a target is told of; a domain has a handful."""


class OwnerNames(NamedTuple):
    """Names of users and groups, each once and in order."""

    users: tuple[str, ...]
    groups: tuple[str, ...]


def owner_names(owners: Iterable[tuple[str, str]], attributes: Iterable[bytes]) -> OwnerNames:
    """Return the names among owners (user, group) and in the access lists of attributes."""
    users: set[str] = set()
    groups: set[str] = set()
    for user, group in owners:
        users.add(user)
        groups.add(group)
    for encoded in attributes:
        for name, value in decode(encoded).items():
            if name in ACCESS_LISTS:
                for entry in access_list.decode(value):
                    (users if entry.tag == access_list.USER else groups).add(entry.name)
    return OwnerNames(*(tuple(sorted(names - {""})[:MOST_NAMES]) for names in (users, groups)))
