"""Every metric of syncer, with its type, labels and meaning; no I/O.

docs/monitoring/README.md says the same to people, and a test holds both together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Metric(NamedTuple):
    """One metric; a counter's name here is without the `_total` that it is shown with."""

    kind: str
    """gauge, counter or histogram."""
    labels: tuple[str, ...]
    meaning: str


_NODE: tuple[str, ...] = ()
_DOMAIN = ("domain",)
_STREAM = ("target", "domain")

METRICS: Mapping[str, Metric] = {
    "syncer_build_info": Metric("gauge", ("version",), "1; the label says which version runs"),
    "syncer_node_info": Metric("gauge", ("node", "node_id"), "1; the labels say which node this is"),
    "syncer_mode": Metric("gauge", ("mode",), "1 for what the node is now, 0 for the other modes"),
    "syncer_term": Metric("gauge", _NODE, "highest term that the node has seen"),
    "syncer_ready": Metric("gauge", _NODE, "1 where /readyz answers 200, else 0"),
    "syncer_stalled_parts": Metric("gauge", _NODE, "parts of the pipeline that should move and do not"),
    "syncer_event_loop_beat_age_seconds": Metric("gauge", _NODE, "time since the event loop last moved"),
    "syncer_status_exit_code": Metric("gauge", _NODE, "what `syncer status` would exit with"),
    "syncer_events": Metric("counter", ("event",), "events raised since the start, by name"),
    "syncer_events_waiting": Metric("gauge", _NODE, "events that wait to be written to the journal"),
    "syncer_outbox_waiting": Metric("gauge", _NODE, "actions of triggers that wait to be done"),
    "syncer_procedure_open_seconds": Metric("gauge", _NODE, "age of the oldest procedure under way; 0: none is"),
    "syncer_clock_skew_seconds": Metric("gauge", ("peer",), "how far the clock of another node is ahead of this one"),
    "syncer_domain_state": Metric("gauge", ("domain", "state"), "1 for the state of the domain, 0 for the others"),
    "syncer_domain_entries": Metric("gauge", _DOMAIN, "paths of the domain"),
    "syncer_domain_problems": Metric("gauge", _DOMAIN, "paths that this node cannot read, send or apply"),
    "syncer_target_state": Metric("gauge", (*_STREAM, "state"), "1 for the state of the target, 0 for the others"),
    "syncer_changes_behind": Metric("gauge", _STREAM, "changes that failing over now would lose"),
    "syncer_behind_bytes": Metric("gauge", _STREAM, "content of these changes"),
    "syncer_oldest_unacknowledged_seconds": Metric("gauge", _STREAM, "age of the oldest of these changes; the lag"),
    "syncer_last_success_timestamp_seconds": Metric("gauge", _STREAM, "when the target last acknowledged"),
    "syncer_last_full_timestamp_seconds": Metric("gauge", _STREAM, "when a full synchronization last succeeded"),
    "syncer_last_verified_timestamp_seconds": Metric("gauge", _STREAM, "when every byte was last read again"),
    "syncer_target_generation": Metric("gauge", _STREAM, "generation that the target stands at"),
    "syncer_target_drift_paths": Metric("gauge", _STREAM, "paths that were edited on the target"),
    "syncer_target_problems": Metric("gauge", _STREAM, "paths that the target cannot hold, or verification found"),
    "syncer_target_suspended_by_person": Metric("gauge", _STREAM, "1 while `syncer suspend` holds the target"),
    "syncer_approval_waiting": Metric("gauge", _STREAM, "1 while a synchronization waits for `syncer approve`"),
    "syncer_echoes": Metric("counter", _STREAM, "applied changes that came back as new ones; stays 0"),
    "syncer_round_trip_seconds": Metric("gauge", ("target",), "time until a heartbeat is answered"),
    "syncer_transactions": Metric(
        "counter", (*_STREAM, "kind", "result"), "transactions: `partial` or `full`, `acknowledged` or `rejected`"
    ),
    "syncer_failures": Metric("counter", (*_STREAM, "cause"), "failed attempts, by cause"),
    "syncer_sent_changes": Metric("counter", _STREAM, "paths that changed on the target"),
    "syncer_sent_bytes": Metric("counter", _STREAM, "content that the target received"),
    "syncer_transaction_seconds": Metric(
        "histogram", (*_STREAM, "kind"), "from a transaction's first message at the target until it was durable there"
    ),
    "syncer_directories": Metric("gauge", _DOMAIN, "directories of the domain on production"),
    "syncer_watched_directories": Metric("gauge", _DOMAIN, "directories that the kernel watches"),
    "syncer_watch_overflows": Metric("counter", _DOMAIN, "times that the kernel's queue of changes was full"),
    "syncer_paths_waiting": Metric("gauge", _DOMAIN, "paths that may have changed and were not looked at yet"),
    "syncer_last_scan_seconds": Metric("gauge", _DOMAIN, "how long the last full scan took"),
    "syncer_head_sequence": Metric("gauge", _DOMAIN, "number of the latest change in the index"),
    "syncer_frozen": Metric("gauge", _DOMAIN, "1 while the domain is frozen"),
    "syncer_frozen_changed_paths": Metric("gauge", _DOMAIN, "paths that have changed since the domain was frozen"),
    "syncer_holds": Metric("gauge", _DOMAIN, "`syncer hold`s of the domain"),
    "syncer_production_silence_seconds": Metric("gauge", _NODE, "on failover: time since production was heard"),
    "syncer_known_changes_behind": Metric("gauge", _DOMAIN, "on failover: changes missing, as production last said"),
    "syncer_known_oldest_unacknowledged_seconds": Metric("gauge", _DOMAIN, "on failover: age of the oldest of them"),
    "syncer_generation": Metric("gauge", _DOMAIN, "on failover: generation that the domain stands at"),
    "syncer_drift_paths": Metric("gauge", _DOMAIN, "on failover: paths that were edited here"),
    "syncer_kept_local_paths": Metric("gauge", _DOMAIN, "on failover: paths that `keep_local` left alone"),
    "syncer_check_failing": Metric("gauge", _DOMAIN, "on failover: 1 where the domain's last check failed"),
    "syncer_reload_failing": Metric("gauge", _DOMAIN, "on failover: 1 where the domain's last reload failed"),
    "syncer_apply_waiting": Metric("gauge", _DOMAIN, "on failover: steps that wait for the domain's worker"),
    "syncer_applied_transactions": Metric("counter", (*_DOMAIN, "kind"), "on failover: transactions made durable"),
    "syncer_rejected_transactions": Metric("counter", (*_DOMAIN, "cause"), "on failover: transactions rejected"),
    "syncer_applied_changes": Metric("counter", _DOMAIN, "on failover: paths that were changed"),
    "syncer_received_bytes": Metric("counter", _DOMAIN, "on failover: content that was received"),
    "syncer_apply_seconds": Metric(
        "histogram", (*_DOMAIN, "kind"), "on failover: from a transaction's first message until it was durable"
    ),
    "syncer_flush_seconds": Metric(
        "histogram", ("operation",), "on failover: flushes to disk, of a `file`, a `directory` or a `filesystem`"
    ),
}

PROCESS: Mapping[str, str] = {
    "process_cpu_seconds_total": "counter",
    "process_max_fds": "gauge",
    "process_open_fds": "gauge",
    "process_resident_memory_bytes": "gauge",
    "process_start_time_seconds": "gauge",
    "process_virtual_memory_bytes": "gauge",
}
"""What prometheus-client tells of the process itself."""


def shown_name(name: str) -> str:
    """Return what a metric is called in the exposition, and in queries."""
    return f"{name}_total" if METRICS[name].kind == "counter" else name
