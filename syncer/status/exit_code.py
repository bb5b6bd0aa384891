"""Which exit code a status deserves, so that monitoring can call it (pure)."""

from __future__ import annotations

from typing import Any

from syncer.events.standing import SKEWED_SECONDS
from syncer.model import Mode

GRAVITY = {4: 0, 5: 1, 1: 2, 3: 3, 0: 4}
"""Exit codes by gravity, the gravest first: with several targets it is the one that counts."""


def gravest(codes: list[int]) -> int:
    """Return the exit code that counts: 4, 5, 1, 3, 0 in this order; 0 where there is none."""
    return min(codes, key=lambda code: GRAVITY.get(code, 2), default=0)


def exit_code(status: dict[str, Any], *, peer_timeout: float, behind_after: float) -> int:
    """Return the exit code of everything else that a status has (times in seconds), as docs/commands.md says."""
    if status["agent"] != "running":
        return 5
    is_retired = any(item["node_id"] == status["node_id"] for item in status.get("retired", ()))
    if is_retired or status["mode"] == Mode.FENCED.value:
        return 4
    code = _failover_code if status["mode"] == Mode.FAILOVER.value else _production_code
    return gravest([code(status, peer_timeout, behind_after), 3 if _is_troubled(status) else 0])


def _is_troubled(status: dict[str, Any]) -> bool:
    """Tell of what has nothing to do with targets: what a person meant to change, or was to hear, and that failed."""
    actions = status["actions"]
    return bool(status["configuration"]["error"] or actions["given_up"] or actions["lost"])


def _failover_code(status: dict[str, Any], peer_timeout: float, behind_after: float) -> int:
    production, domains = status["production"], status["domains"]
    if production is None or production["seconds_since_heard"] > peer_timeout:
        return 5
    if any(domain["state"] == "unavailable" for domain in domains):
        return 4
    received = production["domains"]
    late = any((domain["oldest_seconds"] or 0.0) > behind_after for domain in received)
    never = any(domain["cursor_seq"] is None for domain in received)
    failed = any(domain["check"] or domain["reload"] or domain["state"] == "failing" for domain in domains)
    failed = failed or any(domain["service"] and domain["service"]["detail"] for domain in domains)
    differs = any(domain["problems"] or domain["drift"]["count"] for domain in domains)
    skewed = abs(production["clock_skew_seconds"] or 0.0) > SKEWED_SECONDS
    return 3 if never or late or failed or differs or skewed else 0


def _production_code(status: dict[str, Any], _: float, behind_after: float) -> int:
    domains = status["domains"]
    # Without a target nothing is protected, which is not as it should be either.
    codes = [_target_code(target, behind_after) for target in status["targets"]] or [3]
    codes += [4 for domain in domains if domain["state"] == "unavailable"]
    codes += [3 for domain in domains if domain["problems"] or domain["state"] == "degraded" or domain.get("frozen")]
    return gravest(codes)


def _target_code(target: dict[str, Any], behind_after: float) -> int:
    states = {domain["state"] for domain in target["domains"]}
    if "suspended" in states:
        return 4
    if "unreachable" in states:
        return 5
    if abs(target["clock_skew_seconds"] or 0.0) > SKEWED_SECONDS:
        return 3
    late = any((domain["oldest_seconds"] or 0.0) > behind_after for domain in target["domains"])
    unknown = any(domain["changes_behind"] is None for domain in target["domains"])
    behind_by_choice = not target["automatic"] and any(domain["changes_behind"] for domain in target["domains"])
    lacking = any(domain["problems"] for domain in target["domains"])
    drifted = any(domain["drift"] for domain in target["domains"])
    # ": " comes before what is wrong with services there.
    services = any(": " in (domain["service"] or "") for domain in target["domains"])
    return 3 if late or unknown or behind_by_choice or lacking or drifted or services else 0
