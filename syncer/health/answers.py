"""What each path of the HTTP service answers, from what the node shows of itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from syncer.health.pulse import LOOP_STUCK
from syncer.health.readiness import unready
from syncer.health.request import Request
from syncer.redaction import redact

METHODS = ("GET", "HEAD", "OPTIONS")
JSON = "application/json"


class Answer(NamedTuple):
    """A status with its body."""

    status: int
    body: bytes
    kind: str = JSON
    fields: Mapping[str, str] = {}


class Shown(NamedTuple):
    """How to learn of the node; all but `still` may block, and raise SyncerError while it starts or stops."""

    still: Callable[[], float]
    """Seconds since the event loop's last beat."""
    mode: Callable[[], str]
    status: Callable[[], dict[str, Any]]
    stalled: Callable[[], list[str]]
    metrics: Callable[[], tuple[bytes, str]]
    """The exposition with its content type."""


class Answers:
    """Answers requests; used by several threads at once."""

    def __init__(self, shown: Shown) -> None:
        """Answer from `shown`."""
        self._shown = shown
        self._paths: dict[str, Callable[[], Answer]] = {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/production": lambda: self._by_mode("production"),
            "/failover": lambda: self._by_mode("failover"),
            "/status": lambda: document(200, without_secrets(self._shown.status())),
            "/metrics": self._metrics,
        }

    def refusal(self, request: Request) -> Answer | None:
        """Return the answer to what needs no look at the node: an unknown path or method; else None."""
        if request.path not in self._paths:
            return document(404, {"error": f"there is no such path; known are {', '.join(self._paths)}"})
        if request.method not in METHODS:
            allowed = ", ".join(METHODS)
            return document(405, {"error": f"only {allowed} are answered"})._replace(fields={"Allow": allowed})
        return None

    def looks_at_beat_alone(self, request: Request) -> bool:
        """Tell whether the answer needs nothing that may block."""
        return request.path == "/healthz"

    def answer(self, request: Request) -> Answer:
        """Return the answer to a request that is not refused; may block. Raises SyncerError."""
        found = self._paths[request.path]()
        return found._replace(fields={"Allow": ", ".join(METHODS)}) if request.method == "OPTIONS" else found

    def _healthz(self) -> Answer:
        still = self._shown.still()
        if still > LOOP_STUCK:
            why = f"the event loop has been blocked for {still:.0f} s"
            return document(503, {"healthy": False, "reasons": [why]})
        return document(200, {"healthy": True, "reasons": []})

    def _readyz(self) -> Answer:
        reasons = unready(self._shown.status(), self._shown.stalled())
        return document(503 if reasons else 200, {"ready": not reasons, "reasons": reasons})

    def _by_mode(self, wanted: str) -> Answer:
        mode = self._shown.mode()
        return document(200 if mode == wanted else 503, {"mode": mode})

    def _metrics(self) -> Answer:
        body, kind = self._shown.metrics()
        return Answer(200, body, kind)


def document(status: int, content: Mapping[str, Any]) -> Answer:
    """Return a JSON document as an answer; ASCII, as all JSON of syncer's is."""
    return Answer(status, json.dumps(content).encode("ascii") + b"\n")


def without_secrets(found: Any, key: str = "") -> Any:  # noqa: ANN401 - JSON of any shape
    """Return a copy of a status without what is, or looks like, a secret; of commands only the program remains."""
    if isinstance(found, dict):
        return {name: without_secrets(item, name) for name, item in found.items()}
    if isinstance(found, list):
        return [without_secrets(item, key) for item in found]
    if not isinstance(found, str) or key in _PUBLIC:
        return found
    if key == "command":
        program, space, _ = found.partition(" ")
        return f"{program} …" if space else program
    return redact(found)


_PUBLIC = frozenset({"node_id", "fingerprint", "run", "index_id", "id", "path", "kept_local"})
"""Names and identifiers: they may look as random as keys do, and are none."""
