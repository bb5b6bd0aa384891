"""In which way the place of a root changed since it was accepted: words for mounts that came or went (pure)."""

from __future__ import annotations

from syncer.model import Mount, RootShape, shown


def shape_change(accepted: RootShape, current: RootShape, root: str) -> str:
    """Say what of a root's place is another than the accepted one, "" where nothing is."""
    if accepted == current:
        return ""
    if accepted.is_link != current.is_link:
        before, now = ("a symlink", "a directory") if accepted.is_link else ("a directory", "a symlink")
        return f"the root {root} was {before} and is {now} now"
    before_at = {mount.point: mount for mount in accepted.mounts}
    now_at = {mount.point: mount for mount in current.mounts}
    for point, mount in sorted(before_at.items()):
        if point not in now_at:
            return f"{mount.source} is not mounted at {_place(root, point)} any more"
        if now_at[point] != mount:
            return f"{_place(root, point)} is on {_words(now_at[point])} now, and was on {_words(mount)}"
    for point, mount in sorted(now_at.items()):
        if point not in before_at:
            return f"{mount.source} was mounted at {_place(root, point)}"
    raise AssertionError("unequal shapes differ in their link or in a mount")


def _place(root: str, point: bytes) -> str:
    return f"{root}/{shown(point)}" if point else root


def _words(mount: Mount) -> str:
    return f"{mount.source} ({shown(mount.inside)})"
