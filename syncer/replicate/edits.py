"""How a receiver's disk differs from what was last applied to one domain."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from collections.abc import Set as AbstractSet
from pathlib import Path

from syncer.apply.owners import Owners, same_here
from syncer.capture.doubt import DoubtedTree
from syncer.capture.ignore import Scope
from syncer.capture.keep_local import KeepLocal, without_kept
from syncer.capture.reader import Reads
from syncer.capture.scan import Finding, Scanner
from syncer.model import Entry, Kind, Known
from syncer.replicate.drifted import what_happened
from syncer.replicate.remembered import Remembered, worth_keeping
from syncer.replicate.strangers import holding_strangers
from syncer.state.base import Base


class BaseTree:
    """The base of one domain, in the form in which a scanner asks for it."""

    def __init__(self, base: Base, domain: str) -> None:
        self._base = base
        self._domain = domain
        self.doubted: Collection[bytes] = ()
        """Paths that were read and are not as they were applied, though the file system says nothing of it."""

    def children(self, directory: bytes) -> dict[bytes, Known]:
        """Return name → what was last applied, of one directory."""
        return self._base.children(self._domain, directory)

    def get(self, path: bytes) -> Known | None:
        """Return what was last applied at `path`."""
        known = self._base.get(self._domain, path)
        return known._replace(racy=True) if known is not None and path in self.doubted else known

    def paths_with_digest(self, digest: bytes) -> list[bytes]:
        """Return the paths whose content was applied under `digest`."""
        return self._base.paths_with_digest(self._domain, digest)

    def names_of_link(self, link: int) -> list[Known]:
        """Return what was applied under this link number: names of one file on production."""
        return self._base.names_of_link(self._domain, link)


def _ignore(*_: object) -> None:
    """Nobody asked to be told."""


class Edits:
    """Compares the disk with the base, and leaves out what is this node's own."""

    def __init__(
        self,
        root: Path,
        scope: Callable[[], Scope],
        tree: BaseTree,
        keep: KeepLocal,
        owners: Owners,
        stays: Callable[[], AbstractSet[bytes]] = frozenset,
    ) -> None:
        """Compare `root` with `tree`; `scope` says which paths belong to the domain at that moment.

        At the paths that `stays` returns what stands is wanted as it is.

        `owners` is used on several threads, so not by a transaction, which must see the same accounts throughout.
        """
        self._root = root
        self._scope = scope
        self._tree = tree
        self._keep = keep
        self._owners = owners
        self._stays = stays
        self.held: frozenset[bytes] = frozenset()
        """Directories that the last look at all found, and that cannot go: what is excluded stands in them."""
        self._read: tuple[Known, ...] = ()

    def scanner(
        self,
        *,
        enter: Callable[[bytes, int], None] | None = None,
        reread: bool = False,
        reads: Reads | None = None,
    ) -> Scanner:
        """Return a scanner that tells how the disk differs from what was applied; for any one thread.

        With `reread` it believes no file to be as it was, and tells of all. `enter` is called with each directory
        before it is listed.
        """
        tree = DoubtedTree(self._tree) if reread else self._tree
        return Scanner(self._root, self._scope(), tree, reads=reads, enter=enter or _ignore)

    def all(self, *, reread: bool = False, reads: Reads | None = None) -> tuple[dict[bytes, Known | None], set[bytes]]:
        """Compare the disk with what was last applied; None stands for a path that is gone.

        Returns with it which of this node's own files stand here: they are no edits. With `reread` every byte
        is read again, and what differs is not believed any more.
        """
        found = self._reread(reads) if reread else self._compared(reads)
        edits, kept = self.counting(found)
        # What a special file keeps is tried, so that it is told: it is to be removed by hand.
        self.held = self._standing(edits, specials=False)
        if reread:
            self._tree.doubted = frozenset(edits)
        return edits, kept

    def remember(self, found: Iterable[Known]) -> None:
        """Believe what was read of this disk a moment ago, where the base knows nothing; () forgets it."""
        self._read = tuple(found)

    def counting(self, found: dict[bytes, Known | None]) -> tuple[dict[bytes, Known | None], set[bytes]]:
        """Split what differs from what was applied: (what counts, what stands here and is this node's own)."""
        return (found, set()) if self._keep.is_empty else without_kept(found, self._keep, self._tree.get)

    def _standing(self, edits: dict[bytes, Known | None], *, specials: bool) -> frozenset[bytes]:
        """Return the directories among what differs that were made here and stand for what is not synchronized."""
        created = [
            path
            for path, known in edits.items()
            if path and known is not None and known.entry.kind is Kind.DIRECTORY and self._tree.get(path) is None
        ]
        if not created:
            return frozenset()
        return frozenset(holding_strangers(self._root, self._scope(), created, specials=specials))

    def drifted(self, found: dict[bytes, Known | None]) -> dict[bytes, str]:
        """Return what was done here to each of these paths, of those that are not as they were applied."""
        self._owners.refresh()
        edits, _ = self.counting(found)
        # Putting such a directory back would not remove it: nobody has edited anything.
        stays = self._stays() | self._standing(edits, specials=True)
        named = {
            path: what_happened(self._tree.get(path), known, self._is_same)
            for path, known in edits.items()
            if path not in stays
        }
        return {path: what for path, what in named.items() if what}

    def _compared(self, reads: Reads | None) -> dict[bytes, Known | None]:
        self._tree.doubted = ()
        if not self._read:
            found = {finding.path: finding.found for finding in self.scanner(reads=reads).full()}
        else:
            tree = Remembered(self._tree, self._read)
            found = tree.edits(Scanner(self._root, self._scope(), tree, reads=reads, forget=tree.forget).full())
        # A synchronization follows a preview of it, and a preview the comparison with which a node comes home.
        self._read = worth_keeping(found, self._tree)
        return found

    def _reread(self, reads: Reads | None) -> dict[bytes, Known | None]:
        findings = self.scanner(reread=True, reads=reads).full()
        self._tree.doubted, self._read = (), ()
        return {finding.path: finding.found for finding in findings if self._differs(finding)}

    def _differs(self, finding: Finding) -> bool:
        known = self._tree.get(finding.path)
        found = finding.found
        if known is None or found is None or known.identity != found.identity:
            return True
        return not self._is_same(known.entry, found.entry)

    def _is_same(self, applied: Entry, found: Entry) -> bool:
        """Tell whether what was found is what the entry means here, as far as this node can set it."""
        if os.geteuid() != 0:
            uid, gid = self._owners.local(applied)
            found = found._replace(uid=uid, gid=gid)
        return same_here(self._owners, applied, found)
