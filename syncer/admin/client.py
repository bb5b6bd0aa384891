"""Sends a command to the running agent, or runs it in this process where no agent runs."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from syncer.admin.socket import NAME, short_name, socket_path
from syncer.admin.stream import Events, ended
from syncer.config import Settings
from syncer.errors import ConfigurationError, RefusedError, StateError, SyncerError, UnreachableError
from syncer.state.lock import Holder, LockedError, holder_of

if TYPE_CHECKING:
    import grpc.aio

WITHOUT_AGENT = frozenset(
    {"snapshot", "diff", "status", "explain", "target_forget", "invite", "join", "events", "history", "rollback"}
    | {"suspend", "resume", "hold_begin", "hold_end", "drift", "verify", "verify_repair", "service"}
    | {"leftovers", "substitute", "thaw", "drill"}
    | {"trigger_list", "trigger_test", "outbox", "outbox_change"}
)
"""Commands that do their work under the state lock where no agent runs.

Not approve: an approval lives in the stream that waits for it, and `snapshot` asks by itself. Not freeze: nobody would
send what is left, nor end it.
"""
STARTING_SECONDS = 10.0
"""How long to wait for the socket of a process that holds the state lock already."""
POLL_SECONDS = 0.05
CONNECT_SECONDS = 5.0
SILENT_SECONDS = 8.0
"""How long an agent may say nothing, not even that it is alive: one that is blocked must not hang who asks it, too."""
CALLED = {
    "drill": "promote --drill",
    "hold_begin": "hold",
    "hold_end": "hold",
    "outbox_change": "outbox",
    "target_forget": "target forget",
    "trigger_list": "trigger list",
    "trigger_test": "trigger test",
    "verify_repair": "verify --repair",
}
"""What a person calls a command where that is not its name here."""

OnProgress = Callable[[dict[str, Any]], None]


async def call(settings: Settings, command: str, arguments: dict[str, Any], on_progress: OnProgress) -> dict[str, Any]:
    """Run a command and return its result; `on_progress` gets what is reported on the way.

    Raises what the command raises, with the agent or without: SyncerError with its exit code; and
    UnreachableError where the command needs an agent and none runs.
    """
    state = settings.node.state
    deadline = time.monotonic() + STARTING_SECONDS
    while not await _agent_is_there(state, deadline):
        if command not in WITHOUT_AGENT:
            raise no_agent(state)
        try:
            return await _result_of(_from_this_process(settings, command, arguments), command, on_progress)
        except LockedError:
            # RACE: an agent, or another command, has begun since the look.
            continue
    return await _result_of(_from_agent(state, command, arguments), command, on_progress)


async def ask_agent(
    state: Path, command: str, arguments: dict[str, Any], on_progress: OnProgress | None = None
) -> dict[str, Any]:
    """Return the running agent's answer; never does the work itself.

    Raises what the command raises, and UnreachableError where no agent answers.
    """
    return await _result_of(_from_agent(state, command, arguments), command, on_progress)


async def wait_for_agent(state: Path, seconds: float) -> None:
    """Return once the agent of this state directory serves commands. Raises UnreachableError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(agent_answers, state):
        if time.monotonic() >= deadline:
            raise no_agent(state)
        await asyncio.sleep(POLL_SECONDS)


def agent_answers(state: Path) -> bool:
    """Tell whether an agent listens on the socket of this state directory.

    Raises StateError where this user may not open it.
    """
    try:
        with short_name(state, NAME) as name, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(CONNECT_SECONDS)
            probe.connect(name)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        return False
    except TimeoutError as error:
        raise UnreachableError(f"the agent of {state} takes no more commands; restart it") from error
    except OSError as error:
        raise StateError(
            f"{socket_path(state)}: cannot be opened ({error.strerror}); run syncer as the user of its agent"
        ) from error
    return True


def no_agent(state: Path) -> UnreachableError:
    """Return the error for a command that needs an agent where none runs."""
    return UnreachableError(f"no agent is running for {state}; start it with `syncer agent`")


async def _result_of(events: Events, command: str, on_progress: OnProgress | None) -> dict[str, Any]:
    async with ended(events):
        async for kind, body in events:
            if kind == "result":
                return body
            if on_progress is not None:
                on_progress(body)
    raise UnreachableError(f"the agent stopped before it had answered `syncer {_called(command)}`; start it again")


async def _agent_is_there(state: Path, deadline: float) -> bool:
    """Tell whether an agent answers; one that is starting (it has the lock, but no socket) is waited for.

    Raises UnreachableError where somebody has the state still at `deadline` (monotonic seconds), and answers nothing.
    """
    while True:
        if await asyncio.to_thread(agent_answers, state):
            return True
        holder = await asyncio.to_thread(_holder_of, state)
        if holder is None:
            return False
        if time.monotonic() >= deadline:
            raise _busy(state, holder)
        await asyncio.sleep(POLL_SECONDS)


def _busy(state: Path, holder: Holder) -> UnreachableError:
    if holder.is_agent:
        return UnreachableError(
            f"the agent of {state} (process {holder.pid}) is starting and takes no commands yet: wait for it with "
            "`syncer wait --ready`, and see its log where that lasts"
        )
    return UnreachableError(
        f"no agent is running for {state}, and process {holder.pid}, another command, works there without one: run it "
        "again when that has ended, or start the agent then"
    )


def _holder_of(state: Path) -> Holder | None:
    try:
        return holder_of(state)
    except NotADirectoryError:
        return None


def _called(command: str) -> str:
    return CALLED.get(command, command)


async def _from_agent(state: Path, command: str, arguments: dict[str, Any]) -> Events:
    import grpc
    import grpc.aio

    from syncer.admin import wire

    options = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        # RACE: the short name of another node's socket may be the same a moment later, and must not lead to this one.
        ("grpc.use_local_subchannel_pool", 1),
    ]
    with short_name(state, NAME) as name:
        async with grpc.aio.insecure_channel(f"unix:{name}", options=options) as channel:
            method: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(
                f"/{wire.SERVICE}/{wire.METHOD}", request_serializer=None, response_deserializer=None
            )
            answer = method(wire.encode_request(command, arguments))
            try:
                while (data := await _heard(answer)) is not grpc.aio.EOF:
                    event = wire.decode_event(data)
                    if isinstance(event, wire.Failure):
                        raise failure_as_error(event.exit_code, event.errors)
                    if not isinstance(event, wire.Alive):
                        yield ("result" if isinstance(event, wire.Result) else "progress"), event.body
            except TimeoutError as error:
                raise UnreachableError(
                    f"the agent has not answered `syncer {_called(command)}` for {SILENT_SECONDS:g} s: it is "
                    "blocked, or the machine is; see its log, and restart it where that lasts"
                ) from error
            except grpc.aio.AioRpcError as error:
                raise UnreachableError(
                    f"the agent stopped before it had answered `syncer {_called(command)}` ({error.details()}); "
                    "see its log, and start it again"
                ) from error


async def _heard(answer: grpc.aio.UnaryStreamCall[bytes, bytes]) -> Any:  # noqa: ANN401  # grpc gives bytes, or its EOF
    """Return what the agent says next. Raises TimeoutError where it says nothing at all."""
    async with asyncio.timeout(SILENT_SECONDS):
        return await answer.read()


async def _from_this_process(settings: Settings, command: str, arguments: dict[str, Any]) -> Events:
    # Late: only a command that finds no agent needs the whole node.
    from syncer.node.agent import run_without_agent

    async with ended(run_without_agent(settings, command, arguments)) as events:
        async for event in events:
            yield event


def failure_as_error(exit_code: int, errors: tuple[str, ...]) -> SyncerError:
    """Return the agent's failure as the error that the command would have raised here."""
    if exit_code == ConfigurationError.exit_code:
        return ConfigurationError(*errors)
    message = "\n".join(errors)
    if exit_code == RefusedError.exit_code:
        return RefusedError(message)
    if exit_code == UnreachableError.exit_code:
        return UnreachableError(message)
    return SyncerError(message)
