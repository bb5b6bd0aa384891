"""Freezes of a node made of fakes: what is undone, what is told, and what survives an agent that is killed."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from syncer.errors import (
    ApplyError,
    CommandError,
    ConfigurationError,
    IndexStoreError,
    Reason,
    RefusedError,
    StateError,
)
from syncer.events.catalogue import checked
from syncer.model import Head
from syncer.procedures.freeze import Freezes
from syncer.procedures.freezing import BY_MODE, BY_TIME
from syncer.procedures.frozen_shown import frozen_document
from syncer.procedures.read_only import ReadOnlyRoots
from syncer.procedures.unsent import Changed
from syncer.state.freezes import OPERATOR, Cover, read_claims, read_frozen
from syncer.state.store import StateStore
from tests.documented import deviations, examples


class KilledError(BaseException):
    """The agent's process ends here."""


class World:
    """The node, its services, its mounts and its clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.boot = "boot-1"
        self.running = {"web": True, "mail": True}
        self.done: list[str] = []
        self.failing: set[str] = set()
        self.cut: set[str] = set()
        self.seq = 10
        self.known = True
        self.production = True
        self.covered: set[bytes] = set()
        self.stuck = False
        self.refused = ""
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.steps_left = 1000
        """After so many steps the process is killed."""

    def step(self) -> None:
        self.steps_left -= 1
        if not self.steps_left:
            raise KilledError

    def record(self, name: str, variables: Mapping[str, Any]) -> None:
        self.events.append((name, checked(name, {"node": "n", **variables})))

    def told(self, name: str) -> list[dict[str, Any]]:
        return [variables for found, variables in self.events if found == name]

    # What is asked of the node.

    def is_production(self) -> bool:
        return self.production

    def freeze_max(self) -> float:
        return 3600.0

    def roots(self) -> Mapping[str, Path]:
        return {"web": Path("/web"), "mail": Path("/mail")}

    def own_paths(self) -> Collection[Path]:
        return ()

    def has(self, domain: str, action: str) -> bool:
        return domain in self.running

    def shown(self, domain: str, action: str) -> str:
        return f"{action} {domain}"

    async def are_running(self, domain: str) -> bool:
        return self.running[domain]

    async def run(self, domain: str, action: str, by: str) -> str:
        self.step()
        what = f"{action} {domain}"
        self.done.append(what)
        if what in self.cut:
            raise ApplyError("the agent stops", Reason.SHUTTING_DOWN)
        if what in self.failing:
            return f"{action} failed"
        self.running[domain] = action == "start"
        self.step()
        return ""

    async def start_again(self, domain: str, by: str) -> str:
        return await self.run(domain, "start", by)

    async def flush(self, domain: str) -> None:
        self.step()
        self.done.append(f"flush {domain}")

    def head(self, domain: str) -> Head:
        return Head("index", "run", self.seq)

    def changed(self, domain: str, head: Head, most: int) -> Changed:
        paths = self.changed_paths(domain, head)
        return Changed(len(paths), tuple(paths[:most]))

    def changed_paths(self, domain: str, head: Head) -> list[bytes]:
        if not self.known:
            raise IndexStoreError("not known")
        return [b"path-%d" % number for number in range(head.seq + 1, self.seq + 1)]

    # What is asked of the mounts.

    def refusal(self, root: Path, own: Collection[Path]) -> str:
        return self.refused

    def plan(self, root: Path) -> Cover:
        return Cover(bytes(root), self.boot, 0)

    def stands(self, planned: Cover) -> bool:
        return planned.boot == self.boot and planned.root in self.covered

    def make(self, planned: Cover) -> None:
        self.step()
        self.covered.add(planned.root)
        self.step()

    def undo(self, planned: Cover) -> None:
        if self.stuck:
            raise StateError("something else is mounted over it")
        self.step()
        self.covered.remove(planned.root)
        self.step()

    def freezes(self, store: StateStore) -> Freezes:
        roots: Any = self
        killing: Any = KillingStore(store, self)
        return Freezes(killing, self, roots, self.record, self.boot, lambda: self.now)


class KillingStore:
    """node.db, as far as freezes need it; a write is a step."""

    def __init__(self, store: StateStore, world: World) -> None:
        self.read = store.read
        self._store, self._world = store, world

    def transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        self._world.step()
        return self._store.transaction()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    with StateStore.open(tmp_path / "state", create=True) as found:
        yield found


@pytest.fixture
def world() -> World:
    return World()


def test_all_domains_are_frozen_and_thawed(store: StateStore, world: World) -> None:
    async def run() -> None:
        freezes = world.freezes(store)
        report = await freezes.freeze("moving", seconds=60.0, read_only=True)
        assert [(item.domain, item.head.seq, item.starts_again, item.until) for item in report.domains] == [
            ("web", 10, True, 1060.0),
            ("mail", 10, True, 1060.0),
        ]
        assert world.covered == {b"/web", b"/mail"}
        world.seq += 2
        assert await freezes.changed_since_freeze("web") == [b"path-11", b"path-12"]
        document = frozen_document(freezes, "web")
        assert document is not None
        assert deviations(examples()["status"]["domains"][0]["frozen"], document) == []
        assert (document["changed"], document["sample"]) == (2, ["path-11", "path-12"])
        with pytest.raises(RefusedError, match=r"web is frozen by an operator \(moving\), so no: `syncer thaw"):
            freezes.require_thawed("web", "no")
        world.now += 30
        done = await freezes.thaw()
        assert [(item.domain, item.changed, item.started, item.seconds) for item in done] == [
            ("mail", 2, "started", 30.0),
            ("web", 2, "started", 30.0),
        ]
        assert frozen_document(freezes, "web") is None
        freezes.require_thawed("web", "no")
        assert await freezes.thaw() == ()

    asyncio.run(run())
    assert (world.covered, world.running) == (set(), {"web": True, "mail": True})
    assert not read_claims(store)
    assert not read_frozen(store)
    assert [variables["by"] for variables in world.told("frozen")] == [OPERATOR, OPERATOR]
    assert [(variables["by"], variables["changed"]) for variables in world.told("thawed")] == [(OPERATOR, 2)] * 2


def test_a_command_that_fails_leaves_all_as_it_was(store: StateStore, world: World) -> None:
    async def run() -> None:
        freezes = world.freezes(store)
        world.failing.add("freeze mail")
        with pytest.raises(CommandError, match="the services of mail were not frozen: freeze failed"):
            await freezes.freeze("")
        assert not freezes.domains.claims
        assert not freezes.domains.items
        # It may have stopped some of them before it failed.
        assert world.done[-3:] == ["freeze mail", "start web", "start mail"]
        assert world.running == {"web": True, "mail": True}
        assert world.events == []
        assert not freezes.domains.trouble

    asyncio.run(run())


def test_what_cannot_be_frozen_is_refused_before_anything_is_done(store: StateStore, world: World) -> None:
    async def run() -> None:
        freezes = world.freezes(store)
        with pytest.raises(ConfigurationError, match=r"3600 s at most \(node\.freeze_max\)"):
            await freezes.freeze("", seconds=3601.0)
        with pytest.raises(ConfigurationError, match="no domain 'other'"):
            await freezes.freeze("", domains=["other"])
        with pytest.raises(ConfigurationError, match="no domain 'other'"):
            await freezes.thaw(domains=["other"])
        with pytest.raises(RefusedError, match="web is not frozen"):
            await freezes.changed_since_freeze("web")
        world.refused = "only root"
        with pytest.raises(RefusedError, match=r"the root of web cannot be made read-only \(only root\)"):
            await freezes.freeze("", read_only=True)
        world.production = False
        with pytest.raises(RefusedError, match="only a production node"):
            await freezes.freeze("")

    asyncio.run(run())
    assert world.done == []
    assert read_claims(store) == ()


def test_services_that_did_not_run_are_not_started(store: StateStore, world: World) -> None:
    async def run() -> None:
        world.running["web"] = False
        freezes = world.freezes(store)
        [item] = (await freezes.freeze("", domains=["web"])).domains
        assert not item.starts_again
        [done] = await freezes.thaw()
        assert done.started == ""

    asyncio.run(run())
    assert "start web" not in world.done


def test_a_start_that_fails_is_told_and_not_tried_again(store: StateStore, world: World) -> None:
    async def run() -> None:
        freezes = world.freezes(store)
        await freezes.freeze("", domains=["web"])
        world.failing.add("start web")
        [done] = await freezes.thaw()
        assert done.started == "failed"
        await freezes.look()

    asyncio.run(run())
    assert world.done.count("start web") == 1
    assert read_frozen(store) == ()


def test_time_ends_it_but_not_within_an_open_procedure(store: StateStore, world: World) -> None:
    async def run() -> None:
        freezes = world.freezes(store)
        open_ones = {"p1"}
        freezes.is_open = lambda procedure: procedure in open_ones
        await freezes.freeze("handover", "p1", domains=["web"])
        await freezes.freeze("tea", domains=["web", "mail"], seconds=60.0)
        with pytest.raises(RefusedError, match="web is frozen by the procedure p1, which is open: finish or abort"):
            await freezes.thaw()
        world.now += 60
        await freezes.look()
        assert [(item.domain, item.by) for item in freezes.domains.claims] == [("web", "p1")]
        assert world.running == {"web": False, "mail": True}
        world.now += 10_000
        await freezes.look()
        await freezes.look()
        assert [item.domain for item in freezes.domains.claims] == ["web"]
        document = frozen_document(freezes, "web")
        assert document is not None
        assert (document["by"], document["until"]) == (["p1"], None)
        told = [(item["by"], item["ends_in"] < 0) for item in world.told("frozen.forgotten")]
        # Those of the operator ended at their time, with nobody having thought of them.
        assert told == [(OPERATOR, False), (OPERATOR, False), ("p1", True)]
        open_ones.clear()
        await freezes.look()
        assert freezes.domains.claims == ()

    asyncio.run(run())
    assert [(told["domain"], told["by"]) for told in world.told("thawed")] == [("mail", BY_TIME), ("web", BY_TIME)]
    assert world.running == {"web": True, "mail": True}


def test_a_procedures_own_thaw_leaves_what_an_operator_wants(store: StateStore, world: World) -> None:
    async def run() -> None:
        freezes = world.freezes(store)
        await freezes.freeze("", domains=["web"], read_only=True)
        await freezes.freeze("", "p1", domains=["web"])
        [done] = await freezes.thaw("p1")
        assert (done.still_by, done.started) == ((OPERATOR,), "")
        assert world.covered == {b"/web"}
        [again] = await freezes.thaw("p1")
        assert again.still_by == (OPERATOR,)
        # Nobody vouches for this procedure: it is not open.
        await freezes.freeze("", "p2", domains=["web"])
        [done] = await freezes.thaw()
        assert (done.still_by, done.started) == ((), "started")

    asyncio.run(run())
    assert world.done.count("freeze web") == 1


def test_changes_are_told_at_once_and_then_once_a_minute(store: StateStore, world: World) -> None:
    async def run() -> None:
        freezes = world.freezes(store)
        await freezes.freeze("", domains=["web"])
        await freezes.look()
        assert world.told("frozen.changed") == []
        world.seq += 12
        await freezes.look()
        [told] = world.told("frozen.changed")
        assert (told["paths"], told["sample"]) == (12, ", ".join(f"path-{number}" for number in range(11, 21)))
        world.seq += 1
        await freezes.look()
        assert len(world.told("frozen.changed")) == 1

    asyncio.run(run())


def test_an_index_that_was_made_anew_is_no_reason_to_stay_frozen(store: StateStore, world: World) -> None:
    async def run() -> None:
        freezes = world.freezes(store)
        await freezes.freeze("", domains=["web"])
        world.known = False
        world.seq += 1
        await freezes.look()
        with pytest.raises(IndexStoreError):
            await freezes.changed_since_freeze("web")
        document = frozen_document(freezes, "web")
        assert document is not None
        assert document["changed"] is None
        [done] = await freezes.thaw()
        assert (done.changed, done.started) == (None, "started")

    asyncio.run(run())


def test_a_mount_that_cannot_be_taken_away_is_shown_and_tried_again(store: StateStore, world: World) -> None:
    async def run() -> None:
        freezes = world.freezes(store)
        await freezes.freeze("", domains=["web"], read_only=True)
        world.stuck = True
        with pytest.raises(StateError, match="something else"):
            await freezes.thaw()
        document = frozen_document(freezes, "web")
        assert document is not None
        assert (document["by"], document["trouble"]) == ([], "something else is mounted over it")
        world.stuck = False
        freezes.domains._pauses.clear()
        await freezes.look()
        assert frozen_document(freezes, "web") is None

    asyncio.run(run())
    assert world.running["web"]


def test_who_is_production_no_more_is_thawed_without_its_services(store: StateStore, world: World) -> None:
    async def run() -> None:
        freezes = world.freezes(store)
        freezes.is_open = lambda _: True
        await freezes.freeze("", "p1", read_only=True)
        world.production = False
        await freezes.release()
        assert not freezes.domains.claims
        assert not freezes.domains.items

    asyncio.run(run())
    assert (world.covered, world.running) == (set(), {"web": False, "mail": False})
    assert [told["by"] for told in world.told("thawed")] == [BY_MODE] * 2


@pytest.mark.parametrize("reboot", [False, True], ids=["killed", "rebooted"])
@pytest.mark.parametrize("procedure", [False, True], ids=["operator", "procedure"])
@pytest.mark.parametrize("stop_at", range(1, 24))
def test_an_agent_that_is_killed_anywhere_leaves_nothing_behind(
    store: StateStore, world: World, stop_at: int, procedure: bool, reboot: bool
) -> None:
    by = "p1" if procedure else OPERATOR
    world.steps_left = stop_at

    async def first() -> None:
        freezes = world.freezes(store)
        freezes.is_open = lambda _: True
        await freezes._freeze("", by, ["web"], None, read_only=True)
        await freezes._thaw(by, ["web"])

    async def second() -> None:
        freezes = world.freezes(store)
        freezes.is_open = lambda _: procedure
        await freezes._adopt()
        if procedure:
            # It goes on where it was, and comes to the same.
            await freezes.freeze("", by, domains=["web"], read_only=True)
            assert world.covered == {b"/web"}
            assert not world.running["web"]
        elif freezes.domains.items:
            assert freezes.domains.items[0].head is not None, "the freeze had been complete"
        await freezes.thaw(by)
        assert not freezes.domains.claims
        assert not freezes.domains.items

    with contextlib.suppress(KilledError):
        asyncio.run(first())
    world.steps_left = 1000
    if reboot:
        world.boot = "boot-2"
        world.covered.clear()
        # The machine's own start-up starts what it starts.
        world.running["web"] = True
    asyncio.run(second())
    assert world.covered == set()
    assert world.running["web"]
    assert not read_claims(store)
    assert not read_frozen(store)


def test_an_agent_that_stops_leaves_the_undoing_to_the_next(store: StateStore, world: World) -> None:
    async def first() -> None:
        freezes = world.freezes(store)
        world.cut.add("freeze web")
        world.cut.add("start web")
        with pytest.raises(ApplyError):
            await freezes.freeze("", domains=["web"])
        await freezes.close()

    async def second() -> None:
        world.cut.clear()
        world.running["web"] = False
        freezes = world.freezes(store)
        await freezes._adopt()
        assert freezes.domains.items == ()

    asyncio.run(first())
    asyncio.run(second())
    assert world.running["web"]


def test_the_fake_mounts_are_asked_as_the_real_ones() -> None:
    for name in ("refusal", "plan", "stands", "make", "undo"):
        assert callable(getattr(ReadOnlyRoots, name))
        assert callable(getattr(World, name))
