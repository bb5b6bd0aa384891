"""Words for what changed at a root's place."""

from __future__ import annotations

import pytest

from syncer.model import Mount, RootShape
from syncer.replicate.shape import shape_change

HOLDS = Mount(b"", "UUID=1", b"/tree")
DATA = Mount(b"data", "tmpfs x", b"/")


def shape(*mounts: Mount, is_link: bool = False) -> RootShape:
    return RootShape(is_link, frozenset(mounts))


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (shape(HOLDS, DATA), shape(HOLDS, DATA), ""),
        (shape(HOLDS, DATA), shape(HOLDS), "tmpfs x is not mounted at /t/data any more"),
        (shape(HOLDS), shape(HOLDS, DATA), "tmpfs x was mounted at /t/data"),
        (
            shape(HOLDS),
            shape(Mount(b"", "UUID=2", b"/")),
            "/t is on UUID=2 (/) now, and was on UUID=1 (/tree)",
        ),
        (shape(HOLDS), shape(HOLDS, is_link=True), "the root /t was a directory and is a symlink now"),
        (shape(HOLDS, is_link=True), shape(HOLDS), "the root /t was a symlink and is a directory now"),
        (shape(HOLDS), shape(), "UUID=1 is not mounted at /t any more"),
    ],
)
def test_it_says_what_went_or_came(before: RootShape, now: RootShape, said: str) -> None:
    assert shape_change(before, now, "/t") == said
