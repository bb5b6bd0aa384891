"""What one trigger remembers between events, and the JSON that keeps it over a restart (pure)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from syncer.model import EventValue

Variables = Mapping[str, EventValue]


class Lasting(NamedTuple):
    """A state that lasts, or one that was told and ended; times in Unix seconds."""

    since: float
    times: int
    """Events that said so."""
    variables: Variables
    """Of the latest of them."""
    ripe: bool = False
    """It has lasted for `after`, so it counts."""
    told: bool = False
    """A notice has gone out while it lasted: its end is told, too."""
    ended: float = 0.0
    doubted: float = 0.0
    """When it counts as ended unless it is told again; 0: never."""
    lasted: float = 0.0
    """Of what has ended: for how many seconds it lasted."""
    held: int = 0
    """Events of it that counted, and are not told yet."""
    held_since: float = 0.0
    """When the first of them came."""
    latest: float = 0.0
    """When the latest event of it came."""

    def dumped(self) -> str:
        """Return it as JSON in ASCII."""
        return json.dumps(self._asdict(), ensure_ascii=True)

    @classmethod
    def loaded(cls, text: str) -> Lasting:
        """Return what `dumped` had made."""
        return cls(**json.loads(text))


class Held(NamedTuple):
    """Events that counted, and are not told yet, of no state that is followed: it ended before, or there is none."""

    times: int
    since: float
    variables: Variables
    """Of the latest."""
    subjects: tuple[str, ...]
    """Subjects of states among them, each once; bounded."""
    latest: float = 0.0
    """When the latest came."""


@dataclass
class Memory:
    """All of it; changed by the state machine only."""

    alarmed: float | None = None
    """When the latest alarm went out."""
    recovered: float | None = None
    """When the latest recovery notice went out."""
    held: Held | None = None
    lasting: dict[str, Lasting] = field(default_factory=dict)
    """By subject."""
    ended: dict[str, Lasting] = field(default_factory=dict)
    """States that had been told, have ended, and are not told to be over yet."""

    def times_held(self) -> int:
        """Return how many events counted, and are not told yet."""
        return (self.held.times if self.held else 0) + sum(state.held for state in self.lasting.values())

    def dumped(self) -> str:
        """Return what is not by subject, as JSON in ASCII."""
        held = self.held._asdict() if self.held else None
        return json.dumps({"alarmed": self.alarmed, "recovered": self.recovered, "held": held}, ensure_ascii=True)

    @classmethod
    def loaded(cls, text: str, lasting: dict[str, Lasting], ended: dict[str, Lasting]) -> Memory:
        """Return what `dumped` had made, with the states that were kept beside it."""
        found: dict[str, Any] = json.loads(text)
        held = found["held"]
        if held is not None:
            held = Held(**{**held, "subjects": tuple(held["subjects"])})
        return cls(found["alarmed"], found["recovered"], held, lasting, ended)

    def copy(self) -> Memory:
        """Return another one that is equal."""
        return Memory(self.alarmed, self.recovered, self.held, dict(self.lasting), dict(self.ended))
