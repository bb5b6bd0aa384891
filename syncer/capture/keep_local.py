"""Which files of a receiver must differ there: gitignore patterns that win over what arrives (pure)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from syncer.capture.ignore import STAGING_NAME, Scope
from syncer.model import Kind, Known, Patterns, parent_of


class KeepLocal:
    """Decides which paths are this node's own; nothing but the root is below no pattern at all."""

    def __init__(self, patterns: Sequence[str]) -> None:
        """Take gitignore patterns; ConfigurationError for one that cannot be understood."""
        self._scope = Scope(Patterns(("**",), tuple(patterns)))
        self.is_empty = not self._scope.has_excludes

    def keeps(self, path: bytes, is_directory: bool) -> bool:
        """Tell whether `path`, or a directory that it lies in, is this node's own."""
        return not self.is_empty and self.pattern_of(path, is_directory) is not None

    def pattern_of(self, path: bytes, is_directory: bool) -> str | None:
        """Return the pattern that makes `path` this node's own, or None."""
        if self.is_empty or not path or STAGING_NAME in path.split(b"/"):
            return None
        return self._scope.excluded_by(path, is_directory)


def without_kept(
    found: Mapping[bytes, Known | None],
    keep: KeepLocal,
    applied: Callable[[bytes], Known | None],
) -> tuple[dict[bytes, Known | None], set[bytes]]:
    """Split what differs from what was applied: (what counts, what stands here and is this node's own).

    A directory that is here only because it holds such files does not count, nor does a directory's time that
    moved because such a file in it came or went.
    """
    kept = {path for path, known in found.items() if keep.keeps(path, _is_directory(path, known, applied))}
    if not kept:
        return dict(found), set()
    standing = {path for path in kept if found[path] is not None}
    holding = ancestors(standing)
    touched = {parent_of(path) for path in kept}
    counting = {
        path: known
        for path, known in found.items()
        if path not in kept
        and not (known is not None and _is_explained(path, known, applied(path), path in holding, path in touched))
    }
    return counting, standing


def ancestors(paths: Collection[bytes]) -> set[bytes]:
    """Return every directory that holds one of `paths`, the root (b"") among them."""
    found: set[bytes] = set()
    for path in paths:
        directory = path
        while directory:
            directory = parent_of(directory)
            if directory in found:
                break
            found.add(directory)
    return found


def _is_directory(path: bytes, known: Known | None, applied: Callable[[bytes], Known | None]) -> bool:
    here = known if known is not None else applied(path)
    return here is not None and here.entry.kind is Kind.DIRECTORY


def _is_explained(path: bytes, known: Known, before: Known | None, holds: bool, touched: bool) -> bool:
    if known.entry.kind is not Kind.DIRECTORY:
        return False
    if before is None:
        return holds
    return touched and known.entry == before.entry._replace(mtime_ns=known.entry.mtime_ns)
