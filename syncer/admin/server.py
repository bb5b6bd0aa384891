"""Serves commands on the agent's Unix socket, which only the agent's own user can open."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from syncer.admin import wire
from syncer.admin.alive import with_signs_of_life
from syncer.admin.socket import short_name, socket_path
from syncer.admin.stream import Events, ended
from syncer.errors import ConfigurationError, StateError, SyncerError

log = logging.getLogger(__name__)

Run = Callable[[str, dict[str, Any]], Events]
"""Runs a command with its arguments."""

GRACE_SECONDS = 0.5
"""How long commands that are under way may go on when the agent stops."""
_NURSERY = "agent.new"
_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
"""Both ends are this machine's own user: a plan of many paths may be larger than gRPC's 4 MiB."""


@contextlib.asynccontextmanager
async def serve_admin(state: Path, run: Run) -> AsyncIterator[None]:
    """Answer commands on `state`/agent.sock within the block; the caller holds the state lock.

    Raises StateError where the socket cannot be made.
    """
    nursery = state / _NURSERY
    final = socket_path(state)
    try:
        # RACE: the state lock is ours, so a folder or socket that lies here is of an agent that was killed.
        shutil.rmtree(nursery, ignore_errors=True)
        nursery.mkdir(mode=0o700)
        names = contextlib.ExitStack()
        # Kept open until the end: gRPC removes its socket by this name when it stops.
        name = names.enter_context(short_name(nursery, "socket"))
    except OSError as error:
        raise StateError(f"{final}: cannot be made ({error.strerror}); check the directory's owner") from error
    with names:
        server = grpc.aio.server(options=_OPTIONS)
        server.add_generic_rpc_handlers((_handlers(run),))
        try:
            server.add_insecure_port(f"unix:{name}")
            await server.start()
            (nursery / "socket").chmod(0o600)
            # RACE: it appears under its name when only its user can open it and somebody answers.
            (nursery / "socket").rename(final)
            nursery.rmdir()
        except (OSError, RuntimeError) as error:
            await server.stop(0)
            raise StateError(f"{final}: cannot be made ({error}); keep node.state on a local disk") from error
        try:
            yield
        finally:
            final.unlink(missing_ok=True)
            await server.stop(GRACE_SECONDS)


def _handlers(run: Run) -> grpc.GenericRpcHandler:
    async def answer(request: bytes, _: grpc.aio.ServicerContext[bytes, bytes]) -> AsyncIterator[bytes]:
        async with ended(with_signs_of_life(_events(run, request))) as events:
            async for event in events:
                yield wire.encode_event(event)

    # Bytes both ways: wire.py reads and writes the messages.
    method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_stream_rpc_method_handler(answer)
    return grpc.method_handlers_generic_handler(wire.SERVICE, {wire.METHOD: method})


async def _events(run: Run, request: bytes) -> AsyncIterator[wire.Event]:
    """Run one command; whatever it raises becomes its last event."""
    command = ""
    try:
        command, arguments = wire.decode_request(request)
        async with ended(run(command, arguments)) as events:
            async for kind, body in events:
                yield wire.Result(body) if kind == "result" else wire.Progress(body)
    except ConfigurationError as error:
        yield wire.Failure(error.exit_code, error.errors)
    except SyncerError as error:
        yield wire.Failure(error.exit_code, (str(error),))
    except Exception as error:  # a fault in one command must not end the agent; it is logged whole and told
        log.exception("the command %s failed by a fault in syncer", ascii(command))
        why = f"internal error: {type(error).__name__}: {error} (a fault in syncer; the agent's log has more)"
        yield wire.Failure(SyncerError.exit_code, (why,))
