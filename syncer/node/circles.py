"""Targets that cannot be what the configuration means: this node itself, or one server under two names."""

from __future__ import annotations

from collections.abc import Callable, Collection

from syncer.config import FailoverSettings, Settings, parse_address
from syncer.leftovers.own_addresses import own_addresses
from syncer.state.cursors import TargetRecord, read_target
from syncer.state.store import StateStore

_ANY = ("0.0.0.0", "::", "")  # noqa: S104  # compared with, not listened on
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def circle_of(target: FailoverSettings, settings: Settings, store: StateStore, record: TargetRecord | None) -> str:
    """Say why nothing is sent to `target`, which was paired as `record`; "" where nothing is wrong with it.

    Of two tables that lead to one node the first one counts: both at once would end each other's sessions forever.
    """
    if is_own_address(target.address, settings.node.listen, own_addresses):
        return (
            f"{target.address}, the address of {target.name}, is that of this node itself: correct it in the "
            "configuration, or remove the table"
        )
    if record is None:
        return ""
    if record.node_id == store.node_id:
        return f"{target.name} is this node itself, as it was paired: remove the table from the configuration"
    for other in settings.failover:
        if other.name == target.name:
            return ""
        found = read_target(store, other.name)
        if found is not None and found.node_id == record.node_id:
            return same_node(target.name, other.name, record.node_name)
    return ""


def same_node(name: str, other: str, node_name: str) -> str:
    """Say that two tables lead to one node."""
    return (
        f"{name} and {other} are the same node, {node_name}, under two addresses: remove one of both tables from the "
        "configuration, then forget it with `syncer target forget`"
    )


def is_own_address(address: str, listen: str, own: Callable[[], Collection[str]]) -> bool:
    """Tell whether `address` leads to what listens on `listen`, on a machine that `own` says the addresses of."""
    there, here = parse_address(address), parse_address(listen, any_port=True)
    if there.port != here.port or not here.port:
        return False
    if here.host in _ANY:
        return there.host in _LOOPBACK or there.host in own()
    return there.host == here.host
