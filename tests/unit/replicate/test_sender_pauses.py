"""What a sender does with a person's word: it neither sends into a hold that begins, nor takes requests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from syncer.config.settings import BrakeSettings
from syncer.errors import RefusedError
from syncer.events.problems import StandingProblems
from syncer.index.store import IndexStore
from syncer.model import Patterns, RootShape, Term
from syncer.observations import UNOBSERVED
from syncer.replicate import messages as m
from syncer.replicate.pauses import Cause, Pause
from syncer.replicate.rendered_tree import Plain
from syncer.replicate.sender import Sender
from syncer.replicate.sending_brake import SendingBrake
from syncer.replicate.session import Planned, Transaction
from syncer.replicate.stream import Request, Stream, opening_of
from syncer.state.brake import BrakeStore
from syncer.state.store import StateStore


class FakeProduction:
    """A node whose domain becomes held at the moment a test chooses."""

    node_id, name, software = "id", "prod-a", "0"
    observations = UNOBSERVED
    standing_problems = StandingProblems()

    def reached(self, stream: object) -> None:
        """Nobody else waits."""

    def __init__(self) -> None:
        self.paused = Pause()
        self.begun = 0
        self.events: list[str] = []

    def record(self, name: str, _: Mapping[str, Any]) -> None:
        self.events.append(name)

    def pause(self, _target: str, _domain: str) -> Pause:
        return self.paused

    def held_back(self, *_: str) -> str:
        return ""

    def kept_apart(self, _: str) -> str:
        return ""

    def holds_begun(self, _: str) -> int:
        return self.begun

    def addresses(self) -> tuple[str, ...]:
        return ()

    def term(self) -> Term:
        return Term(1, "id")

    def unavailable(self, _: str) -> str:
        return ""

    def scanned(self, _: str) -> bool:
        return True

    def content_changed(self, _domain: str, _path: bytes) -> None:
        raise AssertionError("nothing changes here")

    def succeeded(self, _stream: Stream, _ack: m.Ack, *, full: bool) -> None:
        raise AssertionError(f"nothing arrives here, full or not ({full})")


class FakeSession:
    """A connection that keeps what would have been sent."""

    def __init__(self) -> None:
        self.sent: list[m.Begin] = []

    async def run(self, transaction: Transaction) -> Planned:
        self.sent.append(transaction.begin)
        return Planned((), "")


class SlowIndex:
    """An index in which something happens while a snapshot is opened."""

    def __init__(self, index: IndexStore, meanwhile: Any) -> None:
        self._index = index
        self._meanwhile = meanwhile

    def __getattr__(self, name: str) -> Any:
        return getattr(self._index, name)

    def snapshot(self, domain: str) -> Any:
        self._meanwhile()
        return self._index.snapshot(domain)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[IndexStore]:
    with IndexStore.open(tmp_path / "index.db") as found:
        found.commit_group("nginx", [], [], torn=False)
        yield found


@pytest.fixture
def brake(tmp_path: Path) -> Iterator[SendingBrake]:
    shape = RootShape(False, frozenset())
    store = StateStore.open(tmp_path / "state", create=True)
    kept = BrakeStore(store, "nginx", "dr-a")
    yield SendingBrake("dr-a", "nginx", "/root", BrakeSettings(0.3, 0, 600.0), kept, lambda: shape)
    store.close()


def sender_of(production: FakeProduction, index: Any, brake: SendingBrake) -> Sender:
    stream = Stream("dr-a", "nginx", True, 1.0, 1.0, 1.0, Patterns(), b"")
    # Nothing is read, nobody called.
    return Sender(stream, production, index, None, None, None, brake)  # type: ignore[arg-type]


@pytest.mark.parametrize("begins", [False, True])
def test_a_state_taken_while_a_hold_begins_is_not_sent(index: IndexStore, brake: SendingBrake, begins: bool) -> None:
    production, session = FakeProduction(), FakeSession()

    def meanwhile() -> None:
        production.begun += begins

    async def run() -> None:
        sender = sender_of(production, SlowIndex(index, meanwhile), brake)
        await sender._sending.synchronize(session, full=False)  # type: ignore[arg-type]  # a fake

    asyncio.run(run())
    assert len(session.sent) == (0 if begins else 1)


def test_a_paused_stream_takes_no_request_but_to_look(index: IndexStore, brake: SendingBrake) -> None:
    production = FakeProduction()
    production.paused = Pause(Cause.PERSON, "suspended: continue with `syncer resume dr-a`")

    async def run() -> None:
        sender = sender_of(production, index, brake)
        wanted = Request(dry_run=False, against_base=False, report=lambda _: None)
        sender.request(wanted)
        with pytest.raises(RefusedError, match="continue with `syncer resume dr-a`"):
            await wanted.done
        looking = Request(dry_run=True, against_base=False, report=lambda _: None)
        sender.request(looking)
        assert not looking.done.done()
        assert sender._state.facts().suspended == ""

    asyncio.run(run())


@pytest.mark.parametrize("resume", [False, True])
def test_a_resume_says_so_to_the_target(index: IndexStore, brake: SendingBrake, resume: bool) -> None:
    async def run() -> m.Begin:
        request = Request(dry_run=False, against_base=False, report=lambda _: None, resume=resume)
        with index.snapshot("nginx") as snapshot:
            progress = sender_of(FakeProduction(), index, brake).view().progress
            return opening_of(Plain(snapshot), progress, request, full=True, approved=False)

    begin = asyncio.run(run())
    assert (begin.full, begin.on_demand, begin.resume) == (True, True, resume)
