"""A node's own state goes into one file and back, and an older state never makes a node what it is no more."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer.backup.archive import MANIFEST, read_backup, write_backup
from syncer.backup.restore import ASIDE, FOLDER, restoring
from syncer.errors import RefusedError, StateError
from syncer.model import Cursor, Mode, Term
from syncer.state.cursors import Standing, read_standing, write_standing
from syncer.state.lock import LockedError, StateLock
from syncer.state.peers import Peer, add_peer, peers
from syncer.state.procedures import ProcedureRow, add_procedure, read_procedure
from syncer.state.restored import TERMS_AHEAD
from syncer.state.starts import RESTORED_AHEAD, begin_start
from syncer.state.store import FILE_NAME, StateStore
from syncer.state.term import next_term, read_mode_change, read_term, take_mode
from syncer.trust import identity

P, F, X = Mode.PRODUCTION, Mode.FAILOVER, Mode.FENCED
NAME = "prod-a"


class Node:
    """A node's state on disk, without a node."""

    def __init__(self, folder: Path, name: str = NAME, mode: Mode = P) -> None:
        self.state, self.name = folder / name, name
        with StateStore.open(self.state, create=True) as store:
            self.node_id = store.node_id
            identity.create(self.state, store.node_id, name)
            take_mode(store, mode, Term(1, store.node_id if mode is P else "other"))
            begin_start(store)

    def open(self) -> StateStore:
        return StateStore.open(self.state)

    def backup(self, file: Path) -> Path:
        write_backup(self.state, self.name, file)
        return file

    def restore(self, file: Path, word: Mode | None = None) -> Path | None:
        with restoring(self.state, self.name, P, file, word) as held:
            return held.carry_out()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "node.backup"


@pytest.fixture
def writing(node: Node) -> Iterator[StateStore]:
    """The state as an agent holds it open."""
    with node.open() as store:
        yield store


def test_a_backup_is_taken_beside_a_writing_agent_and_is_whole(node: Node, file: Path, writing: StateStore) -> None:
    add_peer(writing, Peer("p", "dr-a", b"pem", "fp", 0.0))
    with writing.transaction() as writer:
        # What is not committed is in no backup.
        writer.execute("DELETE FROM peer")
        node.backup(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert peers(writing) == []
    folder = file.with_name("apart")
    folder.mkdir()
    assert read_backup(file, folder).node_id == node.node_id
    folder.chmod(0o700)
    with StateStore.open(folder) as store:
        assert [peer.name for peer in peers(store)] == ["dr-a"]
    assert [path.name for path in file.parent.iterdir() if path.name.startswith(".")] == []


def test_a_backup_replaces_nothing(node: Node, file: Path) -> None:
    file.write_text("another")
    with pytest.raises(StateError, match="is there already"):
        node.backup(file)
    assert file.read_text() == "another"


def test_guarantee_18_a_node_that_was_demoted_since_stays_demoted(node: Node, file: Path) -> None:
    """Mode and term are those of the newest state, whatever the backup says."""
    node.backup(file)
    for mode in (F, X):
        with node.open() as store:
            take_mode(store, mode, Term(5, "zz-other"), "another node was promoted")
        aside = node.restore(file)
        assert aside is not None
        with node.open() as store:
            assert (store.mode(), read_term(store)) == (mode, Term(5, "zz-other"))
            assert next_term(store).counter > 5


def test_guarantee_18_without_a_newer_state_the_node_starts_fenced_and_says_why(node: Node, file: Path) -> None:
    node.backup(file)
    with node.open() as store:
        take_mode(store, F, Term(5, "zz-other"), "another node was promoted")
    (node.state / FILE_NAME).write_bytes(b"torn to pieces")
    node.restore(file)
    with node.open() as store:
        assert store.mode() is X
        change = read_mode_change(store)
        assert change is not None
        assert "restored from a backup" in change.why
        assert not change.is_told
        # No term that it may have taken since the backup is taken again.
        assert next_term(store) == Term(1 + TERMS_AHEAD + 1, node.node_id)


def test_a_backup_that_is_restored_again_counts_on(node: Node, file: Path) -> None:
    """Else peers took the second one for a copy of the first."""
    node.backup(file)
    numbers = []
    for _ in range(3):
        (node.state / FILE_NAME).unlink()
        node.restore(file)
        with node.open() as store:
            numbers.append(begin_start(store).number)
    assert numbers == sorted(set(numbers))


def test_a_restored_failover_without_a_newer_state_accepts_nothing_either(tmp_path: Path, file: Path) -> None:
    """It may have been promoted since: whoever was production before must not write over what it served."""
    node = Node(tmp_path, "dr-a", F)
    node.backup(file)
    (node.state / FILE_NAME).unlink()
    node.restore(file)
    with node.open() as store:
        assert store.mode() is X


def test_a_person_vouches_for_what_it_is_where_that_can_be(node: Node, file: Path, tmp_path: Path) -> None:
    node.backup(file)
    with pytest.raises(RefusedError, match="leave --as out"):
        node.restore(file, P)
    (node.state / FILE_NAME).unlink()
    node.restore(file, P)
    with node.open() as store:
        assert (store.mode(), read_term(store)) == (P, Term(1, node.node_id))
    failover = Node(tmp_path, "dr-a", F)
    other = failover.backup(tmp_path / "other.backup")
    (failover.state / FILE_NAME).unlink()
    with pytest.raises(RefusedError, match="cannot be production by a person's word"):
        failover.restore(other, P)
    assert not (failover.state / FILE_NAME).exists()
    failover.restore(other, F)
    with failover.open() as store:
        assert store.mode() is F


def test_what_was_under_way_is_given_up_and_everything_is_compared_anew(node: Node, file: Path) -> None:
    with node.open() as store, store.transaction() as writer:
        write_standing(writer, "nginx", Standing(Cursor("i", "r", 7), "other", b"", b"", True, 3))
        writer.execute(
            "INSERT INTO invitation (invitation_id, secret_hash, client_key, certificate_pem, expires_at) "
            "VALUES ('i', x'00', 'k', x'00', 1e12)"
        )
        row = ProcedureRow("p1", "promote", "lead", "peer", "dr-a", {}, "open", "", False, False, {}, 1.0, None)
        add_procedure(writer, row, ["freeze"])
    node.backup(file)
    node.restore(file)
    with node.open() as store:
        standing = read_standing(store, "nginx")
        assert standing is not None
        assert not standing.resumable
        found = read_procedure(store, "p1")
        assert found is not None
        assert (found.outcome, found.told) == ("aborted", True)
        with store.read() as reader:
            assert reader.execute("SELECT count(*) FROM invitation").fetchone()[0] == 0
        assert begin_start(store).number > RESTORED_AHEAD


def test_what_stood_there_is_set_aside_and_nothing_else_is_left(node: Node, file: Path) -> None:
    node.backup(file)
    aside = node.restore(file)
    assert aside is not None
    assert aside.name.startswith(ASIDE)
    assert aside.stat().st_mode & 0o777 == 0o700
    with StateStore.open(aside) as before:
        assert before.node_id == node.node_id
    assert not (node.state / FOLDER).exists()
    assert (node.state / FILE_NAME).stat().st_mode & 0o777 == 0o600
    identity.load(node.state, node.node_id)


def test_a_new_disk_takes_a_backup(node: Node, file: Path, tmp_path: Path) -> None:
    node.backup(file)
    node.state = tmp_path / "new" / "state"
    assert node.restore(file) is None
    with node.open() as store:
        assert (store.node_id, store.mode()) == (node.node_id, X)
    identity.load(node.state, node.node_id)


def test_another_nodes_backup_is_refused(node: Node, file: Path, tmp_path: Path) -> None:
    other = Node(tmp_path, "dr-a", F)
    other.backup(file)
    before = (node.state / FILE_NAME).read_bytes()
    with pytest.raises(RefusedError, match="is a backup of the node dr-a"):
        node.restore(file)
    with pytest.raises(RefusedError, match="move that folder away"), restoring(node.state, "dr-a", P, file, None):
        pass
    assert (node.state / FILE_NAME).read_bytes() == before


def test_no_restore_while_an_agent_runs(node: Node, file: Path) -> None:
    node.backup(file)
    with StateLock.acquire(node.state, for_agent=True), pytest.raises(LockedError, match="an agent"):
        node.restore(file)


@pytest.mark.parametrize("part", ["node.db", "identity.key", MANIFEST])
def test_a_damaged_backup_is_refused_and_changes_nothing(node: Node, file: Path, part: str) -> None:
    node.backup(file)
    before = (node.state / FILE_NAME).read_bytes()
    with tarfile.open(file) as tar:
        header = tar.getmember(part)
    data = bytearray(file.read_bytes())
    middle = header.offset_data + header.size // 2
    data[middle] ^= 1
    file.write_bytes(data)
    with pytest.raises(StateError, match="damaged"):
        node.restore(file)
    assert (node.state / FILE_NAME).read_bytes() == before


@pytest.mark.parametrize("data", [b"", b"no archive", b"\0" * 20480])
def test_what_is_no_backup_is_refused(node: Node, file: Path, data: bytes) -> None:
    file.write_bytes(data)
    with pytest.raises(StateError, match="no backup"):
        node.restore(file)


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.9])
def test_a_backup_that_was_cut_off_is_refused(node: Node, file: Path, cut: float) -> None:
    node.backup(file)
    data = file.read_bytes()
    # The last blocks of an archive are padding.
    with tarfile.open(file) as tar:
        end = max(header.offset_data + header.size for header in tar.getmembers())
    file.write_bytes(data[: int(end * cut)])
    with pytest.raises(StateError):
        node.restore(file)


def test_a_link_in_an_archive_is_not_followed(node: Node, file: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    node.backup(file)
    with tarfile.open(file) as tar:
        manifest = tar.extractfile(MANIFEST)
        assert manifest is not None
        data = manifest.read()
    assert json.loads(data)["node"] == NAME
    with tarfile.open(file, "w") as tar:
        copied = tmp_path / "manifest"
        copied.write_bytes(data)
        tar.add(copied, MANIFEST)
        link = tarfile.TarInfo(FILE_NAME)
        link.type, link.linkname = tarfile.SYMTYPE, str(secret)
        tar.addfile(link)
    with pytest.raises(StateError, match="is no file"):
        node.restore(file)
