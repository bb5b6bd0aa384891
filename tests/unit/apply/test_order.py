"""The order of an apply is its promise: verified and flushed before visible, deleted last, names flushed at the end."""

from __future__ import annotations

from pathlib import Path

import blake3
import pytest

from syncer.apply.applier import Applier, Attempt
from syncer.apply.owners import Owners
from syncer.errors import ApplyError, PeerProtocolError, Reason
from syncer.files import Disk
from syncer.model import Change, Entry, Kind
from tests.unit.apply.trees import OPENING, MemoryBase, MemoryJournal, WholeReach


def file(path: bytes, data: bytes) -> Entry:
    digest = blake3.blake3(data).digest()
    return Entry(path, Kind.FILE, 0o640, 0, 0, "", "", 10**18, len(data), digest, b"")


def directory(path: bytes) -> Entry:
    return Entry(path, Kind.DIRECTORY, 0o755, 0, 0, "", "", 10**18, 0, b"", b"")


def begin(root: Path, entries: list[Entry], disk: Disk | None = None, reach: WholeReach | None = None) -> Attempt:
    applier = Applier("nginx", root, "0123456789", MemoryBase(), disk or Disk(), Owners(), MemoryJournal())
    return applier.begin([Change(1, entry.path, entry) for entry in entries], reach or WholeReach())


def test_guarantee_4_nothing_is_visible_before_it_is_verified_and_flushed(root: Path) -> None:
    operations: list[str] = []
    seen: list[set[str]] = []

    def note(operation: str, name: bytes) -> None:
        operations.append(operation)
        seen.append({path.name for path in root.iterdir()})

    attempt = begin(root, [file(b"a", b"one"), file(b"b", b"two")], Disk(note))
    for data in (b"one", b"two"):
        attempt.write(blake3.blake3(data).digest(), data, 0, more=False)
    assert not any(seen)
    attempt.finish(OPENING)
    renames = [number for number, operation in enumerate(operations) if operation == "rename_new"]
    flushes = [number for number, operation in enumerate(operations) if operation == "flush_file"]
    assert len(renames) == len(flushes) == 2
    assert max(flushes) < min(renames)
    intent = operations.index("intent")
    assert max(flushes) < intent < min(renames)
    assert "flush_directory" in operations[max(flushes) : intent], "the names of what is staged"
    assert "flush_directory" in operations[max(renames) : operations.index("applied")]
    assert not any(names for names in seen[: min(renames) + 1])


def test_a_damaged_content_is_refused_and_nothing_changes(root: Path) -> None:
    attempt = begin(root, [file(b"a", b"one")])
    with pytest.raises(ApplyError) as refused:
        attempt.write(blake3.blake3(b"one").digest(), b"oNe", 0, more=False)
    assert refused.value.reason is Reason.CONTENT_MISMATCH
    attempt.discard()
    assert list(root.iterdir()) == []


def test_pieces_out_of_order_are_refused(root: Path) -> None:
    data = b"x" * 5000
    attempt = begin(root, [file(b"a", data)])
    digest = blake3.blake3(data).digest()
    attempt.write(digest, data[:1000], 0, more=True)
    with pytest.raises(PeerProtocolError):
        attempt.write(digest, data[2000:3000], 2000, more=True)
    attempt.discard()
    assert list(root.iterdir()) == []


def test_a_content_that_nobody_asked_for_is_refused(root: Path) -> None:
    attempt = begin(root, [file(b"a", b"one")])
    with pytest.raises(PeerProtocolError):
        attempt.write(blake3.blake3(b"other").digest(), b"other", 0, more=False)
    attempt.discard()


def test_an_end_before_all_contents_is_refused(root: Path) -> None:
    attempt = begin(root, [file(b"a", b"one")])
    with pytest.raises(PeerProtocolError):
        attempt.finish(OPENING)
    attempt.discard()
    assert list(root.iterdir()) == []


@pytest.mark.parametrize(
    "entries",
    [
        [file(b"a", b""), file(b"a", b"")],
        [file(b"a", b""), file(b"a/b", b"")],
    ],
    ids=["twice", "below a file"],
)
def test_changes_that_contradict_themselves_are_refused(root: Path, entries: list[Entry]) -> None:
    with pytest.raises(PeerProtocolError):
        begin(root, entries)
    assert list(root.iterdir()) == []


def test_syncers_own_files_are_never_written(root: Path) -> None:
    (root / "state").mkdir()
    attempt = begin(root, [directory(b"state"), file(b"b", b"")], reach=WholeReach(protected=b"state"))
    applied = attempt.finish(OPENING)
    assert [problem.path for problem in applied.problems] == [b"state"]
    assert (root / "b").exists()


def test_a_directory_with_excluded_files_is_not_replaced(root: Path) -> None:
    (root / "d").mkdir()
    (root / "d" / "cache").write_text("local")
    attempt = begin(root, [file(b"d", b""), file(b"e", b"")], reach=WholeReach(excluded=b"d/cache"))
    applied = attempt.finish(OPENING)
    assert [problem.path for problem in applied.problems] == [b"d"]
    assert (root / "d" / "cache").read_text() == "local"
    assert (root / "e").exists()


def test_a_full_disk_changes_nothing_and_says_so(root: Path) -> None:
    def full(operation: str, name: bytes) -> None:
        if operation == "write":
            raise OSError(28, "No space left on device", name)

    attempt = begin(root, [file(b"a", b"one")], Disk(full))
    with pytest.raises(ApplyError) as refused:
        attempt.write(blake3.blake3(b"one").digest(), b"one", 0, more=False)
    assert refused.value.reason is Reason.DISK_FULL
    attempt.discard()
    assert list(root.iterdir()) == []


def test_what_a_crash_left_in_the_staging_area_is_removed_after_the_next_transaction(root: Path) -> None:
    begin(root, [file(b"a", b"one"), directory(b"d")])  # as a killed process leaves it
    left = next((root.parent / ".syncer").rglob("stage-*"))
    applier = Applier("nginx", root, "0123456789", MemoryBase(), Disk(), Owners(), MemoryJournal())
    attempt = applier.begin([Change(1, b"e", directory(b"e"))], WholeReach())
    assert left.exists(), "its contents may be of use to the next attempt"
    attempt.finish(OPENING)
    applier.tidy()
    assert not left.exists()
    applier.close()
    assert sorted(path.name for path in root.parent.iterdir()) == ["root"]


def test_what_an_interrupted_attempt_had_staged_is_not_asked_for_again(root: Path) -> None:
    attempt = begin(root, [file(b"d", b"four"), file(b"a", b"one")])
    attempt.write(blake3.blake3(b"four").digest(), b"four", 0, more=False)
    attempt.discard()
    again = begin(root, [file(b"e", b"four"), file(b"a", b"one")])
    assert again.wanted() == [blake3.blake3(b"one").digest()]
    again.write(blake3.blake3(b"one").digest(), b"one", 0, more=False)
    again.finish(OPENING)
    assert (root / "e").read_bytes() == b"four"
