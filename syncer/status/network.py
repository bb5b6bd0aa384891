"""Which nodes this one trusts, by whose word, and which identities count no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from syncer.state.introductions import introduced_by, retired_nodes
from syncer.state.peers import peers
from syncer.status.fragments import moment_document

if TYPE_CHECKING:
    from syncer.node.agent import Node


def peer_documents(node: Node) -> list[dict[str, Any]]:
    """Return the trusted nodes as docs/json.md describes them; blocking."""
    found = peers(node.store)
    names = {peer.node_id: peer.name for peer in found}
    issuers = introduced_by(node.store)
    return [
        {
            "name": peer.name,
            "node_id": peer.node_id,
            "fingerprint": peer.fingerprint,
            "introduced_by": _name(names, issuers.get(peer.node_id)),
            "untold": node.introducing.troubles.get(peer.node_id, ""),
        }
        for peer in found
    ]


def retired_documents(node: Node) -> list[dict[str, Any]]:
    """Return the identities that were retired, as far as this node knows, its own among them; blocking."""
    return [
        {"name": item.name, "node_id": item.node_id, "by": item.issuer_name, "at": moment_document(item.at)}
        for item in retired_nodes(node.store)
    ]


def _name(names: dict[str, str], node_id: str | None) -> str | None:
    """Return a node as people call it; its id where it is not known any more."""
    return None if node_id is None else names.get(node_id, node_id)
