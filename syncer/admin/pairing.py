"""The commands that make and end trust between nodes: invite, join, target forget."""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from syncer.config import FailoverSettings, parse_address
from syncer.errors import ConfigurationError, Reason, RefusedError
from syncer.model import Mode
from syncer.node.circles import same_node
from syncer.node.way_home import without_way_home
from syncer.state.cursors import (
    TargetRecord,
    forget_target,
    read_progress,
    read_target,
    record_target,
)
from syncer.trust import pairing

if TYPE_CHECKING:
    from syncer.node.agent import Node


async def invite(node: Node, ttl_seconds: float) -> dict[str, Any]:
    """Open an invitation and return the complete join line; the token in it is worth one join.

    Raises RefusedError on a production node, ConfigurationError for a time that has passed already.
    """
    if node.mode is Mode.PRODUCTION:
        raise RefusedError(
            f"{node.settings.node.name} is in mode production: run `syncer invite` on the failover node, and join here"
        )
    if ttl_seconds <= 0:
        raise ConfigurationError("an invitation must be open for some time: give --ttl a duration such as 1h")
    token, expires_at = await asyncio.to_thread(pairing.create_invitation, node.store, node.identity, ttl_seconds)
    address = reachable_address(node.listen or node.settings.node.listen)
    return {
        "token": token,
        "address": address,
        "expires_at": datetime.fromtimestamp(expires_at, UTC).isoformat(timespec="seconds"),
        "join_line": f"syncer join {address} {token}",
        "agent_running": node.is_agent,
        "exit_code": 0,
    }


def reachable_address(listen: str) -> str:
    """Return `listen` as another machine can use it: a wildcard becomes the address this one would send from."""
    found = parse_address(listen)
    if found.host not in ("0.0.0.0", "::", ""):  # noqa: S104  # compared with, not listened on
        return listen
    family = socket.AF_INET6 if found.host == "::" else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            # Connecting a UDP socket sends nothing; it only asks the routing table (RFC 5737, RFC 3849 addresses).
            probe.connect(("2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1", 9))
            host = str(probe.getsockname()[0])
        except OSError:
            host = socket.getfqdn()
    return f"[{host}]:{found.port}" if ":" in host else f"{host}:{found.port}"


async def join(node: Node, address: str, token: str) -> dict[str, Any]:
    """Pair this production node with the failover server at `address`.

    Raises ConfigurationError where no [[failover]] table has that address, PairingError where the token or
    the server is wrong, UnreachableError where nobody answers, RefusedError where another table is that node already.
    """
    target = _target_at(node, address)
    peer = await pairing.join(
        address,
        token,
        node.identity,
        node.store,
        node_name=node.settings.node.name,
        timeout=target.timeout,
        rules=target.rules,
    )
    node.joined(peer)
    for other in without_way_home(node.settings).failover:
        known = await asyncio.to_thread(read_target, node.store, other.name)
        if other.name != target.name and known is not None and known.node_id == peer.node_id:
            raise RefusedError(same_node(target.name, other.name, peer.name), Reason.LOOP)
    await asyncio.to_thread(record_target, node.store, TargetRecord(target.name, peer.node_id, peer.name))
    production = node.production
    if production is not None:
        if any(settings.is_derived for settings in node.settings.failover):
            # What was a target by itself may be this one.
            node.look_for_targets()
        production.hurry()
    return {
        "node_id": peer.node_id,
        "name": peer.name,
        "fingerprint": peer.fingerprint,
        "target": target.name,
        "exit_code": 0,
    }


def _target_at(node: Node, address: str) -> FailoverSettings:
    wanted = parse_address(address)
    for target in node.settings.failover:
        if parse_address(target.address) == wanted:
            return target
    raise ConfigurationError(
        f"no [[failover]] table of {node.settings.source} has the address {address}; add it, then join again:\n\n"
        f'[[failover]]\nname = "dr-a"\naddress = "{address}"\n'
    )


async def target_forget(node: Node, name: str, *, dry_run: bool) -> dict[str, Any]:
    """Drop what this node knows of a target, and its certificate where no other target is that node."""
    record = await asyncio.to_thread(read_target, node.store, name)
    rows = await asyncio.to_thread(read_progress, node.store, name)
    if record is None and not rows:
        raise ConfigurationError(f"nothing is known of a target {name!a}: see `syncer status`")
    removed = False
    if not dry_run:
        removed = await asyncio.to_thread(forget_target, node.store, name)
        production = node.production
        if production is not None:
            production.drop(name)
    return {
        "name": name,
        "node_name": record.node_name if record else "",
        "progress_rows": len(rows),
        "peer_removed": removed,
        "exit_code": 0,
    }
