"""Messages survive the wire, and what a hostile peer may send does not get past it."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.attributes import LARGEST, encode
from syncer.errors import CommandFailure, PeerProtocolError, Reason
from syncer.model import TERM_COUNTER_MAX, Change, Cursor, Entry, Kind, Patterns, Problem, Start, Term
from syncer.origin import UNDO_LIMIT, Origin
from syncer.pb import sync_pb2 as pb
from syncer.replicate import messages as m
from syncer.replicate import wire

CURSOR = Cursor("index", "run", 7)
ORIGIN = Origin(b"r" * 32, b"s" * 32, 8, b"undo").encode()
FILE = Entry(
    b"d/\xff\xfe",
    Kind.FILE,
    0o4755,
    1,
    2,
    "www",
    "",
    -5,
    9,
    b"d" * 32,
    b"",
    "",
    encode({b"user.a": b"\0"}),
    2**63 - 1,
    ORIGIN,
)
LINK = Entry(b"link", Kind.SYMLINK, 0, 0, 0, "root", "root", 10**18, 0, b"", b"../away")
PART = m.Part(
    3,
    m.Begin(False, CURSOR, CURSOR, b"s", 4, True, True, True, "plan", True),
    (Change(1, b"d/\xff\xfe", FILE), Change(2, b"gone", None), Change(3, b"link", LINK)),
    (m.Content(b"c" * 32, b"data"),),
    True,
)

FROM_PRODUCTION: list[m.FromProduction] = [
    m.Hello(
        1,
        "0.1",
        "id",
        "prod",
        Term(2, "id"),
        "nginx",
        CURSOR,
        Patterns(("**",), ("*.swp",)),
        b"p",
        b"r",
        ("id",),
        rules=b"encoded",
        start=Start(3, "instance"),
        addresses=("10.0.1.10", "prod-a"),
        port=7443,
    ),
    m.Heartbeat(5, 6, 0.5, 7),
    PART,
    m.Part(4, m.Begin(True, None, CURSOR), (), (), False),
    m.Contents(3, (m.Content(b"c" * 32, b"part", 4, True),), True),
    m.Abandon(3, Reason.CONTENT_CHANGED, "changed"),
    m.Goodbye(Reason.SHUTTING_DOWN, "bye"),
]
FROM_FAILOVER: list[m.FromFailover] = [
    m.Welcome(1, "0.1", "id", "dr", Term(0, ""), CURSOR, b"p", b"r", True, (Problem("", b"x", "why"),), 0),
    m.Welcome(1, "0.1", "id", "dr", Term(0, ""), None, b"", b"", False, (), 0),
    m.HeartbeatAnswer(5, 6),
    m.HeartbeatAnswer(0, 6, "gone", 7, True, 8, True, "failed: start failed (no)"),
    m.Welcome(
        1,
        "0.1",
        "id",
        "dr",
        Term(0, ""),
        None,
        b"",
        b"",
        False,
        (),
        0,
        ("no xattrs",),
        (b"d/\xff",),
        Start(2**62, "instance"),
    ),
    m.WantEntries(3),
    m.Want(3, (b"w" * 32,), True),
    m.Ack(3, CURSOR, 2, 10, 0.25, 4, (Problem("", b"x", "why"),)),
    m.Reject(3, Reason.APPROVAL_REQUIRED, "no", m.Approval("id", 1, 2, (m.PlanItem(b"a", "delete", Kind.FILE, 3),))),
    m.Reject(3, Reason.DISK_FULL, "full", None, (b"w" * 32,)),
    m.Reject(3, Reason.CHECK_FAILED, "no", failure=CommandFailure("nginx -t", "1", 0.5, "bad\nline")),
    m.Plan(3, (m.PlanItem(b"a", "replace", Kind.DIRECTORY, 0),), True, "id"),
    m.Goodbye(Reason.INTERNAL, "oops"),
]


@pytest.mark.parametrize("message", FROM_PRODUCTION, ids=lambda message: type(message).__name__)
def test_productions_messages_survive(message: m.FromProduction) -> None:
    assert wire.decode_from_production(wire.encode_from_production(message)) == message


@pytest.mark.parametrize("message", FROM_FAILOVER, ids=lambda message: type(message).__name__)
def test_failovers_messages_survive(message: m.FromFailover) -> None:
    assert wire.decode_from_failover(wire.encode_from_failover(message)) == message


def test_a_refusal_survives_and_an_unreadable_one_is_still_a_refusal() -> None:
    assert wire.parse_refusal(wire.refusal_bytes(Reason.LOOP, "circle")) == (Reason.LOOP, "circle", None)
    stale = (Reason.STALE_TERM, "a lower term", Term(3, "n"))
    assert wire.parse_refusal(wire.refusal_bytes(*stale)) == stale
    # A term that is none does not make a refusal less of one.
    assert wire.parse_refusal(wire.refusal_bytes(Reason.STALE_TERM, "no", Term(TERM_COUNTER_MAX + 1, "n"))) == (
        *stale[:1],
        "no",
        None,
    )
    assert wire.parse_refusal(b"\xff\xff\xff")[0] is Reason.UNSPECIFIED


def test_the_enums_of_model_and_wire_agree() -> None:
    assert {reason.name: reason.value for reason in Reason} == {
        name.removeprefix("REASON_"): number for name, number in pb.Reason.items()
    }
    assert {f"KIND_{kind.name}": int(kind) for kind in Kind} == {
        name: number for name, number in pb.Kind.items() if number
    }


def hostile(**how: Any) -> bytes:
    base: dict[str, Any] = {
        "path": b"a", "kind": pb.KIND_FILE, "mode": 0o644, "size": 1, "digest": b"d" * 32,
    }  # fmt: skip  # one line reads as one entry
    return pb.FromProduction(part=pb.Part(transaction=1, changes=[pb.Change(**(base | how))])).SerializeToString()


@pytest.mark.parametrize(
    "how",
    [
        {"path": b"../a"},
        {"path": b"/etc/passwd"},
        {"path": b"a//b"},
        {"path": b"a/./b"},
        {"path": b"a\0b"},
        {"path": b"x" * 256},
        {"path": b"/".join([b"x" * 200] * 30)},
        {"path": b"a/.."},
        {"path": b""},
        {"kind": 9},
        {"kind": 0},
        {"digest": b"short"},
        {"mode": 0o10000},
        {"size": 2**63},
        {"kind": pb.KIND_DIRECTORY},
        {"kind": pb.KIND_SYMLINK, "digest": b"", "size": 0},
        {"kind": pb.KIND_SYMLINK, "digest": b"", "size": 0, "link_target": b"a\0b"},
        {"kind": pb.KIND_SYMLINK, "digest": b"", "size": 0, "link_target": b"a" * 5000},
        {"owner": "a\nb"},
        {"owner": "x" * 300},
        {"note": "\x1b[2J"},
        {"mtime_ns": -(2**63)},
        {"seq": 2**63},
        {"link": 2**63},
        {"link": 1, "kind": pb.KIND_DIRECTORY, "digest": b"", "size": 0},
        {"attributes": b"cut off"},
        {"attributes": encode({b"user.a": b"1"}) * 2},
        {"attributes": b"\x0c\0\0\0\1security.imax"},
        {"attributes": bytes(LARGEST + 1)},
        {"attributes": b"\x17\0\0\0\1system.posix_acl_accessx"},
        {"attributes": encode({b"user.a": b"1"}), "kind": pb.KIND_UNKNOWN, "digest": b"", "size": 0},
        {"origin": b"cut off"},
        {"origin": b"\2" + ORIGIN[1:]},
        {"origin": ORIGIN + bytes(UNDO_LIMIT)},
        {"origin": Origin(b"r" * 32, b"s" * 32, 2**63).encode()},
        {"origin": ORIGIN, "kind": pb.KIND_DIRECTORY, "digest": b"", "size": 0},
        {"deleted": True, "path": b""},
        {"deleted": True, "path": b"../a"},
    ],
    ids=str,
)
def test_a_hostile_entry_is_refused(how: dict[str, Any]) -> None:
    with pytest.raises(PeerProtocolError):
        wire.decode_from_production(hostile(**how))


def test_the_harmless_form_of_the_hostile_entry_passes() -> None:
    assert isinstance(wire.decode_from_production(hostile(link=5, attributes=encode({b"user.a": b"1"}))), m.Part)
    assert isinstance(wire.decode_from_production(hostile()), m.Part)


def test_an_empty_message_is_refused_on_both_sides() -> None:
    with pytest.raises(PeerProtocolError):
        wire.decode_from_production(b"")
    with pytest.raises(PeerProtocolError):
        wire.decode_from_failover(b"")


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_a_message_never_another_error(data: bytes) -> None:
    for decode in (wire.decode_from_production, wire.decode_from_failover):
        with contextlib.suppress(PeerProtocolError):
            assert decode(data) is not None


@given(st.data())
def test_a_damaged_message_is_refused_or_a_message(data: st.DataObject) -> None:
    good = bytearray(wire.encode_from_production(PART))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(PeerProtocolError):
        wire.decode_from_production(bytes(good))
