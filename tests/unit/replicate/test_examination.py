"""Verification beside the stream: numbers of its own, and nothing that a hostile peer could pile up or smuggle in."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from syncer.errors import PeerProtocolError, Reason, UnreachableError
from syncer.model import Cursor, Kind, Patterns
from syncer.replicate import messages as m
from syncer.replicate.destination import Destination
from syncer.replicate.examination import Asking, Examination, Examining, begins_examination
from syncer.state.store import StateStore

BEGIN = m.Begin(True, None, Cursor("i", "r", 1), dry_run=True, reread=True)
FIRST = m.FIRST_EXAMINATION


def item(name: bytes) -> m.PlanItem:
    return m.PlanItem(name, "update", Kind.FILE, 1)


def test_answers_come_together_and_others_are_left_alone() -> None:
    sent: list[m.FromProduction] = []
    asked_for = asyncio.Event()

    async def send(message: m.FromProduction) -> None:
        sent.append(message)
        asked_for.set()

    async def ask() -> tuple[m.PlanItem, ...] | m.Reject:
        asking = Asking(send)
        asked = asyncio.create_task(asking.run(BEGIN))
        await asked_for.wait()
        assert not asking.take(m.Plan(1, (item(b"x"),), True, ""))
        assert not asking.take(m.Want(FIRST, (), True))
        assert asking.take(m.Plan(FIRST, (item(b"a"),), False, ""))
        assert asking.take(m.Plan(FIRST, (item(b"b"),), True, ""))
        found = await asked
        # Behind the end nothing is kept.
        assert asking.take(m.Plan(FIRST, (item(b"c"),), True, ""))
        assert asking._answers.empty()
        with pytest.raises(PeerProtocolError):
            asking.take(m.Plan(FIRST + 1, (), True, ""))
        return found

    assert asyncio.run(ask()) == (item(b"a"), item(b"b"))
    assert sent == [m.Part(FIRST, BEGIN, (), (), end=True)]


def test_one_that_nobody_waits_for_is_given_up() -> None:
    sent: list[m.FromProduction] = []
    asked_for = asyncio.Event()

    async def send(message: m.FromProduction) -> None:
        sent.append(message)
        asked_for.set()

    async def ask() -> None:
        asking = Asking(send)
        asked = asyncio.create_task(asking.run(BEGIN))
        await asked_for.wait()
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)

    asyncio.run(ask())
    assert isinstance(sent[-1], m.Abandon)
    assert sent[-1].transaction == FIRST


def test_a_lost_target_ends_the_wait() -> None:
    async def send(_: m.FromProduction) -> None:
        return

    async def ask() -> None:
        async def lost() -> None:
            return

        await Examination.on("dr-a", Asking(send), asyncio.create_task(lost())).run(BEGIN)

    with pytest.raises(UnreachableError):
        asyncio.run(ask())
    with pytest.raises(UnreachableError):
        Examination.on("dr-a", None, None)


def test_only_messages_of_verifications_are_taken_for_them() -> None:
    assert begins_examination(m.Part(FIRST, BEGIN, (), (), True))
    assert begins_examination(m.Abandon(FIRST, Reason.UNSPECIFIED, ""))
    assert not begins_examination(m.Part(FIRST - 1, BEGIN, (), (), True))
    assert not begins_examination(m.Contents(FIRST, (), True))
    assert not begins_examination(None)


@pytest.mark.parametrize(
    "begin", [None, BEGIN._replace(dry_run=False), BEGIN._replace(reread=False), BEGIN._replace(full=False)]
)
def test_a_transaction_numbered_as_a_verification_is_refused(tmp_path: Path, begin: m.Begin | None) -> None:
    async def send(_: m.FromFailover) -> None:
        raise AssertionError("nothing is answered")

    async def take() -> None:
        with StateStore.open(tmp_path / "state", create=True) as store, ThreadPoolExecutor(1) as worker:
            destination = Destination("d", tmp_path / "root", Patterns(), store, ())
            try:
                await Examining(destination, worker, 0, send).take(m.Part(FIRST, begin, (), (), True))
            finally:
                destination.close()

    with pytest.raises(PeerProtocolError):
        asyncio.run(take())
