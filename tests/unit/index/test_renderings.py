"""What substitution makes of contents is remembered, and forgotten with them."""

from __future__ import annotations

from pathlib import Path

from syncer.index.renderings import Rendered
from syncer.index.store import IndexStore
from tests.unit.index.rows import directory, file

KEY, OTHER = b"k" * 32, b"o" * 32


def digest(content: bytes) -> bytes:
    return content.ljust(32, b"\0")


def test_renderings_survive_a_restart(tmp_path: Path) -> None:
    made = {digest(b"a"): Rendered(b"A" * 32, 5, b"undo"), digest(b"b"): Rendered(digest(b"b"), 1, b"")}
    with IndexStore.open(tmp_path / "index.db") as store:
        store.renderings.record(KEY, made)
        store.renderings.record(OTHER, {digest(b"a"): Rendered(b"B" * 32, 6, b"")})
    with IndexStore.open(tmp_path / "index.db") as store:
        assert store.renderings.find(KEY, [digest(b"a"), digest(b"b"), digest(b"c"), digest(b"a")]) == made
        assert store.renderings.sources_of(b"A" * 32) == [digest(b"a")]
        assert store.renderings.sources_of(digest(b"b")) == []
    assert made[digest(b"b")].is_identity(digest(b"b"))


def test_many_are_found_at_once(tmp_path: Path) -> None:
    made = {digest(b"%d" % number): Rendered(digest(b"r%d" % number), number, b"") for number in range(1201)}
    with IndexStore.open(tmp_path / "index.db") as store:
        store.renderings.record(KEY, made)
        assert store.renderings.find(KEY, made) == made


def test_contents_that_are_gone_and_mappings_that_nobody_uses_are_forgotten(tmp_path: Path) -> None:
    with IndexStore.open(tmp_path / "index.db") as store:
        store.commit_group("d", [directory(b""), file(b"here", b"a")], [], torn=False)
        row = Rendered(b"A" * 32, 5, b"")
        store.renderings.record(KEY, {digest(b"a"): row, digest(b"gone"): row})
        store.renderings.record(OTHER, {digest(b"a"): row})
        store.renderings.find(KEY, [])
        store.renderings.prune()
        assert store.renderings.find(KEY, [digest(b"a"), digest(b"gone")]) == {digest(b"a"): row}
        assert store.renderings.find(OTHER, [digest(b"a")]) == {}
