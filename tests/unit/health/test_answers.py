"""What each path answers, by mode and state."""

from __future__ import annotations

import json
from typing import Any

import pytest

from syncer.health.answers import Answer, Answers
from syncer.health.request import BadRequestError, Request, read_request
from tests.unit.health.looks import FakeNode, failover, production


def answer(node: FakeNode, path: str, method: str = "GET") -> Answer:
    answers, request = Answers(node.as_shown()), Request(method, path)
    return answers.refusal(request) or answers.answer(request)


def body(found: Answer) -> dict[str, Any]:
    return dict(json.loads(found.body))


@pytest.mark.parametrize(
    ("mode", "path", "status"),
    [
        ("production", "/production", 200),
        ("production", "/failover", 503),
        ("failover", "/production", 503),
        ("failover", "/failover", 200),
        ("fenced", "/production", 503),
        ("fenced", "/failover", 503),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_load_balancers_are_answered_by_mode(mode: str, path: str, status: int, method: str) -> None:
    found = answer(FakeNode(production() | {"mode": mode}), path, method)
    assert (found.status, body(found)) == (status, {"mode": mode})
    assert ("Allow" in found.fields) is (method == "OPTIONS")


def test_the_mode_is_answered_without_a_look_at_everything() -> None:
    node = FakeNode(production())
    answer(node, "/production")
    answer(node, "/healthz")
    assert node.looks == 0


def test_a_blocked_event_loop_is_no_health() -> None:
    node = FakeNode(production())
    assert answer(node, "/healthz").status == 200
    node.still = 7.2
    found = answer(node, "/healthz")
    assert found.status == 503
    assert body(found) == {"healthy": False, "reasons": ["the event loop has been blocked for 7 s"]}
    # The mode is what it was: traffic goes where it went.
    assert answer(node, "/production").status == 200


def changed(status: dict[str, Any], **domain: Any) -> dict[str, Any]:
    status["domains"][0].update(domain)
    return status


@pytest.mark.parametrize(
    ("status", "reasons"),
    [
        (production(), []),
        (failover(), []),
        (changed(production(), state="degraded", reason="24 directories are not watched"), []),
        (changed(production(), state="polling", reason="changes on nfs give no events"), []),
        (changed(production(), state="scanning"), ["domain nginx: its first scan is not complete"]),
        (changed(production(), state="unavailable", reason="is missing"), ["domain nginx: is missing"]),
        (changed(failover(), state="waiting", reason="nothing was received yet"), []),
        (changed(failover(), state="failing", reason="no space"), ["domain nginx: no space"]),
        (changed(failover(), state="unavailable", reason="is missing"), ["domain nginx: is missing"]),
        (production() | {"mode": "fenced"}, ["this node is fenced: it neither sends nor accepts changes"]),
    ],
)
def test_readiness_by_state(status: dict[str, Any], reasons: list[str]) -> None:
    found = answer(FakeNode(status), "/readyz")
    assert found.status == (503 if reasons else 200)
    assert body(found) == {"ready": not reasons, "reasons": reasons}


def test_an_unreachable_peer_is_no_unreadiness_of_this_node() -> None:
    status = production()
    status["targets"][0]["domains"][0]["state"] = "unreachable"
    assert answer(FakeNode(status), "/readyz").status == 200


def test_what_stands_still_is_no_readiness() -> None:
    node = FakeNode(production())
    node.stalled = ["capture of domain nginx has ended"]
    assert body(answer(node, "/readyz"))["reasons"] == node.stalled


def test_the_status_names_no_secrets() -> None:
    status = production()
    status["domains"][0]["holds"][0]["command"] = "deploy --token s3cr3t9 --db-password=hunter2"
    found = body(answer(FakeNode(status), "/status"))
    text = json.dumps(found)
    assert "s3cr3t9" not in text
    assert "hunter2" not in text
    assert found["domains"][0]["holds"][0]["command"] == "deploy …"
    # What identifies is no secret, though it looks random.
    assert found["node_id"] == status["node_id"]
    assert found["peers"] == status["peers"]
    assert found["domains"][0]["problems"] == status["domains"][0]["problems"]


def test_a_name_that_is_not_utf_8_is_json_all_the_same() -> None:
    status = production()
    status["domains"][0]["problems"][0]["path"] = "caf\udce9"
    assert body(answer(FakeNode(status), "/status"))["domains"][0]["problems"][0]["path"] == "caf\udce9"


@pytest.mark.parametrize("path", ["/", "/health", "/status/", "/../etc/passwd", "/%2e%2e/etc/passwd", "//status"])
def test_unknown_paths(path: str) -> None:
    found = answer(FakeNode(production()), path)
    assert found.status == 404
    assert "etc" not in str(body(found)["error"]), "what came is not repeated"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "BREW"])
def test_unknown_methods(method: str) -> None:
    found = answer(FakeNode(production()), "/status", method)
    assert (found.status, found.fields["Allow"]) == (405, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        (b"GET /readyz HTTP/1.1", Request("GET", "/readyz")),
        (b"HEAD /production?verbose=1&x HTTP/1.0", Request("HEAD", "/production")),
        (b"OPTIONS / HTTP/1.1", Request("OPTIONS", "/")),
        (b"GET http://dr-a:7480/readyz?x=1 HTTP/1.1", Request("GET", "/readyz")),
        (b"GET HTTPS://[::1]:7480/metrics HTTP/1.1", Request("GET", "/metrics")),
        (b"GET http://dr-a HTTP/1.1", Request("GET", "/")),
    ],
)
def test_requests(line: bytes, request_: Request) -> None:
    assert read_request(line + b"\r\nHost: x\r\n\r\n") == request_
    assert read_request(line + b"\nHost: x\n\n") == request_


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"GET",
        b"GET /readyz",
        b"get /readyz HTTP/1.1",
        b"GET readyz HTTP/1.1",
        b"GET  /readyz HTTP/1.1",
        b"GET /readyz HTTP/2.0",
        b"GET http:///readyz HTTP/1.1",
        b"GET ftp://x/readyz HTTP/1.1",
        b"GET http://x?readyz HTTP/1.1",
        b"GET  HTTP/1.1",
        b"GET /\xff HTTP/1.1",
        b"GET /a\tb HTTP/1.1",
        b"GET /a\nb HTTP/1.1",
        b"GET /" + b"a" * 3000 + b" HTTP/1.1",
        b"\x16\x03\x01\x02\x00\x01",
    ],
)
def test_what_is_no_request(line: bytes) -> None:
    with pytest.raises(BadRequestError) as caught:
        read_request(line + b"\r\n\r\n")
    assert caught.value.status == 400
