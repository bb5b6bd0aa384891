"""How two nodes come to pin each other: failover invites, production joins with the token."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable

import grpc
import grpc.aio

from syncer.errors import ConfigurationError, PairingError, PeerProtocolError, UnreachableError
from syncer.state.invitations import Invitation, add_invitation, hash_secret
from syncer.state.peers import Peer, add_peer
from syncer.state.store import StateStore
from syncer.substitution.rules import EMPTY, RuleSet
from syncer.trust import token as tokens
from syncer.trust import wire
from syncer.trust.believing import require_not_retired
from syncer.trust.certificates import NodeCertificate, check_node_certificate, fingerprint_of
from syncer.trust.identity import Identity
from syncer.trust.reach import fetch_environment, fetch_line
from syncer.trust.tls import open_channel


def create_invitation(
    store: StateStore, identity: Identity, ttl_seconds: float, *, clock: Callable[[], float] = time.time
) -> tuple[str, float]:
    """Record a new invitation and return (token, expires_at in Unix seconds).

    The token is the only place that holds the secret. Raises StateError.
    """
    token = tokens.new_token(identity.fingerprint)
    key = tokens.derive_key(token)
    now = clock()
    expires_at = now + ttl_seconds
    invitation = Invitation(token.invitation_id, hash_secret(token.secret), key.public_key, key.root_pem, expires_at)
    add_invitation(store, invitation, now=now)
    return tokens.encode(token), expires_at


async def join(
    address: str,
    token_text: str,
    identity: Identity,
    store: StateStore,
    node_name: str,
    timeout: float,  # noqa: ASYNC109  # for all of it; a part of what happens here has its own clock
    rules: RuleSet = EMPTY,
) -> Peer:
    """Join the failover node at `address` (host:port) within `timeout` seconds and pin its certificate.

    It keeps `rules`, by which this node will render for it.

    Returns the pinned node. Raises ConfigurationError for an address without a port, PairingError where
    the token or the node is not the right one, UnreachableError where nobody answers; then nothing is
    pinned on this node.
    """
    host, port = split_address(address)
    _check_own_name(node_name)
    token = tokens.parse(token_text)
    key = tokens.derive_key(token)
    deadline = time.monotonic() + timeout
    try:
        async with asyncio.timeout(timeout):
            certificate = await _fetch_certificate(host, port, key, address, token.fingerprint)
    except TimeoutError as error:
        raise _unanswered(address, timeout) from error
    if certificate.node_id == identity.node_id:
        raise PairingError(f"{address} is this node itself; join on the other node")
    await asyncio.to_thread(require_not_retired, store, certificate.node_id)
    answer = await _call_join(
        address, key, certificate, _request(token, identity, node_name, rules), deadline - time.monotonic()
    )
    if answer.node_id != certificate.node_id:
        raise PairingError(f"{address} answered as another node than its certificate says; update syncer there")
    peer = Peer(certificate.node_id, answer.node_name, certificate.pem, certificate.fingerprint, time.time())
    await asyncio.to_thread(add_peer, store, peer)
    return peer


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of "host:port" or "[v6]:port". Raises ConfigurationError."""
    host, colon, port = address.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not bare or (":" in bare and bare == host) or not _is_port(port):
        raise ConfigurationError(f"{address!r} is no address with a port; write for example 10.0.2.10:7443")
    return bare, int(port)


def _check_own_name(name: str) -> None:
    try:
        wire.checked_name(name)
    except PeerProtocolError as error:
        raise ConfigurationError(f"node.name is {name!r}: {error}") from error


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text) < 65536


def _request(token: tokens.Token, identity: Identity, node_name: str, rules: RuleSet) -> wire.JoinRequest:
    return wire.JoinRequest(
        token.invitation_id,
        token.secret,
        identity.node_id,
        node_name,
        identity.certificate_pem,
        rules.encode(),
    )


async def _fetch_certificate(
    host: str, port: int, key: tokens.OneTimeKey, address: str, fingerprint: str
) -> NodeCertificate:
    """Return the server's certificate, once it is the one that the token was made with.

    RACE: what answers the call later may be another server; the call trusts this certificate only.
    """
    process = await asyncio.create_subprocess_exec(
        *fetch_line(host, port, 60.0),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=fetch_environment(),
    )
    try:
        output, _ = await process.communicate(key.key_pem + key.certificate_pem)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise PairingError(f"the certificate of {address} could not be fetched: see the message above; try again")
    found = json.loads(output)
    if found["error"]:
        number = int(found["error"])
        reason = os.strerror(number) if number > 0 else "the connection or its handshake was refused"
        raise _unreachable(address, OSError(number, reason))
    pem = found["certificate"].encode()
    if not pem or fingerprint_of(pem) != fingerprint:
        shown = fingerprint_of(pem)[:16] if pem else "nothing"
        raise PairingError(
            f"another server answered at {address}: its certificate is {shown}…, the "
            f"token was made with {fingerprint[:16]}…; check the address, and that nobody is in between"
        )
    if not found["accepted"]:
        raise _token_refused(address)
    return check_node_certificate(pem)


async def _call_join(
    address: str,
    key: tokens.OneTimeKey,
    certificate: NodeCertificate,
    request: wire.JoinRequest,
    seconds: float,
) -> wire.JoinAnswer:
    async with open_channel(address, key, certificate.pem) as channel:
        # Bytes both ways: wire.py reads and writes the messages.
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            f"/{wire.SERVICE}/{wire.METHOD}", request_serializer=None, response_deserializer=None
        )
        try:
            data = await call(wire.encode_request(request), timeout=max(seconds, 0.001))
        except grpc.aio.AioRpcError as error:
            raise _failed(address, error) from error
    try:
        return wire.decode_answer(data)
    except PeerProtocolError as error:
        raise PairingError(f"{address}: {error}") from error


def _failed(address: str, error: grpc.aio.AioRpcError) -> PairingError | UnreachableError:
    if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        # It may have pinned this node already: a token used up by a lost answer is no harm, only spent.
        return UnreachableError(
            f"the connection to {address} was lost before it answered; "
            "make a new token with `syncer invite` there and join again"
        )
    if error.code() is grpc.StatusCode.UNIMPLEMENTED:
        return PairingError(f"{address} takes no joins; check the address, or update syncer there")
    return PairingError(f"{address} refused the join: {error.details()}")


def _token_refused(address: str) -> PairingError:
    return PairingError(
        f"{address} does not accept the token: it has expired or is no longer known there; "
        "make a new one with `syncer invite` there"
    )


def _unreachable(address: str, error: OSError) -> UnreachableError:
    why = error.strerror or str(error) or type(error).__name__
    return UnreachableError(f"{address} cannot be reached ({why}); check the address, and that syncer runs there")


def _unanswered(address: str, timeout: float) -> UnreachableError:
    return UnreachableError(
        f"{address} did not answer within {timeout:g} s; check the address, and that syncer runs there"
    )
