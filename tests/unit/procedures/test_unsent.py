"""Which paths have changed behind a head of the index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer.errors import IndexStoreError
from syncer.index.store import IndexStore
from syncer.procedures.unsent import changed_since, slipped_in
from tests.unit.index.rows import file


@pytest.fixture
def index(tmp_path: Path) -> Iterator[IndexStore]:
    with IndexStore.open(tmp_path / "index.db") as found:
        yield found


def test_what_slipped_in_is_named_in_its_order_with_deletions(index: IndexStore) -> None:
    index.commit_group("web", [file(b"z"), file(b"gone"), file(b"old")], [], torn=False)
    handover = index.head("web")
    assert slipped_in(index, "web", handover) == []
    index.commit_group("web", [file(b"z", b"other")], [], torn=False)
    index.commit_group("web", [file(b"a")], [b"gone"], torn=False)
    index.commit_group("mail", [file(b"other")], [], torn=False)
    found = slipped_in(index, "web", handover)
    assert (found[0], set(found[1:])) == (b"z", {b"a", b"gone"})
    assert changed_since(index, "web", handover, 1) == (3, (b"z",))


def test_an_index_that_does_not_go_back_so_far_is_no_answer(index: IndexStore) -> None:
    index.commit_group("web", [file(b"a")], [], torn=False)
    head = index.head("web")
    for other in (head._replace(index_id="another"), head._replace(run="another"), head._replace(seq=head.seq + 9)):
        with pytest.raises(IndexStoreError, match="what has changed in web since then is not known"):
            slipped_in(index, "web", other)
        with pytest.raises(IndexStoreError):
            changed_since(index, "web", other, 1)
