"""Opens the port for other nodes, and lets in those that are paired."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from syncer.errors import Reason, StateError
from syncer.node.way_home import came_from
from syncer.procedures.home_server import home_handlers
from syncer.procedures.server import procedure_handlers
from syncer.state.introductions import Retired
from syncer.state.peer_addresses import record_came_from
from syncer.state.peers import Peer
from syncer.trust.introduction_server import introduction_handlers
from syncer.trust.server import Guard, pairing_handlers, trusted_certificates
from syncer.trust.tls import server_credentials, server_options

if TYPE_CHECKING:
    from syncer.node.agent import Node


async def listen(node: Node) -> tuple[grpc.aio.Server, str, int]:
    """Serve other nodes; mutual TLS against the pinned certificates of this moment, at every handshake.

    Returns the server, and the address and the port that it listens on. Raises StateError.
    """
    assert node.failover is not None, "prepare comes first"
    server = grpc.aio.server(options=server_options())

    def refused_retired(retired: Retired) -> None:
        if node.failover is not None:
            node.failover.refusals.refused(retired.node_id, retired.name, Reason.RETIRED, retired.sentence)

    guard = Guard(node.store, refused_retired)

    async def known_peer(context: grpc.aio.ServicerContext[Any, Any]) -> Peer:
        peer = await guard.authorise(context)
        await asyncio.to_thread(record_came_from, node.store, peer.node_id, came_from(context.peer()))
        return peer

    async def sender(context: grpc.aio.ServicerContext[Any, Any]) -> tuple[str, str]:
        peer = await known_peer(context)
        # Not for each call of a procedure: two nodes that lead one with each other would wake each other forever.
        node.met(peer.node_id)
        node.knocker.look()
        return peer.node_id, peer.name

    server.add_generic_rpc_handlers(
        (
            node.failover.handlers(sender),
            procedure_handlers(node.procedures, node.voice, known_peer),
            home_handlers(node.home, node.voice, known_peer),
            introduction_handlers(node.store, node.introducing.listener, known_peer),
            pairing_handlers(
                node.store,
                node.identity,
                node.settings.node.name,
                on_joined=node.joined,
                on_refused=lambda address, reason: node.events.record(
                    "pairing.refused", address=address, reason=reason
                ),
            ),
        )
    )
    wanted = node.settings.node.listen
    credentials = server_credentials(node.identity, lambda: trusted_certificates(node.store))
    host, _, port = wanted.rpartition(":")
    try:
        bound = server.add_secure_port(wanted, credentials)
    except RuntimeError as error:
        raise StateError(
            f"cannot listen on {wanted}: the port is in use, or the address is not of this machine; change node.listen"
        ) from error
    await server.start()
    return server, f"{host}:{bound or port}", bound
