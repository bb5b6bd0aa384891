"""Two nodes on loopback: a failover node that serves, and a production node that calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import pytest_asyncio

from syncer.trust.server import Guard, pairing_handlers, trusted_certificates
from syncer.trust.tls import server_credentials, server_options
from tests.unit.trust.nodes import Clock, Node, Server, make_node


@pytest.fixture
def failover(tmp_path: Path) -> Iterator[Node]:
    node = make_node(tmp_path / "failover", "dr-a")
    yield node
    node.store.close()


@pytest.fixture
def production(tmp_path: Path) -> Iterator[Node]:
    node = make_node(tmp_path / "production", "prod-a")
    yield node
    node.store.close()


@pytest_asyncio.fixture
async def server(failover: Node) -> AsyncIterator[Server]:
    served = Server(failover, "", Clock())
    guard = Guard(failover.store)

    async def who_am_i(request: bytes, context: Any) -> bytes:
        return (await guard.authorise(context)).name.encode()

    guarded = grpc.method_handlers_generic_handler(
        "test.Guarded", {"WhoAmI": grpc.unary_unary_rpc_method_handler(who_am_i)}
    )
    pairing = pairing_handlers(
        failover.store, failover.identity, "dr-a", on_joined=served.joined.append, clock=served.clock
    )
    grpc_server = grpc.aio.server(options=server_options())
    grpc_server.add_generic_rpc_handlers((guarded, pairing))
    credentials = server_credentials(failover.identity, lambda: trusted_certificates(failover.store, served.clock))
    served.address = f"127.0.0.1:{grpc_server.add_secure_port('127.0.0.1:0', credentials)}"
    await grpc_server.start()
    yield served
    await grpc_server.stop(None)
