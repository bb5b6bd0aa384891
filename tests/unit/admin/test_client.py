from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from syncer.admin import client, server
from syncer.admin.alive import with_signs_of_life
from syncer.admin.client import agent_answers, call, wait_for_agent
from syncer.admin.server import serve_admin
from syncer.admin.socket import NAME, short_name, socket_path
from syncer.config import NodeSettings, Settings
from syncer.errors import ConfigurationError, RefusedError, StateError, SyncerError, UnreachableError
from syncer.model import Mode
from syncer.state.lock import Holder, LockedError, StateLock

Answer = AsyncIterator[tuple[str, dict[str, Any]]]


def settings_of(state: Path) -> Settings:
    node = NodeSettings("a", Mode.PRODUCTION, state, "127.0.0.1:0", 3600.0, 30.0, 30.0)
    return Settings(node, (), (), state / "syncer.toml")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    found = tmp_path / "state"
    found.mkdir(mode=0o700)
    return found


async def echo(command: str, arguments: dict[str, Any]) -> Answer:
    for step in range(arguments.get("steps", 0)):
        yield "progress", {"step": step}
    yield "result", {"command": command, "arguments": arguments, "exit_code": 0}


def failing(error: Exception) -> Callable[[str, dict[str, Any]], Answer]:
    async def run(_: str, __: dict[str, Any]) -> Answer:
        yield "progress", {}
        raise error

    return run


@pytest.mark.asyncio
async def test_a_command_reaches_the_agent_and_its_events_come_back(state: Path) -> None:
    progress: list[dict[str, Any]] = []
    async with serve_admin(state, echo):
        result = await call(settings_of(state), "snapshot", {"steps": 2, "path": "\udcff"}, progress.append)
    assert progress == [{"step": 0}, {"step": 1}]
    assert result == {"command": "snapshot", "arguments": {"steps": 2, "path": "\udcff"}, "exit_code": 0}


@pytest.mark.asyncio
async def test_a_state_directory_with_a_long_and_odd_name_works(tmp_path: Path) -> None:
    state = tmp_path / ("long" * 40) / ("%41 #?" * 20) / os.fsdecode(b"\xff")
    state.mkdir(parents=True, mode=0o700)
    async with serve_admin(state, echo):
        assert (await call(settings_of(state), "wait", {}, print))["exit_code"] == 0


@pytest.mark.asyncio
async def test_a_result_may_be_larger_than_a_grpc_message_usually_is(state: Path) -> None:
    async def large(_: str, __: dict[str, Any]) -> Answer:
        yield "result", {"plan": ["x" * 1000] * 6000}

    async with serve_admin(state, large):
        assert len((await call(settings_of(state), "diff", {}, print))["plan"]) == 6000


@pytest.mark.asyncio
async def test_only_the_own_user_can_open_the_socket_and_it_goes_with_the_agent(state: Path) -> None:
    before = os.umask(0)
    try:
        async with serve_admin(state, echo):
            assert stat.S_IMODE(socket_path(state).stat().st_mode) == 0o600
            assert os.listdir(state) == ["agent.sock"]
    finally:
        os.umask(before)
    assert os.listdir(state) == []


@pytest.mark.asyncio
async def test_what_a_killed_agent_left_is_replaced(state: Path) -> None:
    (state / "agent.new").mkdir()
    (state / "agent.new" / "socket").touch()
    import socket

    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(socket_path(state)))
    dead.close()
    assert not agent_answers(state)
    async with serve_admin(state, echo):
        assert agent_answers(state)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("raised", "kind", "text"),
    [
        (
            ConfigurationError("no target 'x'", "no domain 'y'"),
            ConfigurationError,
            "no target 'x'\nno domain 'y'",
        ),
        (RefusedError("the brake is on"), RefusedError, "the brake is on"),
        (UnreachableError("dr-a does not answer"), UnreachableError, "dr-a does not answer"),
        (SyncerError("failed"), SyncerError, "failed"),
    ],
)
async def test_a_failure_comes_back_as_the_error_it_was(
    state: Path, raised: SyncerError, kind: type[SyncerError], text: str
) -> None:
    async with serve_admin(state, failing(raised)):
        with pytest.raises(kind) as caught:
            await call(settings_of(state), "snapshot", {}, lambda _: None)
    assert caught.value.exit_code == raised.exit_code
    assert str(caught.value) == text
    if isinstance(caught.value, ConfigurationError) and isinstance(raised, ConfigurationError):
        assert caught.value.errors == raised.errors


@pytest.mark.asyncio
async def test_a_fault_in_a_command_is_told_and_the_agent_lives_on(
    state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve_admin(state, failing(ZeroDivisionError("oh"))):
        with (
            caplog.at_level(logging.CRITICAL + 1),
            pytest.raises(SyncerError, match="internal error: ZeroDivisionError: oh"),
        ):
            await call(settings_of(state), "snapshot", {}, lambda _: None)
        assert agent_answers(state)


@pytest.mark.asyncio
async def test_who_leaves_ends_the_command(state: Path) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def endless(_: str, __: dict[str, Any]) -> Answer:
        try:
            started.set()
            while True:
                yield "progress", {}
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    async with serve_admin(state, endless):
        calling = asyncio.create_task(call(settings_of(state), "snapshot", {}, lambda _: None))
        await asyncio.wait_for(started.wait(), 60)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await asyncio.wait_for(ended.wait(), 60)


@pytest.mark.asyncio
async def test_an_agent_that_stops_meanwhile_is_unreachable(state: Path) -> None:
    started = asyncio.Event()

    async def hanging(_: str, __: dict[str, Any]) -> Answer:
        started.set()
        await asyncio.Event().wait()
        yield "result", {}

    async with serve_admin(state, hanging):
        calling = asyncio.create_task(call(settings_of(state), "snapshot", {}, lambda _: None))
        await asyncio.wait_for(started.wait(), 60)
    with pytest.raises(UnreachableError, match="the agent stopped"):
        await calling


@pytest.mark.asyncio
async def test_without_an_agent_what_needs_one_says_how_to_start_it(state: Path) -> None:
    with pytest.raises(UnreachableError, match=f"no agent is running for {state}; start it with `syncer agent`"):
        await call(settings_of(state), "wait", {}, print)
    with pytest.raises(UnreachableError, match="no agent"):
        await call(settings_of(state), "approve", {"target": "dr-a"}, print)
    with pytest.raises(UnreachableError, match="no agent"):
        await wait_for_agent(state, 0.0)


@pytest.mark.asyncio
async def test_without_an_agent_other_commands_run_here(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def local(_: Settings, command: str, arguments: dict[str, Any]) -> Answer:
        async for event in echo(command, arguments):
            yield event

    monkeypatch.setattr(client, "_from_this_process", local)
    assert (await call(settings_of(state), "diff", {}, print))["command"] == "diff"


@pytest.mark.asyncio
async def test_a_command_that_finds_the_state_taken_meanwhile_asks_who_has_taken_it(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def taken(_: Settings, command: str, arguments: dict[str, Any]) -> Answer:
        await serving.__aenter__()
        async for event in failing(LockedError(state, Holder(1, is_agent=True)))(command, arguments):
            yield event

    serving = serve_admin(state, echo)
    monkeypatch.setattr(client, "_from_this_process", taken)
    try:
        assert (await call(settings_of(state), "status", {}, lambda _: None))["command"] == "status"
    finally:
        await serving.__aexit__(None, None, None)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("for_agent", "said"),
    [
        (True, r"the agent of .* \(process {pid}\) is starting and takes no commands yet: wait"),
        (False, r"no agent is running for .*, and process {pid}, another command, works there"),
    ],
)
async def test_who_has_the_state_and_does_not_answer_is_named(
    state: Path, monkeypatch: pytest.MonkeyPatch, for_agent: bool, said: str
) -> None:
    monkeypatch.setattr(client, "STARTING_SECONDS", 0.1)
    wanted = said.format(pid=os.getpid())
    with StateLock.acquire(state, for_agent=for_agent), pytest.raises(UnreachableError, match=wanted):
        await call(settings_of(state), "status", {}, print)


@pytest.mark.asyncio
async def test_an_agent_that_says_nothing_is_given_up_whatever_it_was_asked(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "SILENT_SECONDS", 0.2)
    # It accepts, as the kernel does for a process that is stopped.
    with short_name(state, NAME) as name, socket.socket(socket.AF_UNIX) as frozen:
        frozen.bind(name)
        frozen.listen()
        for command, called in (("status", "status"), ("trigger_list", "trigger list"), ("snapshot", "snapshot")):
            with pytest.raises(UnreachableError, match=f"has not answered `syncer {called}` for 0.2 s: it is blocked"):
                await call(settings_of(state), command, {}, print)


@pytest.mark.asyncio
async def test_work_that_is_quiet_for_long_is_waited_for(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Three times as long as an agent may say nothing.
    monkeypatch.setattr(client, "SILENT_SECONDS", 0.5)
    monkeypatch.setattr(server, "with_signs_of_life", lambda events: with_signs_of_life(events, 0.05))

    async def quiet(_: str, __: dict[str, Any]) -> Answer:
        async with asyncio.timeout(60):
            await until.wait()
            yield "progress", {"step": 1}
        yield "result", {"done": True}

    until = asyncio.Event()
    asyncio.get_running_loop().call_later(1.5, until.set)
    progress: list[dict[str, Any]] = []
    async with serve_admin(state, quiet):
        assert await call(settings_of(state), "verify", {}, progress.append) == {"done": True}
    assert progress == [{"step": 1}]


@pytest.mark.asyncio
async def test_an_agent_that_is_starting_is_waited_for(state: Path) -> None:
    lock = StateLock.acquire(state)
    try:
        calling = asyncio.create_task(call(settings_of(state), "status", {}, lambda _: None))
        async with serve_admin(state, echo):
            assert (await asyncio.wait_for(calling, 60))["command"] == "status"
    finally:
        lock.release()


@pytest.mark.asyncio
async def test_a_missing_state_directory_has_no_agent(tmp_path: Path) -> None:
    assert not agent_answers(tmp_path / "missing")
    with pytest.raises(StateError, match="cannot be made"):
        async with serve_admin(tmp_path / "missing", echo):
            raise AssertionError("must not start")
