"""Who may call this node: the guard of every call, and the call by which a node joins."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, NoReturn

import grpc
import grpc.aio

from syncer.errors import PairingError, PeerProtocolError, Reason, RefusedError, SyncerError
from syncer.state.cursors import tie_target
from syncer.state.introductions import Retired, doors, retired_by_fingerprint, retired_nodes
from syncer.state.invitations import invitations, redeem
from syncer.state.peers import Peer, peer_by_fingerprint, peers
from syncer.state.rules import record_rules
from syncer.state.store import StateStore
from syncer.state.term import read_term
from syncer.substitution.rules import EMPTY, RulesError, RuleSet
from syncer.trust import wire
from syncer.trust.believing import require_not_retired
from syncer.trust.certificates import check_node_certificate
from syncer.trust.identity import Identity
from syncer.trust.tls import caller_of

Context = grpc.aio.ServicerContext[Any, Any]
Clock = Callable[[], float]

_log = logging.getLogger(__name__)


def trusted_certificates(store: StateStore, clock: Clock = time.time) -> list[bytes]:
    """Return the certificates (PEM) that a TLS handshake accepts: of pinned nodes and live invitations.

    For `tls.server_credentials`. The port that takes joins is open only while an invitation is: where
    there is neither a pinned node nor an invitation, this is empty and no handshake succeeds.
    An invitation that was used stays in until it expires, so that a stolen token is refused by
    `Join`, with a reason and a line in the log, instead of failing in silence. So do retired nodes, for good. Whoever
    has the key of a door may shake hands, and call nothing but `Show`.
    """
    pinned = [peer.certificate_pem for peer in peers(store)]
    # A retired node is told so by the guard, in words: a handshake that fails says nothing.
    retired = [item.certificate_pem for item in retired_nodes(store) if item.node_id != store.node_id]
    shown = [door.certificate_pem for door in doors(store)]
    return [*pinned, *retired, *shown, *(item.certificate_pem for item in invitations(store, now=clock()))]


class Guard:
    """Lets calls through that come from a pinned node. Every service but Pairing asks it first."""

    def __init__(self, store: StateStore, on_retired: Callable[[Retired], None] = lambda retired: None) -> None:
        """Ask `store`; `on_retired` is told on the event loop of each retired node that calls."""
        self._store = store
        self._on_retired = on_retired
        self._refusals = RefusalLog()

    async def authorise(self, context: Context) -> Peer:
        """Return the pinned node that calls; end the call (PERMISSION_DENIED, NOT_PAIRED) for any other.

        To be asked for each call: a connection outlives the removal of its pin.
        """
        try:
            caller = caller_of(context)
            # Not on the event loop: another thread may hold the store for a large commit.
            peer = await asyncio.to_thread(peer_by_fingerprint, self._store, caller.fingerprint)
            retired = None
            if peer is None:
                retired = await asyncio.to_thread(retired_by_fingerprint, self._store, caller.fingerprint)
        except RefusedError as error:
            await self._refuse(context, str(error), "")
        except SyncerError as error:
            # The state failed, not the caller: it may try again.
            _log.error("a call cannot be checked: %s", error)
            await refuse(context, grpc.StatusCode.INTERNAL, Reason.INTERNAL, str(error))
        if retired is not None:
            await self._refuse_retired(context, retired)
        if peer is None:
            await self._refuse(
                context,
                "the caller's certificate is not pinned here; pair both nodes with `syncer invite`",
                caller.fingerprint,
            )
        self._refusals.forget(caller.fingerprint)
        return peer

    async def _refuse_retired(self, context: Context, retired: Retired) -> NoReturn:
        self._refusals.warn(retired.fingerprint, "refused a call from %s: %s", context.peer(), retired.sentence)
        self._on_retired(retired)
        # With the term, so that one which believes to be production is fenced by it.
        term = await asyncio.to_thread(read_term, self._store)
        trailer = wire.refusal_trailer(Reason.RETIRED, retired.sentence, term)
        await context.abort(grpc.StatusCode.PERMISSION_DENIED, retired.sentence, trailer)
        raise AssertionError("abort returned")

    async def _refuse(self, context: Context, message: str, fingerprint: str) -> NoReturn:
        self._refusals.warn(fingerprint, "refused a call from %s (%s): %s", context.peer(), fingerprint, message)
        await refuse(context, grpc.StatusCode.PERMISSION_DENIED, Reason.NOT_PAIRED, message)


class RefusalLog:
    """Logs each refusal once: a peer that tries again every second must not fill the log."""

    KEYS_MAX = 1000
    """Remembered refusals; past it all are forgotten, so memory stays bounded."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def warn(self, key: str, message: str, *arguments: object) -> bool:
        """Log a warning unless one with this key was logged; returns whether it was."""
        if key in self._said:
            return False
        if len(self._said) >= self.KEYS_MAX:
            self._said.clear()
        self._said.add(key)
        _log.warning(message, *arguments)
        return True

    def forget(self, key: str) -> None:
        """Log the next refusal with this key again."""
        self._said.discard(key)


async def refuse(context: Context, code: grpc.StatusCode, reason: Reason, message: str) -> NoReturn:
    """End a call with a status, one sentence, and the typed reason in the trailer."""
    await context.abort(code, message, wire.refusal_trailer(reason, message))
    raise AssertionError("abort returned")


def pairing_handlers(
    store: StateStore,
    identity: Identity,
    node_name: str,
    *,
    on_joined: Callable[[Peer], None] | None = None,
    on_refused: Callable[[str, str], None] | None = None,
    clock: Clock = time.time,
) -> grpc.GenericRpcHandler:
    """Return the service syncer.v1.Pairing for the node's grpc.aio server.

    That server must use `tls.server_credentials` with `trusted_certificates`. `on_joined` is called on
    the event loop once a node was pinned, `on_refused` with address and reason where none was.
    """
    service = _Pairing(store, identity, node_name, on_joined, on_refused, clock)
    # Requests arrive as bytes: gRPC would answer one that cannot be parsed with a traceback in the log.
    return grpc.method_handlers_generic_handler(
        wire.SERVICE, {wire.METHOD: grpc.unary_unary_rpc_method_handler(service.join)}
    )


class _Pairing:
    def __init__(
        self,
        store: StateStore,
        identity: Identity,
        node_name: str,
        on_joined: Callable[[Peer], None] | None,
        on_refused: Callable[[str, str], None] | None,
        clock: Clock,
    ) -> None:
        self._store = store
        self._identity = identity
        self._node_name = node_name
        self._on_joined = on_joined
        self._on_refused = on_refused
        self._clock = clock
        self._refusals = RefusalLog()

    async def join(self, data: bytes, context: Context) -> bytes:
        try:
            request = wire.decode_request(data)
            caller = caller_of(context)
            peer = self._peer_of(request)
            await asyncio.to_thread(require_not_retired, self._store, peer.node_id)
            rules = await asyncio.to_thread(_checked_rules, request.rules)
            await asyncio.to_thread(
                redeem,
                self._store,
                request.invitation_id,
                request.secret,
                caller.public_key,
                peer,
                now=self._clock(),
            )
            await asyncio.to_thread(record_rules, self._store, peer.node_id, "", rules.hash, request.rules)
            await asyncio.to_thread(tie_target, self._store, peer.name, peer.node_id)
        except PeerProtocolError as error:
            await self._refuse(context, grpc.StatusCode.INVALID_ARGUMENT, error.reason, error)
        except RefusedError as error:
            await self._refuse(context, grpc.StatusCode.PERMISSION_DENIED, error.reason, error)
        except PairingError as error:
            await self._refuse(context, grpc.StatusCode.PERMISSION_DENIED, Reason.NOT_PAIRED, error)
        except SyncerError as error:
            await self._refuse(context, grpc.StatusCode.INTERNAL, Reason.INTERNAL, error)
        _log.info("pinned node %s (%s), certificate %s", peer.name, peer.node_id, peer.fingerprint)
        if self._on_joined is not None:
            self._on_joined(peer)
        return wire.encode_answer(wire.JoinAnswer(self._identity.node_id, self._node_name))

    def _peer_of(self, request: wire.JoinRequest) -> Peer:
        """Return the node to be pinned. Raises PairingError where it is not who it says."""
        certificate = check_node_certificate(request.certificate)
        if certificate.node_id != request.node_id:
            raise PairingError("the certificate is of another node than the one that joins; run `syncer init` there")
        if certificate.node_id == self._identity.node_id:
            raise PairingError(
                "both nodes have the same identity; one state directory is a copy of the other: "
                "empty that one and run `syncer init` there"
            )
        return Peer(certificate.node_id, request.node_name, certificate.pem, certificate.fingerprint, self._clock())

    async def _refuse(self, context: Context, code: grpc.StatusCode, reason: Reason, error: SyncerError) -> NoReturn:
        # The address without its port, which differs for each connection.
        key = f"{context.peer().rpartition(':')[0]} {error}"
        # Told once, as it is logged: whoever knocks must not be able to fill the journal.
        if self._refusals.warn(key, "refused a join from %s: %s", context.peer(), error) and self._on_refused:
            self._on_refused(context.peer(), str(error))
        await refuse(context, code, reason, str(error))


def _checked_rules(data: bytes) -> RuleSet:
    """Return the rules of a request; proving them takes time, so not on the event loop."""
    try:
        return RuleSet.decode(data) if data else EMPTY
    except RulesError as error:
        raise PeerProtocolError(f"the request to join holds substitution rules that cannot be: {error}") from error
