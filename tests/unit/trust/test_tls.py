from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import grpc.aio
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from syncer.errors import Reason, RefusedError
from syncer.state.peers import Peer, add_peer, remove_peer
from syncer.trust.certificates import fingerprint_of, host_of, key_pem_of
from syncer.trust.identity import Identity, create, load
from syncer.trust.server import Guard, RefusalLog
from syncer.trust.tls import caller_of, open_channel, server_credentials, server_options
from syncer.trust.wire import REFUSAL_TRAILER
from tests.unit.trust.nodes import Node, Server, call_whoami, make_node, signed_by, trailer_of


def key_of(identity: Identity) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(identity.key_pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def holder(node_id: str, key: ec.EllipticCurvePrivateKey, pem: bytes) -> Identity:
    return Identity(node_id, pem, key_pem_of(key), fingerprint_of(pem))


async def refusal_of(server: Server, caller: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.whoami(caller)
    return caught.value.code()


@pytest.mark.asyncio
async def test_a_client_that_is_not_pinned_fails_in_the_handshake(
    server: Server, production: Node, tmp_path: Path
) -> None:
    add_peer(server.node.store, production.as_peer())
    stranger = make_node(tmp_path / "stranger", "prod-a")
    stranger.store.close()
    assert await refusal_of(server, stranger.identity) is grpc.StatusCode.UNAVAILABLE
    assert await server.whoami(production.identity) == "prod-a"


@pytest.mark.asyncio
async def test_a_leaf_signed_by_a_pinned_certificate_is_not_that_peer(server: Server, production: Node) -> None:
    add_peer(server.node.store, production.as_peer())
    key = ec.generate_private_key(ec.SECP256R1())
    host = host_of(production.identity.node_id)
    leaf = signed_by(key_of(production.identity), "prod-a", key, "leaf", host)
    assert await refusal_of(server, holder("x", key, leaf)) is grpc.StatusCode.UNAVAILABLE


@pytest.mark.asyncio
async def test_a_leaf_of_a_pinned_authority_gets_through_tls_and_no_further(
    server: Server, production: Node, caplog: pytest.LogCaptureFixture
) -> None:
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    host = host_of(production.identity.node_id)
    root = signed_by(authority, "ca", authority, "ca", host, may_sign=True)
    add_peer(server.node.store, Peer(production.identity.node_id, "ca", root, fingerprint_of(root), 1.0))
    leaf = signed_by(authority, "ca", key, "leaf", host)
    for _ in range(3):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await server.whoami(holder("x", key, leaf))
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert REFUSAL_TRAILER in trailer_of(caught.value)
    # Refused three times, said once.
    assert caplog.text.count("refused a call") == 1
    assert await server.whoami(holder("x", authority, root)) == "ca"


@pytest.mark.asyncio
async def test_a_removed_pin_is_refused_by_the_next_call_of_an_open_connection(
    server: Server, production: Node
) -> None:
    add_peer(server.node.store, production.as_peer())
    pem = server.node.identity.certificate_pem
    async with open_channel(server.address, production.identity, pem) as channel:
        assert await call_whoami(channel) == "prod-a"
        assert remove_peer(server.node.store, production.identity.node_id)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call_whoami(channel)
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
        add_peer(server.node.store, production.as_peer())
        assert await call_whoami(channel) == "prod-a"


@pytest.mark.asyncio
async def test_two_pins_of_one_name_both_work(server: Server, production: Node, tmp_path: Path) -> None:
    # As while a node gets a new key: both certificates have the same subject.
    twin = make_node(tmp_path / "twin", production.name)
    twin.store.close()
    add_peer(server.node.store, production.as_peer())
    add_peer(server.node.store, twin.as_peer())
    assert await server.whoami(production.identity) == await server.whoami(twin.identity) == "prod-a"


@pytest.mark.asyncio
async def test_a_client_trusts_the_pinned_server_only(server: Server, production: Node, tmp_path: Path) -> None:
    add_peer(server.node.store, production.as_peer())
    other = make_node(tmp_path / "other", "dr-a")
    other.store.close()
    # The very same node id, but another key: what a thief of the address could show.
    pem = create(make_directory(tmp_path / "fake"), server.node.identity.node_id, "dr-a").certificate_pem
    for wrong in (pem, other.identity.certificate_pem):
        async with open_channel(server.address, production.identity, wrong) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call_whoami(channel)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def make_directory(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.asyncio
async def test_where_the_pins_cannot_be_read_nobody_gets_in(
    failover: Node, production: Node, caplog: pytest.LogCaptureFixture
) -> None:
    answers: list[Any] = [[production.identity.certificate_pem], RuntimeError("the disk is gone"), []]

    def trusted() -> list[bytes]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        result: list[bytes] = answer
        return result

    async def who_am_i(request: bytes, context: Any) -> bytes:
        return b"anybody"

    grpc_server = grpc.aio.server(options=server_options())
    grpc_server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "test.Guarded", {"WhoAmI": grpc.unary_unary_rpc_method_handler(who_am_i)}
            ),
        )
    )
    port = grpc_server.add_secure_port("127.0.0.1:0", server_credentials(failover.identity, trusted))
    await grpc_server.start()
    outcomes = []
    for _ in range(3):
        pem = failover.identity.certificate_pem
        async with open_channel(f"127.0.0.1:{port}", production.identity, pem) as channel:
            call: Any = channel.unary_unary("/test.Guarded/WhoAmI", None, None)
            try:
                outcomes.append(await call(b"", timeout=60))
            except grpc.aio.AioRpcError as error:
                outcomes.append(error.code())
    await grpc_server.stop(None)
    unavailable = grpc.StatusCode.UNAVAILABLE
    assert outcomes == [b"anybody", unavailable, unavailable]
    assert "the disk is gone" in caplog.text


SERVE = """
import sys
from pathlib import Path
from concurrent import futures
import syncer.trust
import grpc
from syncer.trust.identity import load
from syncer.trust.tls import server_credentials, server_options
identity = load(Path(sys.argv[1]))
server = grpc.server(futures.ThreadPoolExecutor(1), options=server_options())
credentials = server_credentials(identity, lambda: [identity.certificate_pem])
print(server.add_secure_port("127.0.0.1:0", credentials), flush=True)
server.start()
sys.stdin.read()
"""


def handshake(port: int, directory: Path, version: ssl.TLSVersion) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    context.load_cert_chain(directory / "identity.crt", directory / "identity.key")

    with (
        socket.create_connection(("127.0.0.1", port), timeout=60) as plain,
        context.wrap_socket(plain) as secure,
    ):
        return secure.recv(1)


def test_tls_1_2_is_refused(tmp_path: Path) -> None:
    # In a process of its own: gRPC reads its ciphers once, when it is imported.
    create(tmp_path, "5f8b1a3e-6a1c-4b0e-9d3f-0c7a2e4b6d80", "dr-a")
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            assert handshake(port, tmp_path, ssl.TLSVersion.TLSv1_3)
            with pytest.raises(OSError, match=r"reset|alert|EOF"):
                handshake(port, tmp_path, ssl.TLSVersion.TLSv1_2)
        finally:
            process.communicate(b"", timeout=60)


def context_with(pem: bytes | None, version: bytes | None) -> Any:
    found: dict[str, list[bytes]] = {}
    if pem is not None:
        found["x509_pem_cert"] = [pem]
    if version is not None:
        found["ssl_tls_version"] = [version]
    return SimpleNamespace(auth_context=lambda: found)


@pytest.mark.parametrize("version", [b"TLSv1.2", b"", None])
def test_a_call_below_tls_1_3_is_refused_even_with_a_pinned_certificate(tmp_path: Path, version: bytes | None) -> None:
    identity = create(tmp_path, "5f8b1a3e-6a1c-4b0e-9d3f-0c7a2e4b6d80", "dr-a")
    assert caller_of(context_with(identity.certificate_pem, b"TLSv1.3")).fingerprint == identity.fingerprint
    with pytest.raises(RefusedError, match=r"instead of TLS 1\.3") as caught:
        caller_of(context_with(identity.certificate_pem, version))
    assert caught.value.reason is Reason.NOT_PAIRED


@pytest.mark.parametrize("pem", [None, b"", b"garbage", b"x" * 20_000])
def test_a_call_without_a_certificate_is_refused(pem: bytes | None) -> None:
    with pytest.raises(RefusedError, match=r"no certificate|no node's"):
        caller_of(context_with(pem, b"TLSv1.3"))


@pytest.mark.asyncio
async def test_a_state_that_fails_refuses_the_call(server: Server, production: Node) -> None:
    add_peer(server.node.store, production.as_peer())
    pem = server.node.identity.certificate_pem
    async with open_channel(server.address, production.identity, pem) as channel:
        assert await call_whoami(channel) == "prod-a"
        server.node.store.close()
        with pytest.raises(grpc.aio.AioRpcError, match="is closed") as caught:
            await call_whoami(channel)
    assert caught.value.code() is grpc.StatusCode.INTERNAL


@pytest.mark.asyncio
async def test_the_guard_refuses_what_has_no_tls_at_all(failover: Node) -> None:
    guard = Guard(failover.store)

    async def who_am_i(request: bytes, context: Any) -> bytes:
        return (await guard.authorise(context)).name.encode()

    grpc_server = grpc.aio.server()
    grpc_server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "test.Guarded", {"WhoAmI": grpc.unary_unary_rpc_method_handler(who_am_i)}
            ),
        )
    )
    port = grpc_server.add_insecure_port("127.0.0.1:0")
    await grpc_server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call_whoami(channel)
    await grpc_server.stop(None)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_two_servers_do_not_share_a_port(failover: Node) -> None:
    async def serve_twice() -> None:
        servers = [grpc.aio.server(options=server_options()) for _ in range(2)]
        credentials = server_credentials(failover.identity, list)
        port = servers[0].add_secure_port("127.0.0.1:0", credentials)
        with pytest.raises(RuntimeError, match=r"[Ff]ailed to bind"):
            servers[1].add_secure_port(f"127.0.0.1:{port}", credentials)
        for server in servers:
            await server.stop(None)

    asyncio.run(serve_twice())


def test_remembered_refusals_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    refusals = RefusalLog()
    with caplog.at_level(logging.WARNING):
        for number in range(RefusalLog.KEYS_MAX + 1):
            assert refusals.warn(str(number), "refused %d", number)
        assert not refusals.warn(str(RefusalLog.KEYS_MAX), "again")
        assert refusals.warn("0", "forgotten by then")
    assert len(refusals._said) == 2


def test_the_identity_a_node_loads_is_the_one_it_made(failover: Node) -> None:
    assert load(failover.directory, failover.store.node_id) == failover.identity
