"""A node's procedures as its status shows them: where each stands, what it waits for, and who has to do what."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from syncer.procedures.journal import Known
from syncer.procedures.keeper import Procedures
from syncer.procedures.kinds import Kind
from syncer.procedures.steps import Do, Outcome, Role, StepSpec, Undo, Wait, is_past_return, next_move
from syncer.procedures.switching import TAKE_OVER

ALONE = {"promote": (TAKE_OVER, "syncer promote --force")}
"""Kinds for which the lead has another command where the other node is dead, until this step has begun."""
LED_BY = "{peer}, which leads it"
"""What a second waits for where nothing holds it up."""
SUSPENDED = 4
"""Exit code of a status whose node waits for a person."""


def open_procedures(procedures: Procedures, clock: Callable[[], float] = time.time) -> list[dict[str, Any]]:
    """Return what is under way, as docs/json.md describes it; blocking (a few reads of node.db)."""
    unsettled = procedures.journal.unsettled()
    return [shown(procedures, known, clock()) for known in unsettled if known.journal.outcome is Outcome.OPEN]


def exit_codes(procedures: list[dict[str, Any]]) -> list[int]:
    """Return what these add to the exit code of a status."""
    return [SUSPENDED for found in procedures if found["needs_person"]]


def shown(procedures: Procedures, known: Known, now: float) -> dict[str, Any]:
    """Return one procedure, open or over; `now` in Unix seconds."""
    procedure, journal, row = known
    is_open = journal.outcome is Outcome.OPEN
    waits_for, needs_person = _waits(procedures, known)
    kind = procedures.kinds.find(procedure.kind)
    past = is_past_return(procedure, journal)
    progress = procedures.progress(procedure.id)
    return {
        "id": procedure.id,
        "kind": procedure.kind,
        "role": procedure.role.value,
        "peer": procedure.peer_name,
        "peer_id": procedure.peer,
        "outcome": journal.outcome.value,
        "reason": journal.abort,
        "begun": _moment(row.begun),
        "ended": _moment(row.ended),
        "seconds": max((now if row.ended is None else row.ended) - row.begun, 0.0),
        "waits_for": waits_for,
        "needs_person": needs_person,
        "past_return": past,
        "progress": {"text": progress.text, "done": progress.done, "total": progress.total},
        "steps": _steps(known),
        "go_on": _command(kind, "go_on", procedure.id) if is_open and procedure.role is Role.LEAD else "",
        "abort": _abort(procedures, known, kind) if is_open and not past else "",
        "give_up": f"syncer procedure {procedure.id[:8]} abort --force" if is_open and past and waits_for else "",
        "without_peer": without_peer(procedures, known),
        "peer_told": row.told,
    }


def without_peer(procedures: Procedures, known: Known) -> list[str]:
    """Return by what commands it is ended without the other node; nothing while that answers, or is not waited for."""
    procedure, journal, _ = known
    if journal.outcome is not Outcome.OPEN or journal.forced or not procedures.facts(procedure.id).away:
        return []
    found = [f"syncer procedure {procedure.id[:8]} abort --force"]
    until, command = ALONE.get(procedure.kind, ("", ""))
    begun = {record.name for record in journal.steps if record.begun}
    if command and procedure.role is Role.LEAD and until not in begun:
        found.append(command)
    return found


def _abort(procedures: Procedures, known: Known, kind: Kind | None) -> str:
    """Return the command that undoes it, which is another one where that was asked for and waits for the other node."""
    alone = without_peer(procedures, known) if known.journal.abort else []
    return alone[0] if alone else _command(kind, "abort", known.procedure.id)


def _waits(procedures: Procedures, known: Known) -> tuple[str, bool]:
    """Say what comes next or is waited for, and whether it needs a person."""
    procedure, journal, row = known
    facts = procedures.facts(procedure.id)
    if journal.outcome is not Outcome.OPEN:
        untold = f"{procedure.peer_name} still has to hear of it"
        return ("" if row.told else f"{untold}: {facts.away}" if facts.away else untold), False
    if procedure.role is Role.SECOND:
        leads = LED_BY.format(peer=procedure.peer_name)
        return (f"{leads}: {facts.away}" if facts.away else leads), False
    match next_move(procedure, journal, facts):
        case Wait(reason, person):
            return reason, person
        case Do(step):
            return _where(step, procedure.peer_name), False
        case Undo(step):
            return f"undoing: {_where(step, procedure.peer_name)}", False
    return "", False


def _where(step: StepSpec, peer: str) -> str:
    return f"{step.title} (on {peer})" if step.on is Role.SECOND else step.title


def _steps(known: Known) -> list[dict[str, Any]]:
    specs = {spec.name: spec for spec in known.procedure.steps}
    found = []
    for record in known.journal.steps:
        # Another version of syncer may have begun it with other steps.
        spec = specs.get(record.name, StepSpec(record.name, record.name))
        found.append(
            {
                "name": record.name,
                "title": spec.title,
                "on": spec.on.value,
                "state": record.state.value,
                "reason": record.reason,
                "attempts": record.attempts,
                "since": _moment(record.since),
                "point_of_no_return": spec.point_of_no_return,
            }
        )
    return found


def _command(kind: Kind | None, which: str, procedure: str) -> str:
    line: str = getattr(kind or Kind("", (), {}), which)
    return line.format(id=procedure[:8])


def _moment(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
