"""Mutual TLS 1.3 with pinned certificates over gRPC: credentials, channels, and who is calling."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

import grpc
import grpc.aio

from syncer.errors import PairingError, Reason, RefusedError
from syncer.trust.certificates import check_node_certificate, fingerprint_of, host_of, public_key_of

Options = tuple[tuple[str, Any], ...]

MESSAGE_MAX = 4 * 1024 * 1024
"""Bytes of the largest message that is taken; syncer sends at most 1 MiB."""
PING_TIMEOUT = 5.0
"""Seconds after which an unanswered ping ends a connection; less kills slow but healthy transfers."""
PING_EVERY = 2.0
"""Seconds between pings on a quiet connection."""
LOOKAHEAD = 4 * 1024 * 1024
"""Bytes that a sender may be ahead of a slow reader: bounds memory, and over a long link speed
(4 MiB at a round trip of 50 ms: 80 MB/s)."""
HANDSHAKE_TIMEOUT = 10.0
"""Seconds; whoever connects and says nothing is cut off."""

_log = logging.getLogger(__name__)


class KeyHolder(Protocol):
    """A key with its certificate: an Identity, or an invitation's one-time key."""

    @property
    def key_pem(self) -> bytes:
        """The private key."""

    @property
    def certificate_pem(self) -> bytes:
        """What is shown to the peer."""


class Caller(NamedTuple):
    """Who is at the other end of a call, by certificate; names in it prove nothing."""

    fingerprint: str
    public_key: str
    """SHA-256 of the SubjectPublicKeyInfo, hexadecimal."""


def server_credentials(holder: KeyHolder, trusted: Callable[[], Iterable[bytes]]) -> grpc.ServerCredentials:
    """Return credentials that accept only clients whose certificate `trusted` returns (PEM).

    It is called at each handshake, on a thread of gRPC. Where it returns nothing or fails, nobody is let in.
    """
    pair = [(holder.key_pem, holder.certificate_pem)]
    # Without root certificates every client is refused.
    nobody = grpc.ssl_server_certificate_configuration(pair)
    in_force = b""

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal in_force
        try:
            roots = b"".join(trusted())
        except Exception:  # noqa: BLE001  # on any error gRPC would go on with the pins of before
            _log.exception("the pinned certificates cannot be read, so this connection is refused")
            roots = b""
        # RACE: gRPC frees what it replaces, also where the handshake of another connection uses it at that moment,
        # and the process dies of that. So it is replaced only where it is another.
        if roots == in_force:
            return None
        in_force = roots
        return grpc.ssl_server_certificate_configuration(pair, roots) if roots else nobody

    return grpc.dynamic_ssl_server_credentials(
        nobody,
        fetch,  # type: ignore[arg-type]  # gRPC documents None as "no change", its stubs do not know it
        require_client_authentication=True,
    )


def client_credentials(holder: KeyHolder, peer_certificate_pem: bytes) -> grpc.ChannelCredentials:
    """Return credentials that trust exactly one server certificate."""
    return grpc.ssl_channel_credentials(peer_certificate_pem, holder.key_pem, holder.certificate_pem)


def server_options(ping_timeout: float = PING_TIMEOUT) -> Options:
    """Return the options of the node's gRPC server; `ping_timeout` in seconds."""
    return (
        *_common_options(ping_timeout),
        ("grpc.http2.min_ping_interval_without_data_ms", 500),
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.server_handshake_timeout_ms", int(HANDSHAKE_TIMEOUT * 1000)),
        # Two agents on one port must fail, not share its connections.
        ("grpc.so_reuseport", 0),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", LOOKAHEAD),
    )


def channel_options(peer_certificate_pem: bytes, ping_timeout: float = PING_TIMEOUT) -> Options:
    """Return the options of a channel to the node with this certificate; `ping_timeout` in seconds."""
    return (
        *_common_options(ping_timeout),
        ("grpc.ssl_target_name_override", host_of(check_node_certificate(peer_certificate_pem).node_id)),
        # Connections are retried above, where they are counted and shown.
        ("grpc.enable_retries", 0),
        # A closed channel must be a closed connection, or an old handshake's rights would live on.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 2000),
    )


def open_channel(
    address: str, holder: KeyHolder, peer_certificate_pem: bytes, *, ping_timeout: float = PING_TIMEOUT
) -> grpc.aio.Channel:
    """Return a channel to `address` (host:port) that speaks only to the owner of the certificate.

    It connects at the first call. Raises PairingError where the certificate is not a node's.
    """
    credentials = client_credentials(holder, peer_certificate_pem)
    return grpc.aio.secure_channel(address, credentials, channel_options(peer_certificate_pem, ping_timeout))


def caller_of(context: grpc.aio.ServicerContext[Any, Any]) -> Caller:
    """Return who calls. Raises RefusedError (NOT_PAIRED) without a certificate or below TLS 1.3."""
    found = context.auth_context()
    version = _first(found.get("ssl_tls_version", ()))
    if version != b"TLSv1.3":
        shown = version.decode("ascii", "replace") or "no TLS"
        raise RefusedError(f"the connection uses {shown} instead of TLS 1.3; update the peer", Reason.NOT_PAIRED)
    pem = _first(found.get("x509_pem_cert", ()))
    if not pem:
        raise RefusedError("the caller shows no certificate; pair it with `syncer invite`", Reason.NOT_PAIRED)
    try:
        return Caller(fingerprint_of(pem), public_key_of(pem))
    except PairingError as error:
        raise RefusedError(f"the caller's certificate is no node's: {error}", Reason.NOT_PAIRED) from error


def _first(values: Iterable[bytes]) -> bytes:
    return next(iter(values), b"")


def _common_options(ping_timeout: float) -> Options:
    return (
        # The ping timeout decides; the keepalive timeout of gRPC's core counts only where it is shorter.
        ("grpc.http2.ping_timeout_ms", int(ping_timeout * 1000)),
        ("grpc.keepalive_timeout_ms", int(ping_timeout * 1000)),
        ("grpc.keepalive_time_ms", int(PING_EVERY * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.max_receive_message_length", MESSAGE_MAX),
        ("grpc.max_send_message_length", MESSAGE_MAX),
    )
