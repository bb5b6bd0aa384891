"""Nodes for the tests of trust: their state and identity, and what one serves."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from syncer.state.peers import Peer
from syncer.state.store import StateStore
from syncer.trust import identity as identities
from syncer.trust.identity import Identity
from syncer.trust.tls import KeyHolder, open_channel


@dataclass
class Node:
    name: str
    directory: Path
    store: StateStore
    identity: Identity

    def as_peer(self) -> Peer:
        identity = self.identity
        return Peer(identity.node_id, self.name, identity.certificate_pem, identity.fingerprint, 1.0)


@dataclass
class Clock:
    """A clock that stands where a test puts it."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Server:
    node: Node
    address: str
    clock: Clock
    joined: list[Peer] = field(default_factory=list)

    async def whoami(self, holder: KeyHolder) -> str:
        """Call a guarded method; returns the name under which the caller is pinned."""
        async with open_channel(self.address, holder, self.node.identity.certificate_pem) as channel:
            return await call_whoami(channel)


async def call_whoami(channel: grpc.aio.Channel) -> str:
    call: Any = channel.unary_unary("/test.Guarded/WhoAmI", None, None)
    answer: bytes = await call(b"", timeout=60)
    return answer.decode()


def trailer_of(error: grpc.aio.AioRpcError) -> dict[str, bytes]:
    # The stubs take it for a sequence of other objects than it is.
    metadata: Any = error.trailing_metadata()
    return dict(metadata)


def make_node(directory: Path, name: str) -> Node:
    store = StateStore.open(directory, create=True)
    return Node(name, directory, store, identities.create(directory, store.node_id, name))


def signed_by(
    signer: ec.EllipticCurvePrivateKey,
    signer_name: str,
    key: ec.EllipticCurvePrivateKey,
    name: str,
    host: str,
    *,
    may_sign: bool = False,
) -> bytes:
    """A certificate of `key` that `signer` signed, as syncer itself never makes one."""
    usage = [True, False, False, False, False, may_sign, False, False, False]
    start = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)

    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    return (
        x509.CertificateBuilder(named(signer_name), named(name), key.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=may_sign, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(*usage), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
