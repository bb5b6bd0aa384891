"""Checks around commits: before them, after them where nothing can be shown, and after a crash in between."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import blake3
import pytest

from syncer.apply.candidate import Candidate
from syncer.errors import ApplyError, CheckFailedError, CommandFailure, Reason, ViewError
from syncer.files import Disk
from syncer.model import Change, Cursor, Entry, Kind, Patterns, ServiceLife, ServiceState, Term
from syncer.replicate.destination import Destination
from syncer.replicate.incoming import Incoming
from syncer.replicate.messages import Ack, Begin, Content, Hello, Part, Reject
from syncer.state.store import StateStore
from syncer.state.unchecked import read_pending_reload, read_unchecked

START = Cursor("index", "run", 0)


class FakeServices:
    """Commands that pass, refuse or cannot see, as told; says what was asked of them."""

    def __init__(self, *, sees_candidates: bool = True, reloads: bool = False) -> None:
        self.has_check = True
        self.has_reload = reloads
        self.check_failure: CommandFailure | None = None
        self.life: ServiceLife | None = None
        self.passes = True
        self.sees_candidates = sees_candidates
        self.checked: list[tuple[int, int, bool]] = []
        self.starts: list[bool] = []
        self.reloads: list[tuple[int, int]] = []
        self.dones: list[Callable[[], None]] = []

    def check(self, generation: int, term: int, candidate: Candidate | None) -> None:
        if candidate is not None and not self.sees_candidates:
            raise ViewError("no overlay here")
        self.checked.append((generation, term, candidate is not None))
        if not self.passes:
            raise CheckFailedError("refused", CommandFailure("nginx -t", "1", 0.1, "bad line"))

    def attend(self, generation: int, term: int, *, start: bool, reloaded: Callable[[], None] | None) -> None:
        self.starts.append(start)
        if reloaded is not None:
            self.reloads.append((generation, term))
            self.dones.append(reloaded)


class Node:
    """One failover domain, and production's messages to it."""

    def __init__(self, folder: Path, services: FakeServices) -> None:
        self.folder = folder
        self.services = services
        self.root = folder / "root"
        self.root.mkdir(exist_ok=True)
        self.store = StateStore.open(folder / "state", create=True)
        self.rolled_back: list[int] = []
        self.destination = self._destination(self.roll_back)
        self.seq = 0

    def _destination(self, rollback: Callable[[int], None] | None) -> Destination:
        return Destination(
            "d", self.root, Patterns(), self.store, (), Disk(), services=self.services, rollback=rollback
        )

    def restart(self, *, rollback: bool = True) -> None:
        self.destination.close()
        self.destination = self._destination(self.roll_back if rollback else None)

    def roll_back(self, generation: int) -> None:
        self.rolled_back.append(generation)

    def send(self, name: bytes, data: bytes, *, torn: bool = False, services: bool = True) -> Ack | Reject:
        standing = self.destination.standing()
        self.seq += 1
        digest = blake3.blake3(data).digest()
        change = Change(self.seq, name, entry(name, Kind.FILE, len(data), digest))
        changes = (change,) if standing else (Change(1, b"", entry(b"", Kind.DIRECTORY, 0, b"")), change)
        end = Cursor("index", "run", self.seq)
        full = standing is None
        begin = Begin(full, None if standing is None else standing.cursor, end, entries=2, torn=torn)
        hello = Hello(
            1, "", "production", "prod-a", Term(7, "production"), "d", end, Patterns(), b"", b"", (),
            start_services=services,
        )  # fmt: skip  # the fields in the order of the message
        inline = () if full else (Content(digest, data),)
        part = Part(self.seq, begin, changes, inline or (Content(digest, data),), end=True)
        incoming = Incoming(self.destination, hello, "dr-a", part)
        [answer] = incoming.open(part)
        assert isinstance(answer, Ack | Reject)
        if isinstance(answer, Ack):
            self.destination.checked.acknowledged()
        return answer

    def read(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.root.iterdir()}


def entry(path: bytes, kind: Kind, size: int, digest: bytes) -> Entry:
    mode = 0o755 if kind is Kind.DIRECTORY else 0o644
    return Entry(path, kind, mode, os.geteuid(), os.getegid(), "", "", 10**18, size, digest, b"")


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[FakeServices], Node]]:
    made: list[Node] = []

    def node(services: FakeServices) -> Node:
        made.append(Node(tmp_path, services))
        return made[-1]

    yield node
    for one in made:
        one.destination.close()
        one.store.close()


def test_a_refused_candidate_changes_neither_tree_nor_cursor(make: Callable[[FakeServices], Node]) -> None:
    node = make(FakeServices())
    assert isinstance(node.send(b"a", b"1"), Ack)
    before = node.destination.standing()
    node.services.passes = False
    answer = node.send(b"a", b"2")
    assert isinstance(answer, Reject)
    assert (answer.reason, answer.failure.output) == (Reason.CHECK_FAILED, "bad line")
    assert (node.read(), node.destination.standing()) == ({"a": "1"}, before)
    assert node.services.checked == [(1, 7, True), (2, 7, True)]
    assert read_unchecked(node.store, "d") is None
    node.services.passes = True
    assert isinstance(node.send(b"a", b"3"), Ack)
    assert node.read() == {"a": "3"}


def test_without_a_view_the_check_comes_after_the_commit_and_the_ack_after_it(
    make: Callable[[FakeServices], Node],
) -> None:
    node = make(FakeServices(sees_candidates=False))
    assert isinstance(node.send(b"a", b"1"), Ack)
    assert node.services.checked == [(1, 7, False)]
    assert read_unchecked(node.store, "d") is None


def test_without_a_view_what_is_refused_is_rolled_back_and_the_cursor_with_it(
    make: Callable[[FakeServices], Node],
) -> None:
    node = make(FakeServices(sees_candidates=False))
    node.send(b"a", b"1")
    before = node.destination.standing()
    assert before is not None
    node.services.passes = False
    answer = node.send(b"a", b"2")
    assert isinstance(answer, Reject)
    assert answer.reason is Reason.CHECK_FAILED
    assert node.rolled_back == [before.generation]
    after = node.destination.standing()
    assert after is not None
    assert after.cursor == before.cursor
    assert read_unchecked(node.store, "d") is None


def test_without_a_view_and_without_a_way_back_nothing_is_applied(make: Callable[[FakeServices], Node]) -> None:
    node = make(FakeServices(sees_candidates=False))
    node.restart(rollback=False)
    answer = node.send(b"a", b"1")
    assert isinstance(answer, Reject)
    assert "no way back" in answer.message
    assert node.read() == {}


def test_what_stands_unchecked_for_want_of_a_rollback_lets_nothing_pass(
    make: Callable[[FakeServices], Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = make(FakeServices(sees_candidates=False))
    node.send(b"a", b"1")

    def fail(generation: int) -> None:
        raise ApplyError("the disk is full")

    monkeypatch.setattr(node, "roll_back", fail)
    node.restart()
    node.services.passes = False
    refused = node.send(b"a", b"2")
    assert isinstance(refused, Reject)
    assert "rolling back failed: the disk is full" in refused.message
    assert read_unchecked(node.store, "d") is not None
    later = node.send(b"a", b"3")
    assert isinstance(later, Reject)
    assert later.reason is Reason.ROOT_UNAVAILABLE
    node.services.passes = True
    node.restart()
    node.destination.checked.recover()
    assert isinstance(node.send(b"a", b"4"), Ack)


def test_a_refusal_is_forgotten_once_what_stands_is_what_production_has(make: Callable[[FakeServices], Node]) -> None:
    node = make(FakeServices())
    node.send(b"a", b"1")
    node.services.passes = False
    node.services.check_failure = CommandFailure("nginx -t", "1", 0.1, "bad line")
    node.send(b"a", b"2")
    assert isinstance(node.send(b"a", b"1"), Ack)
    assert node.services.check_failure is None


def test_a_crash_between_commit_and_check_is_made_good_at_the_start(
    make: Callable[[FakeServices], Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = make(FakeServices(sees_candidates=False))
    node.send(b"a", b"1")
    before = node.destination.standing()
    assert before is not None

    def die(generation: int, term: int, candidate: Candidate | None) -> None:
        if candidate is None:
            raise KeyboardInterrupt
        raise ViewError("no overlay here")

    with monkeypatch.context() as patch:
        patch.setattr(node.services, "check", die)
        with pytest.raises(KeyboardInterrupt):
            node.send(b"a", b"2")
    assert read_unchecked(node.store, "d") is not None
    node.restart(rollback=False)
    node.services.passes = False
    node.destination.checked.recover()
    assert "cannot be rolled back" in node.destination.trouble()
    node.restart()
    node.destination.checked.recover()
    assert node.rolled_back == [before.generation]
    assert node.destination.trouble() == ""
    standing = node.destination.standing()
    assert standing is not None
    assert standing.cursor == before.cursor
    node.destination.checked.recover()
    assert node.rolled_back == [before.generation]


def test_a_reload_comes_once_a_settled_batch_and_stays_due_until_it_was_run(
    make: Callable[[FakeServices], Node],
) -> None:
    node = make(FakeServices(reloads=True))
    node.send(b"a", b"1", torn=True)
    assert node.services.reloads == []
    node.send(b"b", b"1")
    assert node.services.reloads == [(2, 7)]
    node.restart()
    node.destination.checked.recover()
    assert node.services.reloads == [(2, 7), (2, 7)]
    node.services.dones[-1]()
    assert read_pending_reload(node.store, "d") is None
    node.send(b"b", b"2", services=False)
    assert node.services.reloads == [(2, 7), (2, 7)]


def test_a_refused_transaction_reloads_nothing(make: Callable[[FakeServices], Node]) -> None:
    node = make(FakeServices(reloads=True))
    node.services.passes = False
    assert isinstance(node.send(b"a", b"1"), Reject)
    assert (node.services.reloads, read_pending_reload(node.store, "d")) == ([], None)


def test_what_changes_nothing_is_not_checked(make: Callable[[FakeServices], Node]) -> None:
    node = make(FakeServices())
    node.send(b"a", b"1")
    node.send(b"a", b"1")
    assert node.services.checked == [(1, 7, True)]


def test_guarantee_15_services_start_for_what_was_checked_and_acknowledged(
    make: Callable[[FakeServices], Node],
) -> None:
    node = make(FakeServices())
    node.services.passes = False
    assert isinstance(node.send(b"a", b"1"), Reject)
    assert node.services.starts == []
    node.services.passes = True
    # Half of a group is no state that services should see.
    assert isinstance(node.send(b"a", b"1", torn=True), Ack)
    assert node.services.starts == []
    assert isinstance(node.send(b"b", b"1"), Ack)
    assert node.services.starts == [True]
    assert isinstance(node.send(b"b", b"2", services=False), Ack)
    assert node.services.starts == [True]


def test_guarantee_15_a_connection_starts_services_only_for_what_is_equal(make: Callable[[FakeServices], Node]) -> None:
    node = make(FakeServices())
    hello = Hello(
        1, "", "production", "prod-a", Term(7, "production"), "d", START, Patterns(), b"", b"", (), start_services=True
    )
    checked = node.destination.checked
    checked.greeted(hello, None)
    node.send(b"a", b"1", services=False)
    standing = node.destination.standing()
    assert standing is not None
    # A later run of the same index says the same with the same seq.
    equal = hello._replace(head=standing.cursor._replace(run="a later run"))
    node.services.starts.clear()
    for other, there in (
        (hello, standing),
        (equal._replace(start_services=False), standing),
        (equal._replace(node_id="another"), standing),
        (equal._replace(rule_hash=b"other rules"), standing),
        (equal._replace(head=Cursor("another index", "run", standing.cursor.seq)), standing),
        (equal, standing._replace(resumable=False)),
    ):
        checked.greeted(other, there)
    assert set(node.services.starts) == {False}
    node.services.starts.clear()
    checked.greeted(equal, standing)
    assert (node.services.starts, checked.services_run) == ([True], True)


def test_guarantee_15_a_connection_starts_nothing_for_what_stands_unchecked(
    make: Callable[[FakeServices], Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = make(FakeServices(sees_candidates=False))

    def fail(generation: int) -> None:
        raise ApplyError("the disk is full")

    monkeypatch.setattr(node, "roll_back", fail)
    node.restart()
    node.services.passes = False
    assert isinstance(node.send(b"a", b"1"), Reject)
    standing = node.destination.standing()
    assert standing is not None
    node.services.starts.clear()
    hello = Hello(
        1, "", "production", "prod-a", Term(7, "production"), "d", standing.cursor, Patterns(), b"", b"", (),
        start_services=True,
    )  # fmt: skip  # the fields in the order of the message
    node.destination.checked.greeted(hello, standing)
    assert node.services.starts == [False]


def test_a_heartbeat_says_how_services_are_shortly(make: Callable[[FakeServices], Node]) -> None:
    node = make(FakeServices())
    checked = node.destination.checked
    assert checked.service == ""
    node.services.life = ServiceLife(ServiceState.RUNNING)
    assert checked.service == "running"
    node.services.life = ServiceLife(ServiceState.FAILED, detail="start failed " + "x" * 10_000)
    assert checked.service.startswith("failed: start failed xx")
    assert len(checked.service) == 500
