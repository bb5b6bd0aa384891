"""Invitations that were handed out: each is worth one join, until it expires."""

from __future__ import annotations

import hashlib
import hmac
from typing import NamedTuple

from syncer.errors import PairingError
from syncer.state.peers import Peer, add_peer
from syncer.state.store import StateStore

WRONG_ATTEMPTS_MAX = 10
"""So many wrong secrets close an invitation."""


class Invitation(NamedTuple):
    """One handed-out token, as failover remembers it; the secret itself is only in the token."""

    invitation_id: str
    secret_hash: bytes
    client_key: str
    """SHA-256 of the one-time client key's SubjectPublicKeyInfo, hexadecimal."""
    certificate_pem: bytes
    """Of that key; trusted in TLS handshakes until the invitation expires."""
    expires_at: float
    """Unix seconds."""
    used_at: float | None = None
    wrong_attempts: int = 0


_COLUMNS = ", ".join(Invitation._fields)
_INSERT = f"INSERT INTO invitation ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608  # our own column names, no input
_OPEN = f"SELECT {_COLUMNS} FROM invitation WHERE expires_at > ? ORDER BY invitation_id"  # noqa: S608  # our own column names, no input
_ONE = f"SELECT {_COLUMNS} FROM invitation WHERE invitation_id = ?"  # noqa: S608  # our own column names, no input


def hash_secret(secret: bytes) -> bytes:
    """Return what is stored of a secret. It has 256 random bits, so a slow hash would add nothing."""
    return hashlib.sha256(b"syncer invitation secret\0" + secret).digest()


def add_invitation(store: StateStore, invitation: Invitation, *, now: float) -> None:
    """Record an invitation durably, and delete those that have expired by `now` (Unix seconds)."""
    with store.transaction() as writer:
        writer.execute("DELETE FROM invitation WHERE expires_at <= ?", (now,))
        writer.execute(_INSERT, invitation)


def invitations(store: StateStore, *, now: float) -> list[Invitation]:
    """Return the invitations that have not expired, used ones among them, ordered by id.

    A used one still counts in the handshake, so that who presents it again is told why and logged.
    """
    with store.read() as reader:
        return [Invitation(*row) for row in reader.execute(_OPEN, (now,))]


def redeem(store: StateStore, invitation_id: str, secret: bytes, client_key: str, peer: Peer, *, now: float) -> None:
    """Use up an invitation and pin the node that came with it, in one transaction.

    `client_key` is that of the caller's TLS key (see Invitation). Raises PairingError, and pins
    nothing, where the invitation is unknown, used, expired or closed, or key or secret are wrong;
    a wrong secret does not use it up, but is counted.
    """
    with store.transaction() as writer:
        row = writer.execute(_ONE, (invitation_id,)).fetchone()
        invitation = None if row is None else Invitation(*row)
        why = _why_refused(invitation, client_key, now)
        if invitation is not None and why is None:
            if hmac.compare_digest(invitation.secret_hash, hash_secret(secret)):
                writer.execute("UPDATE invitation SET used_at = ? WHERE invitation_id = ?", (now, invitation_id))
                # CRASH: used and pinned are one commit; a token is neither lost nor worth two joins.
                add_peer(store, peer)
            else:
                why = "the token's secret is wrong"
                writer.execute(
                    "UPDATE invitation SET wrong_attempts = wrong_attempts + 1 WHERE invitation_id = ?",
                    (invitation_id,),
                )
    # Raised after the commit, which must keep the count of wrong attempts.
    if why is not None:
        raise PairingError(f"{why}; make a new one with `syncer invite`")


def _why_refused(invitation: Invitation | None, client_key: str, now: float) -> str | None:
    if invitation is None or not hmac.compare_digest(invitation.client_key, client_key):
        return "the token is not known on this node"
    if invitation.used_at is not None:
        return "the token has been used already"
    if invitation.expires_at <= now:
        return "the token has expired"
    if invitation.wrong_attempts >= WRONG_ATTEMPTS_MAX:
        return "the token was closed after too many wrong attempts"
    return None
