"""What both nodes of a procedure say to each other, as values."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, IntEnum
from typing import Any, NamedTuple

from syncer.model import Mode, Term
from syncer.procedures.steps import Outcome, StepState

Standing = Mapping[str, StepState]
"""The state of each step, by its name."""


class Why(IntEnum):
    """Why something was refused; the numbers of proto/syncer/v1/procedures.proto."""

    UNSPECIFIED = 0
    MALFORMED = 1
    STALE_TERM = 2
    BUSY = 3
    UNKNOWN_KIND = 4
    UNKNOWN_PROCEDURE = 5
    UNKNOWN_STEP = 6
    NOT_YOURS = 7
    OUT_OF_SEQUENCE = 8
    TOO_LATE = 9
    ENDED = 10
    IMPOSSIBLE = 11


class Action(Enum):
    """What is ordered of a step."""

    DO = "do"
    UNDO = "undo"
    VERIFY = "verify"


class Speaker(NamedTuple):
    """Who speaks, with the highest term that it has seen."""

    node_id: str
    node_name: str
    term: Term
    mode: Mode


class Refusal(NamedTuple):
    """Nothing was changed, and why."""

    why: Why
    message: str


class Proposal(NamedTuple):
    """Begin a procedure, as the second."""

    procedure: str
    kind: str
    parameters: Mapping[str, Any]


class Order(NamedTuple):
    """Do, undo or verify one step."""

    procedure: str
    step: str
    action: Action
    parameters: Mapping[str, Any]
    standing: Standing


class Progress(NamedTuple):
    """How far an order is; total 0: not known."""

    text: str = ""
    done: int = 0
    total: int = 0


class Done(NamedTuple):
    """An order was carried out."""

    result: Mapping[str, Any]


class Failed(NamedTuple):
    """An order was not carried out."""

    reason: str
    again: bool
    """Trying again may help."""
    begun: bool
    """False: nothing of it was done."""


Ending = Done | Failed


class End(NamedTuple):
    """The procedure is over."""

    procedure: str
    outcome: Outcome
    reason: str
    report: Mapping[str, Any]
    standing: Standing


class AbortWish(NamedTuple):
    """An operator of the second wants the procedure undone."""

    procedure: str
    reason: str


class StandingOf(NamedTuple):
    """Where a procedure stands with the node that is asked."""

    outcome: Outcome
    reason: str
    report: Mapping[str, Any]
    standing: Standing
