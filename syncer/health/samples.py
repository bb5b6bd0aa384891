"""Turns a node's status and measurements into samples of the catalogue's metrics (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from syncer.health.catalogue import METRICS
from syncer.health.measurements import Labels, Measurements
from syncer.health.pulse import Pulse

MODES = ("production", "failover", "fenced")
TARGET_STATES = ("connecting", "full", "streaming", "suspended", "unreachable")
CAPTURE_STATES = ("scanning", "watching", "polling", "degraded", "unavailable")
RECEIVING_STATES = ("waiting", "receiving", "failing", "unavailable")
KINDS = ("partial", "full")


class Sample(NamedTuple):
    """One value of a gauge or counter."""

    name: str
    labels: Labels
    value: float


class Look(NamedTuple):
    """What one scrape sees of the node."""

    status: dict[str, Any]
    pulse: Pulse
    stalled: list[str]
    reasons: list[str]
    """Why it is not ready."""
    events_waiting: int
    outbox_waiting: int | None
    """None where the node has no outbox."""
    events: Iterable[str]
    """Names of all events that can be raised."""


def samples(look: Look, measured: Measurements) -> Iterator[Sample]:
    """Yield every sample but those of histograms."""
    yield from _node(look)
    for target in look.status["targets"]:
        yield from _target(target)
    yield from _domains(look)
    yield from _production(look.status["production"])
    for name in METRICS:
        if METRICS[name].kind == "counter":
            yield from _counted(name, look, measured)


def _node(look: Look) -> Iterator[Sample]:
    status = look.status
    yield Sample("syncer_build_info", (status["version"],), 1)
    yield Sample("syncer_node_info", (status["node"], status["node_id"]), 1)
    yield from _states("syncer_mode", (), status["mode"], MODES)
    yield Sample("syncer_term", (), status["term"]["counter"])
    yield Sample("syncer_ready", (), not look.reasons)
    yield Sample("syncer_stalled_parts", (), len(look.stalled))
    yield Sample("syncer_event_loop_beat_age_seconds", (), look.pulse.loop_still)
    yield Sample("syncer_status_exit_code", (), status["exit_code"])
    yield Sample("syncer_events_waiting", (), look.events_waiting)
    ages = [procedure["seconds"] for procedure in status["procedures"]]
    yield Sample("syncer_procedure_open_seconds", (), max(ages, default=0.0))
    if look.outbox_waiting is not None:
        yield Sample("syncer_outbox_waiting", (), look.outbox_waiting)


def _target(target: dict[str, Any]) -> Iterator[Sample]:
    name = target["name"]
    yield from _known("syncer_round_trip_seconds", (name,), target["round_trip_seconds"])
    yield from _known("syncer_clock_skew_seconds", (name,), target["clock_skew_seconds"])
    for domain in target["domains"]:
        labels = (name, domain["name"])
        yield from _states("syncer_target_state", labels, domain["state"], TARGET_STATES)
        yield from _known("syncer_changes_behind", labels, domain["changes_behind"])
        yield from _known("syncer_behind_bytes", labels, domain["bytes_behind"])
        yield from _known("syncer_oldest_unacknowledged_seconds", labels, domain["oldest_seconds"])
        yield from _known("syncer_last_success_timestamp_seconds", labels, _moment(domain["last_success"]))
        yield from _known("syncer_last_full_timestamp_seconds", labels, _moment(domain["last_full"]))
        yield from _known("syncer_last_verified_timestamp_seconds", labels, _moment(domain["last_verified"]))
        yield Sample("syncer_target_generation", labels, domain["generation"])
        yield from _known("syncer_target_drift_paths", labels, domain["drift"])
        yield Sample("syncer_target_problems", labels, len(domain["problems"]))
        yield Sample("syncer_target_suspended_by_person", labels, domain["suspension"] is not None)
        yield Sample("syncer_approval_waiting", labels, domain["approval"] is not None)


def _domains(look: Look) -> Iterator[Sample]:
    waiting = {beat.domain: beat.waiting for beat in look.pulse.captures}
    lanes = {beat.domain: beat.waiting for beat in look.pulse.lanes}
    for domain in look.status["domains"]:
        labels = (domain["name"],)
        yield from _known("syncer_domain_entries", labels, domain["entries"])
        yield Sample("syncer_domain_problems", labels, len(domain["problems"]))
        if "watched" in domain:
            yield from _captured(domain)
            yield Sample("syncer_paths_waiting", labels, waiting.get(domain["name"], 0))
        else:
            yield from _received(domain)
            yield Sample("syncer_apply_waiting", labels, lanes.get(domain["name"], 0))


def _captured(domain: dict[str, Any]) -> Iterator[Sample]:
    labels = (domain["name"],)
    yield from _states("syncer_domain_state", labels, domain["state"], CAPTURE_STATES)
    yield from _known("syncer_directories", labels, domain["directories"])
    yield from _known("syncer_watched_directories", labels, domain["watched"])
    yield from _known("syncer_last_scan_seconds", labels, domain["last_full_scan_seconds"])
    yield Sample("syncer_head_sequence", labels, domain["head_seq"])
    yield Sample("syncer_holds", labels, len(domain["holds"]))
    frozen = domain["frozen"]
    yield Sample("syncer_frozen", labels, frozen is not None)
    yield from _known("syncer_frozen_changed_paths", labels, frozen["changed"] if frozen else 0)


def _received(domain: dict[str, Any]) -> Iterator[Sample]:
    labels = (domain["name"],)
    yield from _states("syncer_domain_state", labels, domain["state"], RECEIVING_STATES)
    yield Sample("syncer_generation", labels, domain["generation"])
    yield Sample("syncer_drift_paths", labels, domain["drift"]["count"])
    yield Sample("syncer_kept_local_paths", labels, len(domain["kept_local"]))
    yield Sample("syncer_check_failing", labels, domain["check"] is not None)
    yield Sample("syncer_reload_failing", labels, domain["reload"] is not None)


def _production(production: dict[str, Any] | None) -> Iterator[Sample]:
    if production is None:
        return
    yield Sample("syncer_production_silence_seconds", (), production["seconds_since_heard"])
    # Named by what this node calls it only where the peer is paired: a name that a certificate vouches for.
    yield from _known("syncer_clock_skew_seconds", (production["name"],), production["clock_skew_seconds"])
    for domain in production["domains"]:
        labels = (domain["name"],)
        yield from _known("syncer_known_changes_behind", labels, domain["changes_behind"])
        yield from _known("syncer_known_oldest_unacknowledged_seconds", labels, domain["oldest_seconds"])


def _counted(name: str, look: Look, measured: Measurements) -> Iterator[Sample]:
    """Yield a counter, also with the labels that it may get: one that begins at 1 has no increase to see."""
    found: dict[Labels, float] = dict.fromkeys(_expected(name, look), 0)
    found.update(measured.counts(name))
    found.update(_counted_elsewhere(name, look.status))
    for labels, value in sorted(found.items()):
        yield Sample(name, labels, value)


def _counted_elsewhere(name: str, status: dict[str, Any]) -> Iterator[tuple[Labels, float]]:
    if name == "syncer_echoes":
        for target in status["targets"]:
            for domain in target["domains"]:
                yield (target["name"], domain["name"]), domain["echoes"]
    elif name == "syncer_watch_overflows":
        for domain in status["domains"]:
            if "overflows" in domain:
                yield (domain["name"],), domain["overflows"]


def _expected(name: str, look: Look) -> Iterator[Labels]:
    streams = [(target["name"], domain["name"]) for target in look.status["targets"] for domain in target["domains"]]
    received = [domain["name"] for domain in look.status["domains"] if "watched" not in domain]
    if name == "syncer_events":
        yield from ((event,) for event in look.events)
    elif name == "syncer_transactions":
        for stream in streams:
            yield from ((*stream, kind, result) for kind in KINDS for result in ("acknowledged", "rejected"))
    elif name in ("syncer_sent_changes", "syncer_sent_bytes"):
        yield from streams
    elif name == "syncer_applied_transactions":
        yield from ((domain, kind) for domain in received for kind in KINDS)
    elif name in ("syncer_applied_changes", "syncer_received_bytes"):
        yield from ((domain,) for domain in received)


def _states(name: str, labels: Labels, state: str, states: tuple[str, ...]) -> Iterator[Sample]:
    for known in states:
        yield Sample(name, (*labels, known), known == state)


def _known(name: str, labels: Labels, value: float | None) -> Iterator[Sample]:
    """Yield what is known: an unknown lag must not look like none."""
    if value is not None:
        yield Sample(name, labels, value)


def _moment(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).timestamp()
