"""What failing over now would lose, as the sentence that `syncer status` leads with; pure."""

from __future__ import annotations

from enum import Enum
from typing import Any, NamedTuple

from syncer.cli.wording import counted, seconds_in_words


class Severity(Enum):
    """How a state is shown; only what is known to be equal is GOOD."""

    GOOD = "green"
    LATE = "yellow"
    BAD = "red"


class Sentence(NamedTuple):
    """One statement with its colour."""

    text: str
    severity: Severity


def sentences(status: dict[str, Any]) -> list[Sentence]:
    """Return one sentence for each target of production, or one for a failover node; then those of services."""
    if status["agent"] != "running":
        return [
            Sentence(
                "what failing over now would lose is unknown: no agent is running (`syncer agent` starts it)",
                Severity.BAD,
            )
        ]
    if status["mode"] == "failover":
        # A peer_timeout may be shorter than what is silence to the eye: both must say the same.
        return [_of_failover(status["production"], silent=status["exit_code"] == 5), *_services(status["domains"])]
    if status["mode"] != "production":
        return [_of_fenced(status)]
    if not status["targets"]:
        return [Sentence("there is nothing to fail over to: no [[failover]] is configured", Severity.BAD)]
    unread = sum(len(domain["problems"]) for domain in status["domains"])
    return [*(_of_target(target, unread) for target in status["targets"]), *_services_there(status["targets"])]


def _of_fenced(status: dict[str, Any]) -> Sentence:
    why = f" ({status['mode_reason']})" if status.get("mode_reason") else ""
    text = f"this node is {status['mode']}: it neither sends nor accepts changes{why}"
    counts = [domain["unsent"] for domain in status["domains"] if domain.get("unsent") is not None]
    if counts:
        text += f"; {counted(sum(counts), 'change')} of its own were never sent"
    serving = [
        domain["name"] for domain in status["domains"] if (domain.get("service") or {}).get("state") == "running"
    ]
    if serving:
        text += f"; the services of {', '.join(serving)} still run here, beside those of the node that serves"
    return Sentence(f"{text}; `syncer reverse` brings it home, `syncer rejoin` makes it failover", Severity.BAD)


def leading(status: dict[str, Any]) -> str:
    """Return the sentence that matters most: of the targets', the gravest; of several as grave, the first."""
    order = [Severity.BAD, Severity.LATE, Severity.GOOD]
    return min(sentences(status), key=lambda sentence: order.index(sentence.severity)).text


def stream_severity(domain: dict[str, Any]) -> Severity:
    """Tell how one domain of a target stands: good only where it streams and lacks nothing."""
    if domain["state"] in ("suspended", "unreachable"):
        return Severity.BAD
    if domain["state"] == "streaming" and domain["changes_behind"] == 0 and not domain.get("problems"):
        return Severity.GOOD
    return Severity.LATE


def target_severity(target: dict[str, Any]) -> Severity:
    """Tell how a target stands: as its worst domain; one without domains gets nothing, which is bad."""
    order = [Severity.BAD, Severity.LATE, Severity.GOOD]
    found = [stream_severity(domain) for domain in target["domains"]]
    return min(found, key=order.index, default=Severity.BAD)


def _of_target(target: dict[str, Any], unread: int) -> Sentence:
    """`unread`: paths that production itself could not handle, so that no target has them."""
    start = f"failing over to {target['name']} now would lose"
    severity = target_severity(target)
    unknown = [domain["name"] for domain in target["domains"] if domain["changes_behind"] is None]
    if unknown or not target["domains"]:
        of = f" of {', '.join(unknown)}" if unknown else ""
        text = f"what failing over to {target['name']} now would lose{of} is unknown"
        return Sentence(text + _why(target), severity)
    never = [domain["name"] for domain in target["domains"] if domain["cursor_seq"] is None]
    lost = [_lost(domain) for domain in target["domains"] if domain["changes_behind"] and domain["name"] not in never]
    if never:
        lost.insert(0, f"all of {', '.join(never)}, which it has never received")
    lacking = unread + sum(len(domain.get("problems", ())) for domain in target["domains"])
    if unread and severity is Severity.GOOD:
        severity = Severity.LATE
    if lacking and not lost:
        lost.append(f"{counted(lacking, 'path')} that could not be handled (see problems)")
    if not lost:
        return Sentence(f"{start} nothing{_why(target)}", severity)
    return Sentence(f"{start} {' and '.join(lost)}{_why(target)}", severity)


def _lost(domain: dict[str, Any]) -> str:
    oldest = domain["oldest_seconds"]
    age = "" if oldest is None else f", the oldest {seconds_in_words(oldest)} old"
    return f"{counted(domain['changes_behind'], 'change')} in {domain['name']}{age}"


def _why(target: dict[str, Any]) -> str:
    """Say what is wrong with a target that does not stream."""
    if target["state"] == "streaming":
        return ""
    reason = f": {target['reason']}" if target["reason"] else ""
    return f" ({target['state']}{reason})"


def _services(domains: list[dict[str, Any]]) -> list[Sentence]:
    """Say whose services are not as they should be: what is equal is of no use where it does not run."""
    return [
        Sentence(f"services of {domain['name']}: {service['state']}: {service['detail']}", Severity.BAD)
        for domain in domains
        if (service := domain.get("service")) and service["detail"]
    ]


def _services_there(targets: list[dict[str, Any]]) -> list[Sentence]:
    """Say the same of targets, of what they have told."""
    return [
        Sentence(f"services of {domain['name']} on {target['name']}: {domain['service']}", Severity.BAD)
        for target in targets
        for domain in target["domains"]
        if ": " in (domain.get("service") or "")
    ]


def _of_failover(production: dict[str, Any] | None, *, silent: bool) -> Sentence:
    if production is None:
        return Sentence(
            "what taking over now would lose is unknown: production was not heard since the agent's start",
            Severity.BAD,
        )
    silent = silent or production["seconds_since_heard"] > SILENT_SECONDS
    silence = seconds_in_words(production["seconds_since_heard"])
    received = [domain for domain in production["domains"] if domain["cursor_seq"] is not None]
    never = [domain["name"] for domain in production["domains"] if domain["cursor_seq"] is None]
    unknown = [domain["name"] for domain in received if domain["changes_behind"] is None]
    lost = [f"at least {_lost(domain)}" for domain in received if domain["changes_behind"]]
    if never:
        lost.insert(0, f"all of {', '.join(never)}, which it has never received")
    what = " and ".join(lost) if lost else "nothing that is known here"
    text = f"taking over now would lose {what}, as of {silence} ago"
    if silent:
        text += "; unknown since"
    if unknown:
        text += f"; of {', '.join(unknown)} nothing is known"
    who = f"{production['name']} is silent" if silent else f"production is {production['name']}"
    return Sentence(f"{text} ({who})", Severity.BAD if silent else _failover_severity(production))


SILENT_SECONDS = 5.0
"""Heartbeats come every second: what is older than this is no longer shown as good."""


def _failover_severity(production: dict[str, Any]) -> Severity:
    equal = all(domain["changes_behind"] == 0 and domain["cursor_seq"] is not None for domain in production["domains"])
    return Severity.GOOD if equal and production["domains"] else Severity.LATE
