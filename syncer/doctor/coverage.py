"""Which domain of this node synchronizes a path, and why not where none does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from syncer.capture.ignore import Scope
from syncer.capture.keep_local import KeepLocal
from syncer.config import DomainSettings

LINKS_MOST = 40
"""Links on the way to one path, as the kernel has it."""


class Place(NamedTuple):
    """Where a path lies."""

    domain: str
    """"": in none."""
    is_synchronized: bool
    why: str
    """Where it lies in a domain: which pattern decides."""


NOWHERE = Place("", False, "is in no domain")


class _Domain(NamedTuple):
    name: str
    roots: tuple[str, ...]
    scope: Scope
    kept: KeepLocal


class Coverage:
    """Answers for all domains of a node."""

    def __init__(
        self, domains: Sequence[DomainSettings], protected: Callable[[Path], list[bytes]], *, receives: bool
    ) -> None:
        """`protected` tells syncer's own paths below a root; `receives`: `keep_local` counts on this node."""
        self._domains = [
            _Domain(
                domain.name,
                tuple(dict.fromkeys((os.path.abspath(domain.path), os.path.realpath(domain.path)))),
                Scope(domain.patterns, protected(domain.path)),
                KeepLocal(domain.keep_local if receives else ()),
            )
            for domain in domains
        ]

    def scope(self, domain: str) -> Scope:
        """Return what decides about the paths of a domain."""
        return next(item.scope for item in self._domains if item.name == domain)

    def leads_to_a_root(self, path: str) -> bool:
        """Tell whether `path` is above a root: how one gets there is each node's own affair."""
        return any(root.startswith(path.rstrip("/") + "/") for domain in self._domains for root in domain.roots)

    def place(self, path: str, *, is_directory: bool) -> Place:
        """Tell where an absolute path lies; links in it are not followed."""
        found = NOWHERE
        for domain in self._domains:
            for root in domain.roots:
                relative = _below(path, root)
                if relative is None:
                    continue
                kept = domain.kept.pattern_of(relative, is_directory) if relative else None
                if kept is not None:
                    # It is this node's own on purpose: nobody misses it.
                    return Place(domain.name, True, f"the keep_local pattern {kept!r} matches it")
                if domain.scope.wants(relative, is_directory) or (is_directory and domain.scope.may_descend(relative)):
                    return Place(domain.name, True, "")
                found = Place(domain.name, False, domain.scope.explain(relative, is_directory))
        return found


def trail(path: str) -> Iterator[str]:
    """Yield every link on the way to what an absolute path leads to, and at last that itself, whether it is there.

    Each is a path without links above its last name. A circle of links ends after LINKS_MOST of them.
    """
    done, waiting, links = "/", [name for name in path.split("/") if name], 0
    waiting.reverse()
    while waiting:
        name = waiting.pop()
        if name == ".":
            continue
        if name == "..":
            done = os.path.dirname(done)
            continue
        here = os.path.join(done, name)
        try:
            target = os.readlink(here)
        except OSError:
            done = here
            continue
        yield here
        links += 1
        if links > LINKS_MOST:
            return
        if target.startswith("/"):
            done = "/"
        waiting.extend(reversed([part for part in target.split("/") if part]))
    yield done


def _below(path: str, root: str) -> bytes | None:
    """Return `path` relative to `root`, or None where it does not lie there."""
    if path == root:
        return b""
    top = root.rstrip("/") + "/"
    return os.fsencode(path[len(top) :]) if path.startswith(top) else None
