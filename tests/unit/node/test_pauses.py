"""Suspensions and holds as a node keeps them: durable before they are in force, and watched."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from syncer.errors import RefusedError, StateError
from syncer.events.catalogue import checked
from syncer.node.pauses import Pauses
from syncer.replicate.pauses import FORGOTTEN_SECONDS, Cause
from syncer.state.holds import FAILED, Hold, read_holds
from syncer.state.processes import process_identity
from syncer.state.store import StateStore
from syncer.state.suspensions import read_suspensions

DOMAINS = {"dr-a": ("nginx", "haproxy")}


class World:
    """The clock, the processes, and what was raised."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.alive = {42: "boot:7", 43: "boot:8"}
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.changes = 0
        self.raised = threading.Semaphore(0)

    def record(self, name: str, variables: Mapping[str, Any]) -> None:
        self.events.append((name, checked(name, {"node": "n", **variables})))
        self.raised.release()

    def changed(self) -> None:
        self.changes += 1

    def pauses(self, store: StateStore) -> Pauses:
        return Pauses(
            store,
            DOMAINS,
            self.record,
            self.changed,
            clock=lambda: self.now,
            identity_of=lambda pid: self.alive.get(pid, ""),
        )


@pytest.fixture
def world() -> World:
    return World()


def hold(ident: str = "1", pid: int = 42, start: str = "boot:7") -> Hold:
    return Hold(ident, "nginx", pid, start, "make", 1000.0)


def test_both_survive_a_restart(store: StateStore, world: World) -> None:
    async def run() -> None:
        before = world.pauses(store)
        await before.suspend("dr-a", ["haproxy"], "why", 60.0)
        await before.begin_hold(hold())
        again = world.pauses(store)
        assert again.pause("dr-a", "haproxy").cause is Cause.PERSON
        assert again.pause("dr-a", "nginx").cause is Cause.HOLD
        assert world.changes == 2
        world.now = 1061.0
        assert again.pause("dr-a", "haproxy").cause is Cause.NOTHING
        again.look()
        assert read_suspensions(store) == ()

    asyncio.run(run())


def test_a_process_that_died_while_no_agent_ran_has_failed(store: StateStore, world: World) -> None:
    async def run() -> None:
        await world.pauses(store).begin_hold(hold())
        world.alive[42] = "boot:99"
        assert world.pauses(store).pause("dr-a", "nginx").cause is Cause.FAILED_HOLD

    asyncio.run(run())
    assert [name for name, _ in world.events] == ["hold.failed"]
    assert [found.state for found in read_holds(store)] == [FAILED]


def test_holds_add_up_and_one_that_fails_stays(store: StateStore, world: World) -> None:
    async def run() -> None:
        pauses = world.pauses(store)
        await pauses.begin_hold(hold("1"))
        await pauses.begin_hold(hold("2", 43, "boot:8"))
        assert pauses.holds_begun("nginx") == 2
        await pauses.end_hold("1", "")
        assert pauses.pause("dr-a", "nginx").cause is Cause.HOLD
        await pauses.end_hold("2", "exit 3")
        # Told twice, since the first answer was lost: it stays failed.
        await pauses.end_hold("2", "")
        assert pauses.pause("dr-a", "nginx").cause is Cause.FAILED_HOLD
        found = await pauses.resume(None, ["nginx"])
        assert [item.id for item in found.ended_holds] == ["2"]
        assert pauses.pause("dr-a", "nginx").cause is Cause.NOTHING
        assert read_holds(store) == ()

    asyncio.run(run())
    assert [(name, variables["reason"]) for name, variables in world.events] == [("hold.failed", "exit 3")]


def test_a_hold_of_a_process_that_cannot_be_seen_is_refused(store: StateStore, world: World) -> None:
    async def run() -> None:
        pauses = world.pauses(store)
        with pytest.raises(RefusedError, match="is not there"):
            await pauses.begin_hold(hold(pid=99))
        assert pauses.holds == ()

    asyncio.run(run())


def test_what_could_not_be_made_durable_is_not_in_force(store: StateStore, world: World) -> None:
    async def run() -> None:
        pauses = world.pauses(store)
        store.close()
        with pytest.raises(StateError):
            await pauses.begin_hold(hold())
        assert pauses.pause("dr-a", "nginx").cause is Cause.NOTHING

    asyncio.run(run())


def test_a_dead_process_and_a_forgotten_one_are_noticed_by_themselves(store: StateStore, world: World) -> None:
    async def run() -> None:
        pauses = world.pauses(store)
        watching = asyncio.create_task(pauses.run())
        try:
            await pauses.begin_hold(hold())
            world.now += FORGOTTEN_SECONDS
            assert await asyncio.to_thread(world.raised.acquire, timeout=60)
            del world.alive[42]
            assert await asyncio.to_thread(world.raised.acquire, timeout=60)
            assert pauses.pause("dr-a", "nginx").cause is Cause.FAILED_HOLD
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    asyncio.run(run())
    assert [name for name, _ in world.events] == ["hold.long", "hold.failed"]


def test_a_forgotten_hold_is_told_once_an_hour(store: StateStore, world: World) -> None:
    async def run() -> None:
        pauses = world.pauses(store)
        await pauses.begin_hold(hold())
        for hours in (0.5, 1.1, 1.5, 2.1):
            world.now = 1000.0 + hours * FORGOTTEN_SECONDS
            pauses.look()

    asyncio.run(run())
    assert [variables["seconds"] / FORGOTTEN_SECONDS for _, variables in world.events] == pytest.approx([1.1, 2.1])


def test_a_process_is_known_by_more_than_its_number() -> None:
    own = process_identity(os.getpid())
    assert own == process_identity(os.getpid())
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert process_identity(child.pid) not in ("", own)
    finally:
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    # Dead, but its parent has not looked yet.
    assert process_identity(child.pid) == ""
    child.communicate()
    assert process_identity(child.pid) == ""
