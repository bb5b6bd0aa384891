from __future__ import annotations

import json

import pytest

from syncer.admin import wire
from syncer.errors import PeerProtocolError
from syncer.pb import admin_pb2 as pb


def test_a_request_survives_the_way_with_names_that_are_not_utf8() -> None:
    arguments = {"path": b"/etc/caf\xe9".decode("utf-8", "surrogateescape"), "domains": ["a", "ß"], "n": None}
    assert wire.decode_request(wire.encode_request("explain", arguments)) == ("explain", arguments)


@pytest.mark.parametrize(
    "event",
    [
        wire.Progress({"phase": "scan", "done": 3}),
        wire.Result({"path": "\udcff", "exit_code": 0}),
        wire.Failure(2, ("one\nwith two lines", "another")),
        wire.Failure(4, ("refused",)),
        wire.Alive(),
    ],
)
def test_an_event_survives_the_way(event: wire.Event) -> None:
    assert wire.decode_event(wire.encode_event(event)) == event


def test_a_message_with_undecodable_bytes_is_sent_with_escapes() -> None:
    event = wire.decode_event(wire.encode_event(wire.Failure(1, ("cannot read \udcff",))))
    assert event == wire.Failure(1, ("cannot read \\udcff",))


def test_numbers_that_json_does_not_have_are_a_fault() -> None:
    with pytest.raises(ValueError, match="JSON"):
        wire.encode_event(wire.Result({"seconds": float("inf")}))


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff\xff",
        pb.CommandRequest(command="x", arguments_json="{").SerializeToString(),
        pb.CommandRequest(command="x", arguments_json="[1]").SerializeToString(),
    ],
)
def test_what_is_no_request_is_refused(data: bytes) -> None:
    with pytest.raises(PeerProtocolError):
        wire.decode_request(data)


@pytest.mark.parametrize(
    "data", [b"\xff\xff", b"\x7a\x00", pb.CommandEvent(result_json=json.dumps([1])).SerializeToString()]
)
def test_what_is_no_event_is_refused(data: bytes) -> None:
    with pytest.raises(PeerProtocolError):
        wire.decode_event(data)
