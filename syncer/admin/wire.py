"""The only place of the admin room that knows the protobuf messages: commands and their events as bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from syncer.errors import PeerProtocolError
from syncer.pb import admin_pb2 as pb

SERVICE = "syncer.v1.Admin"
METHOD = "Run"

_BETWEEN_ERRORS = "\x1e"
"""Parts the errors of one failure (ASCII's record separator): each of them may have several lines."""


class Progress(NamedTuple):
    """How far a command is; any number of them come before its end."""

    body: dict[str, Any]


class Result(NamedTuple):
    """What a command that ran has found; the last event."""

    body: dict[str, Any]


class Failure(NamedTuple):
    """Why a command could not run: its exit code, and one sentence for each error; the last event."""

    exit_code: int
    errors: tuple[str, ...]


class Alive(NamedTuple):
    """The command goes on, and has nothing to say yet."""


Event = Progress | Result | Failure | Alive


def encode_request(command: str, arguments: Mapping[str, object]) -> bytes:
    """Serialize a command with its arguments."""
    return pb.CommandRequest(command=command, arguments_json=_to_json(arguments)).SerializeToString()


def decode_request(data: bytes) -> tuple[str, dict[str, Any]]:
    """Return command and arguments. Raises PeerProtocolError where `data` is not a request."""
    try:
        request = pb.CommandRequest.FromString(data)
    except DecodeError as error:
        raise PeerProtocolError("the caller sent bytes that are no command of syncer") from error
    return request.command, _from_json(request.arguments_json)


def encode_event(event: Event) -> bytes:
    """Serialize one event of a command."""
    match event:
        case Alive():
            return b""
        case Progress():
            message = pb.CommandEvent(progress_json=_to_json(event.body))
        case Result():
            message = pb.CommandEvent(result_json=_to_json(event.body))
        case Failure():
            failure = pb.Failure(exit_code=event.exit_code, message=_sendable(_BETWEEN_ERRORS.join(event.errors)))
            message = pb.CommandEvent(failure=failure)
    return message.SerializeToString()


def decode_event(data: bytes) -> Event:
    """Return one event of a command. Raises PeerProtocolError where this version knows no such event."""
    if not data:
        return Alive()
    try:
        message = pb.CommandEvent.FromString(data)
    except DecodeError as error:
        raise PeerProtocolError("the agent sent bytes that are no event of a command") from error
    match message.WhichOneof("body"):
        case "progress_json":
            return Progress(_from_json(message.progress_json))
        case "result_json":
            return Result(_from_json(message.result_json))
        case "failure":
            return Failure(message.failure.exit_code, tuple(message.failure.message.split(_BETWEEN_ERRORS)))
    raise PeerProtocolError("the agent answered in a form that this version does not know; restart it after an update")


def _to_json(document: Mapping[str, object]) -> str:
    # Only ASCII: a path's surrogate escapes (bytes that are not UTF-8) do not fit in a protobuf string.
    return json.dumps(document, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def _from_json(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text or "{}")
    except ValueError as error:
        raise PeerProtocolError("the other side sent a document that is not JSON") from error
    if not isinstance(document, dict):
        raise PeerProtocolError("the other side sent a document that is not a JSON object")
    return document


def _sendable(text: str) -> str:
    """Return `text` with undecodable bytes written out as escapes: a protobuf string must be UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
