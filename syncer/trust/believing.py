"""Which signed statements a node believes: of whom it follows as production, and never of a failover server."""

from __future__ import annotations

import time
from typing import NamedTuple

from syncer.errors import PairingError, RefusedError
from syncer.model import Mode
from syncer.state.cursors import tie_target
from syncer.state.introductions import (
    Kept,
    Retired,
    add_retired,
    forget_node,
    introduced_by,
    introductions,
    is_retired,
    keep_introduction,
    mark_introduced,
    read_retired,
)
from syncer.state.peers import Peer, add_peer, peer_by_node_id
from syncer.state.store import StateStore
from syncer.state.term import read_term
from syncer.trust.certificates import fingerprint_of
from syncer.trust.introductions import Introduction, Retirement, Signed, Statement, issuer_of, verified


class Taken(NamedTuple):
    """A statement that was believed."""

    statement: Statement
    issuer: Peer
    is_new: bool
    """It changed what this node knows."""


def take(store: StateStore, signed: Signed, mode: Mode) -> Taken:
    """Believe a statement, durably, as the node in `mode` that it is told to.

    What is not believed changes nothing: raises PeerProtocolError where it is none, or not signed by whom it names,
    RefusedError where this node does not follow its issuer, or the node that it is about must not be known.
    """
    issuer = _followed(store, issuer_of(signed), mode)
    # Nothing of it but the name of its issuer was used before this line; proving its rules takes time.
    statement = verified(signed, issuer.certificate_pem)
    if statement.term.node_id != issuer.node_id:
        raise RefusedError(f"{issuer.name} was not production when it said that: only production introduces nodes")
    if statement.node_id == issuer.node_id:
        raise RefusedError(f"{issuer.name} speaks of itself: it must be paired with by a person")
    with store.transaction():
        # RACE: it may have been retired, or another one been promoted, meanwhile.
        if _followed(store, issuer.node_id, mode) != issuer:
            raise RefusedError(f"{issuer.name} was paired anew meanwhile: it says that again")
        if isinstance(statement, Retirement):
            return Taken(statement, issuer, retire(store, statement, signed, issuer.name))
        return Taken(statement, issuer, _introduced(store, statement, signed, issuer))


def retire(store: StateStore, statement: Retirement, signed: Signed, issuer_name: str, addresses: str = "") -> bool:
    """Have the identity of a node count no more, and drop what is known of it, in one commit; tells whether it did."""
    with store.transaction():
        own = statement.node_id == store.node_id
        pinned = None if own else peer_by_node_id(store, statement.node_id)
        certificate = pinned.certificate_pem if pinned is not None else statement.certificate
        retired = Retired(
            statement.node_id, statement.name, certificate, fingerprint_of(certificate), statement.issuer, issuer_name,
            signed.body, signed.signature, addresses, time.time(),
        )  # fmt: skip  # one row
        is_new = add_retired(store, retired)
        # CRASH: refused and forgotten are one commit.
        if not own:
            forget_node(store, statement.node_id)
        return is_new


def follows(store: StateStore, node_id: str, mode: Mode) -> bool:
    """Tell whether a node has the highest term that this one, in `mode`, has seen: it is production as far as known."""
    return mode is not Mode.PRODUCTION and read_term(store).node_id == node_id


def require_not_retired(store: StateStore, node_id: str) -> None:
    """Refuse an identity that was retired; PairingError. Nothing brings it back."""
    found = read_retired(store, node_id)
    if found is not None:
        raise PairingError(found.sentence)


def _followed(store: StateStore, node_id: str, mode: Mode) -> Peer:
    if mode is Mode.PRODUCTION:
        raise RefusedError("this node is production: it introduces others, and is told of none")
    if is_retired(store, node_id):
        raise RefusedError("the node that says so was retired")
    issuer = peer_by_node_id(store, node_id)
    if issuer is None:
        raise RefusedError("the node that says so is not paired with this one")
    if not follows(store, issuer.node_id, mode):
        raise RefusedError(
            f"{issuer.name} is not the production node that this one follows: a failover server introduces nobody"
        )
    return issuer


def _introduced(store: StateStore, statement: Introduction, signed: Signed, issuer: Peer) -> bool:
    found = read_retired(store, statement.node_id)
    if found is not None:
        raise RefusedError(found.sentence)
    kept = Kept(issuer.node_id, statement.node_id, statement.counter, *signed)
    known = introductions(store, issuer=issuer.node_id, subject=statement.node_id)
    if known and known[0].counter >= statement.counter:
        return False
    if statement.node_id == store.node_id:
        # What this node shows of itself where it is not known.
        keep_introduction(store, kept)
        return False
    pinned = peer_by_node_id(store, statement.node_id)
    is_same = pinned is not None and pinned.certificate_pem == statement.certificate
    if pinned is not None and not is_same and introduced_by(store).get(statement.node_id) != issuer.node_id:
        raise RefusedError(f"{pinned.name} is known by another certificate: where it has a new one, pair it anew")
    if not is_same:
        pem = statement.certificate
        add_peer(store, Peer(statement.node_id, statement.name, pem, fingerprint_of(pem), time.time()))
        mark_introduced(store, statement.node_id, issuer.node_id)
    keep_introduction(store, kept)
    tie_target(store, statement.name, statement.node_id)
    return not is_same
