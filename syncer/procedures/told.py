"""The events of procedures, as both nodes raise them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syncer.model import EventValue, RecordEvent
from syncer.procedures.steps import Procedure, StepSpec, StepState

REPORT_MAX = 8192
"""Characters of a report that an event carries; `syncer procedure ID` shows all of it."""


class ProcedureEvents:
    """Raises what happens in procedures, each time once it is durable."""

    def __init__(self, record: RecordEvent) -> None:
        self._record = record

    def started(self, procedure: Procedure) -> None:
        """It was begun here."""
        self._record("procedure.started", _of(procedure))

    def step(self, procedure: Procedure, spec: StepSpec, state: StepState, reason: str = "") -> None:
        """One of its steps is in another state."""
        variables = {"step": spec.name, "title": spec.title, "state": state.value, "reason": reason}
        self._record("procedure.step", {**_of(procedure), **variables})

    def finished(self, procedure: Procedure, report: Mapping[str, Any]) -> None:
        """Every step is done; the report's `text` is what people read of it."""
        text = report.get("text")
        said = text if isinstance(text, str) else ""
        self._record("procedure.finished", {**_of(procedure), "report": said[:REPORT_MAX]})

    def aborted(self, procedure: Procedure, reason: str) -> None:
        """Everything that was begun is undone."""
        self._record("procedure.aborted", {**_of(procedure), "reason": reason})


def _of(procedure: Procedure) -> dict[str, EventValue]:
    return {
        "procedure": procedure.id,
        "kind": procedure.kind,
        "role": procedure.role.value,
        "peer": procedure.peer_name,
    }
