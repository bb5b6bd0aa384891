from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest

from syncer.errors import ConfigurationError, PairingError, UnreachableError
from syncer.state.cursors import TargetRecord, read_target
from syncer.state.invitations import WRONG_ATTEMPTS_MAX, invitations
from syncer.state.peers import peers
from syncer.state.rules import rules_of
from syncer.substitution.rules import Rule, RuleSet
from syncer.trust import token as tokens
from syncer.trust import wire
from syncer.trust.pairing import create_invitation, join, split_address
from syncer.trust.tls import open_channel
from tests.unit.trust.nodes import Clock, Node, Server, make_node, trailer_of

pytestmark = pytest.mark.asyncio


def invite(server: Server, ttl: float = 600.0) -> str:
    token, expires_at = create_invitation(server.node.store, server.node.identity, ttl, clock=server.clock)
    assert expires_at == server.clock.now + ttl
    return token


async def join_as(server: Server, node: Node, token: str) -> Any:
    return await join(server.address, token, node.identity, node.store, node.name, 5.0)


def request_of(node: Node, token: str, **changes: Any) -> wire.JoinRequest:
    parsed = tokens.parse(token)
    identity = node.identity
    request = wire.JoinRequest(
        parsed.invitation_id, parsed.secret, identity.node_id, node.name, identity.certificate_pem
    )
    return dataclasses.replace(request, **changes)


@contextlib.asynccontextmanager
async def raw_join(server: Server, token: str) -> AsyncIterator[Any]:
    """The bare call, over the invitation's key: what a peer that keeps to no rules could send."""
    key = tokens.derive_key(tokens.parse(token))
    async with open_channel(server.address, key, server.node.identity.certificate_pem) as channel:
        yield channel.unary_unary("/syncer.v1.Pairing/Join", None, None)


async def refused(call: Any, data: bytes) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(data, timeout=60)
    assert wire.REFUSAL_TRAILER in trailer_of(caught.value)
    return caught.value.code(), str(caught.value.details())


async def test_a_join_pins_both_and_both_can_be_used_at_once(server: Server, production: Node) -> None:
    peer = await join_as(server, production, invite(server))
    assert (peer.node_id, peer.name) == (server.node.identity.node_id, "dr-a")
    assert peers(production.store) == [peer]
    assert [(item.node_id, item.name, item.fingerprint) for item in peers(server.node.store)] == [
        (production.identity.node_id, "prod-a", production.identity.fingerprint)
    ]
    assert server.joined == peers(server.node.store)
    # A new pin counts without a restart.
    assert await server.whoami(production.identity) == "prod-a"


async def test_failover_keeps_the_rules_that_production_will_render_with(server: Server, production: Node) -> None:
    rules = RuleSet.of([Rule("10.0.1.10", "10.0.2.10")])
    token = invite(server)
    await join(server.address, token, production.identity, production.store, production.name, 5.0, rules)
    found = rules_of(server.node.store, production.identity.node_id, "")
    assert found == (rules.hash, rules.encode())


async def test_the_name_of_who_joined_leads_back_to_it_and_to_nobody_else(
    server: Server, production: Node, tmp_path: Any
) -> None:
    await join_as(server, production, invite(server))
    tied = TargetRecord(production.name, production.identity.node_id, production.name)
    assert read_target(server.node.store, production.name) == tied
    # A peer chooses its name itself.
    other = make_node(tmp_path / "other", production.name)
    await join_as(server, other, invite(server))
    assert read_target(server.node.store, production.name) == tied


async def test_rules_that_cannot_be_are_refused_and_the_token_is_still_good(server: Server, production: Node) -> None:
    token = invite(server)
    async with raw_join(server, token) as call:
        code, message = await refused(call, wire.encode_request(request_of(production, token, rules=b"garbage")))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "substitution rules" in message
    await join_as(server, production, token)


async def test_pasted_line_breaks_do_not_matter(server: Server, production: Node) -> None:
    token = invite(server)
    await join_as(server, production, f" {token[:40]}\n  {token[40:]}\n")
    assert len(peers(server.node.store)) == 1


async def test_a_token_is_worth_one_join(
    server: Server, production: Node, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    token = invite(server)
    await join_as(server, production, token)
    thief = make_node(tmp_path / "thief", "thief")
    with contextlib.closing(thief.store), caplog.at_level(logging.WARNING):
        for _ in range(3):
            with pytest.raises(PairingError, match="has been used already"):
                await join_as(server, thief, token)
        assert peers(thief.store) == []
    assert [peer.name for peer in peers(server.node.store)] == ["prod-a"]
    assert caplog.text.count("refused a join") == 1
    assert token not in caplog.text
    assert tokens.parse(token).secret.hex() not in caplog.text


async def test_of_two_joins_at_once_one_wins(server: Server, production: Node) -> None:
    token = invite(server)
    results = await asyncio.gather(*(join_as(server, production, token) for _ in range(4)), return_exceptions=True)
    assert sum(not isinstance(result, Exception) for result in results) == 1
    assert all(isinstance(result, PairingError) for result in results if isinstance(result, Exception))


async def test_an_expired_token_does_not_even_get_through_the_handshake(server: Server, production: Node) -> None:
    token = invite(server, ttl=60.0)
    server.clock.now += 61
    with pytest.raises(PairingError, match="expired"):
        await join_as(server, production, token)
    assert peers(server.node.store) == peers(production.store) == []


async def test_a_token_that_expires_during_the_join_is_refused(server: Server, production: Node) -> None:
    token = invite(server, ttl=60.0)
    async with raw_join(server, token) as call:
        # Any refused call opens the connection while the invitation is open.
        await refused(call, b"\xff")
        server.clock.now += 61
        code, message = await refused(call, wire.encode_request(request_of(production, token)))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert "expired" in message
    assert peers(server.node.store) == []


async def test_nobody_gets_in_without_invitation_or_peer(server: Server, production: Node) -> None:
    token = invite(server)
    with server.node.store.transaction() as writer:
        writer.execute("DELETE FROM invitation")
    with pytest.raises(PairingError, match="no longer known"):
        await join_as(server, production, token)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.whoami(production.identity)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_wrong_secrets_are_counted_and_close_the_invitation(server: Server, production: Node) -> None:
    token = invite(server)
    wrong = wire.encode_request(request_of(production, token, secret=bytes(32)))
    right = wire.encode_request(request_of(production, token))
    async with raw_join(server, token) as call:
        for _ in range(WRONG_ATTEMPTS_MAX):
            code, message = await refused(call, wrong)
            assert code is grpc.StatusCode.PERMISSION_DENIED
            assert "secret is wrong" in message
        assert "too many wrong attempts" in (await refused(call, right))[1]
    assert peers(server.node.store) == []


async def test_a_wrong_secret_does_not_use_the_token_up(server: Server, production: Node) -> None:
    token = invite(server)
    async with raw_join(server, token) as call:
        await refused(call, wire.encode_request(request_of(production, token, secret=bytes(32))))
    await join_as(server, production, token)
    assert len(peers(server.node.store)) == 1


async def test_the_key_of_one_invitation_is_no_good_for_another(server: Server, production: Node) -> None:
    mine, other = invite(server), invite(server)
    async with raw_join(server, mine) as call:
        code, message = await refused(call, wire.encode_request(request_of(production, other)))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert "not known" in message
    assert [item.wrong_attempts for item in invitations(server.node.store, now=server.clock.now)] == [0, 0]


async def test_a_peer_cannot_join_with_its_own_key(server: Server, production: Node, tmp_path: Any) -> None:
    await join_as(server, production, invite(server))
    token = invite(server)
    pem = server.node.identity.certificate_pem
    async with open_channel(server.address, production.identity, pem) as channel:
        call: Any = channel.unary_unary("/syncer.v1.Pairing/Join", None, None)
        code, _ = await refused(call, wire.encode_request(request_of(production, token)))
    assert code is grpc.StatusCode.PERMISSION_DENIED


async def test_the_invitation_key_may_call_nothing_but_join(server: Server) -> None:
    key = tokens.derive_key(tokens.parse(invite(server)))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.whoami(key)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("data", [b"\xff\xff", b"", b"\x08\x01", b"x" * 10_000])
async def test_garbage_is_refused_and_logged_once(
    server: Server, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with raw_join(server, invite(server)) as call:
        for _ in range(3):
            code, _ = await refused(call, data)
            assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize("name", ["", "x" * 65, "a\nb", "a\x1b[31m"])
async def test_a_name_that_would_spoil_a_terminal_is_refused(server: Server, production: Node, name: str) -> None:
    token = invite(server)
    async with raw_join(server, token) as call:
        code, _ = await refused(call, wire.encode_request(request_of(production, token, node_name=name)))
    assert code is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_certificate_of_another_node_is_refused(server: Server, production: Node, tmp_path: Any) -> None:
    token = invite(server)
    other = make_node(tmp_path / "other", "other")
    other.store.close()
    foreign = request_of(production, token, certificate=other.identity.certificate_pem)
    own = request_of(server.node, token)
    async with raw_join(server, token) as call:
        assert "another node" in (await refused(call, wire.encode_request(foreign)))[1]
        assert "same identity" in (await refused(call, wire.encode_request(own)))[1]
    assert peers(server.node.store) == []
    await join_as(server, production, token)


async def test_only_the_first_certificate_that_is_sent_is_pinned(
    server: Server, production: Node, tmp_path: Any
) -> None:
    token = invite(server)
    other = make_node(tmp_path / "other", "other")
    other.store.close()
    both = production.identity.certificate_pem + other.identity.certificate_pem
    async with raw_join(server, token) as call:
        await call(wire.encode_request(request_of(production, token, certificate=both)), timeout=60)
    assert peers(server.node.store)[0].certificate_pem == production.identity.certificate_pem
    with pytest.raises(grpc.aio.AioRpcError):
        await server.whoami(other.identity)


async def test_another_server_at_the_address_is_found_out(server: Server, production: Node, tmp_path: Any) -> None:
    real = make_node(tmp_path / "real", "real")
    with contextlib.closing(real.store):
        token, _ = create_invitation(real.store, real.identity, 600.0, clock=Clock())
    with pytest.raises(PairingError, match="another server answered"):
        await join_as(server, production, token)
    assert peers(production.store) == []


async def test_joining_oneself_is_refused(server: Server) -> None:
    with pytest.raises(PairingError, match="this node itself"):
        await join_as(server, server.node, invite(server))


async def test_a_node_that_joins_again_replaces_its_pin(server: Server, production: Node) -> None:
    await join_as(server, production, invite(server))
    await join_as(server, production, invite(server))
    assert len(peers(server.node.store)) == len(peers(production.store)) == 1
    assert await server.whoami(production.identity) == "prod-a"


async def test_nobody_at_the_address(production: Node, server: Server, unused_tcp_port: int) -> None:
    with pytest.raises(UnreachableError, match="cannot be reached"):
        await join(
            f"127.0.0.1:{unused_tcp_port}",
            invite(server),
            production.identity,
            production.store,
            "prod-a",
            5.0,
        )


async def test_a_server_that_says_nothing_costs_no_more_than_the_timeout(production: Node, server: Server) -> None:
    silent = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await silent.wait()
        writer.close()

    listener = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with listener:
        host, port = listener.sockets[0].getsockname()
        with pytest.raises(UnreachableError, match="did not answer within"):
            await join(f"{host}:{port}", invite(server), production.identity, production.store, "prod-a", 0.3)
        silent.set()


async def test_a_server_that_speaks_no_tls(production: Node, server: Server) -> None:
    async def chat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ESMTP\r\n")
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(chat, "127.0.0.1", 0)
    async with listener:
        host, port = listener.sockets[0].getsockname()
        with pytest.raises(UnreachableError, match="check the address"):
            await join(f"{host}:{port}", invite(server), production.identity, production.store, "prod-a", 5.0)


@pytest.mark.parametrize(
    ("address", "expected"), [("10.0.2.10:7443", ("10.0.2.10", 7443)), ("[fd00::1]:1", ("fd00::1", 1))]
)
async def test_addresses(address: str, expected: tuple[str, int]) -> None:
    assert split_address(address) == expected


@pytest.mark.parametrize("address", ["10.0.2.10", "host:", ":1", "fd00::1:7443", "h:0", "h:65536", "h:x", "h:²"])
async def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(ConfigurationError, match="no address with a port"):
        split_address(address)


async def test_a_name_that_no_peer_would_take_is_said_before_the_token_is_spent(
    server: Server, production: Node
) -> None:
    token = invite(server)
    with pytest.raises(ConfigurationError, match=r"node\.name is"):
        await join(server.address, token, production.identity, production.store, "x\n", 5.0)
    await join_as(server, production, token)
