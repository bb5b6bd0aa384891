"""Hello and Welcome as protobuf and back, checked."""

from __future__ import annotations

from syncer.model import Patterns, Start
from syncer.pb import sync_pb2 as pb
from syncer.replicate import messages as m
from syncer.replicate.checks import checked_addresses, checked_name, checked_path, checked_port, require
from syncer.replicate.wire.values import cursor_in, cursor_out, problems_in, sentence, term_in


def hello_out(hello: m.Hello) -> pb.Hello:
    """Return production's first word as protobuf."""
    return pb.Hello(
        protocol=hello.protocol,
        software=hello.software,
        node_id=hello.node_id,
        node_name=hello.node_name,
        term=pb.Term(counter=hello.term.counter, node_id=hello.term.node_id),
        domain=hello.domain,
        head=cursor_out(hello.head),
        include=hello.patterns.include,
        exclude=hello.patterns.exclude,
        pattern_hash=hello.pattern_hash,
        rule_hash=hello.rule_hash,
        path_of_nodes=hello.path_of_nodes,
        users=hello.users,
        groups=hello.groups,
        start_services=hello.start_services,
        rules=hello.rules,
        addresses=hello.addresses,
        starts=hello.start.number,
        instance=hello.start.instance,
        port=hello.port,
    )


def hello_in(hello: pb.Hello) -> m.Hello:
    """Return production's first word, checked; PeerProtocolError."""
    return m.Hello(
        hello.protocol,
        checked_name(hello.software, "a version"),
        checked_name(hello.node_id, "a node id"),
        checked_name(hello.node_name, "a node name"),
        term_in(hello.term),
        checked_name(hello.domain, "a domain"),
        cursor_in(hello.head),
        Patterns(tuple(hello.include), tuple(hello.exclude)),
        hello.pattern_hash,
        hello.rule_hash,
        tuple(checked_name(node, "a node id") for node in hello.path_of_nodes),
        tuple(checked_name(user, "a user name") for user in hello.users),
        tuple(checked_name(group, "a group name") for group in hello.groups),
        hello.start_services,
        hello.rules,
        checked_addresses(hello.addresses),
        checked_port(hello.port),
        _start_in(hello.starts, hello.instance),
    )


def welcome_out(welcome: m.Welcome) -> pb.Welcome:
    """Return failover's answer as protobuf."""
    return pb.Welcome(
        protocol=welcome.protocol,
        software=welcome.software,
        node_id=welcome.node_id,
        node_name=welcome.node_name,
        term=pb.Term(counter=welcome.term.counter, node_id=welcome.term.node_id),
        cursor=None if welcome.cursor is None else cursor_out(welcome.cursor),
        pattern_hash=welcome.pattern_hash,
        rule_hash=welcome.rule_hash,
        resumable=welcome.resumable,
        problems=[pb.Problem(path=item.path, reason=item.reason) for item in welcome.problems],
        echoes=welcome.echoes,
        limits=welcome.limits,
        kept_local=welcome.kept_local,
        starts=welcome.start.number,
        instance=welcome.start.instance,
    )


def welcome_in(welcome: pb.Welcome) -> m.Welcome:
    """Return failover's answer, checked; PeerProtocolError."""
    return m.Welcome(
        welcome.protocol,
        checked_name(welcome.software, "a version"),
        checked_name(welcome.node_id, "a node id"),
        checked_name(welcome.node_name, "a node name"),
        term_in(welcome.term),
        cursor_in(welcome.cursor) if welcome.HasField("cursor") else None,
        welcome.pattern_hash,
        welcome.rule_hash,
        welcome.resumable,
        problems_in(welcome.problems),
        welcome.echoes,
        tuple(sentence(limit) for limit in welcome.limits),
        tuple(checked_path(path) for path in welcome.kept_local),
        _start_in(welcome.starts, welcome.instance),
    )


def _start_in(number: int, instance: str) -> Start:
    require(number <= 2**62, "a number of starts is too large")
    return Start(number, checked_name(instance, "an instance"))
