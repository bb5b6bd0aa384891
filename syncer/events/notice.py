"""What a trigger has to say, as a value: kept as JSON in the outbox, and read by templates and receivers (pure)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from syncer.events.cures import cure_of, headline_of
from syncer.model import EventValue

ALARM = "alarm"
RECOVERY = "recovery"
TEST = "test"
SUBJECTS_LISTED = 20
"""Subjects that a notice names; the rest is counted."""

TEMPLATE_VARIABLES: Mapping[str, str] = {
    "event": "name of the event",
    "trigger": "name of the trigger",
    "headline": "what the event is called, such as `synchronization failed`",
    "time": "when the notice was made, RFC 3339",
    "since": "when the first of what it stands for happened, RFC 3339",
    "count": "how many events it stands for",
    "subjects": "which states it stands for, as a list of texts such as `dr-a, nginx`",
    "lasting": "whether something of it lasts still",
    "recovered": "whether it tells of an end",
    "lasted_seconds": "of an end: how long it had lasted; else 0",
    "test": "whether it is only a test",
    "exposure": "what failing over would have lost when the notice was made, as a sentence; empty where nobody knows",
    "cure": "what to do, as far as it is known; empty where it is over",
}
"""What templates know beside the variables of the event and the table [variables]."""


class Notice(NamedTuple):
    """One thing to tell; times in Unix seconds."""

    kind: str
    """alarm, recovery or test."""
    trigger: str
    event: str
    node: str
    at: float
    since: float
    times: int
    lasting: bool
    subjects: tuple[str, ...]
    variables: Mapping[str, EventValue]
    """Those of the latest event; of a recovery those of the event that had begun the state."""
    lasted: float = 0.0
    """Of a recovery: seconds that what ended last had lasted."""
    exposure: str = ""
    """What failing over would have lost when it was made."""

    @property
    def is_over(self) -> bool:
        """Tell whether all of it has ended."""
        return self.kind == RECOVERY or (self.kind == ALARM and bool(self.subjects) and not self.lasting)

    def dumped(self) -> str:
        """Return it as JSON in ASCII."""
        return json.dumps(self._asdict(), ensure_ascii=True)

    @classmethod
    def loaded(cls, text: str) -> Notice:
        """Return what `dumped` had made."""
        found: dict[str, Any] = json.loads(text)
        found["subjects"] = tuple(found["subjects"])
        return cls(**found)

    def values(self, constants: Mapping[str, EventValue]) -> dict[str, Any]:
        """Return everything that a template may name; `constants` is the table [variables]."""
        return {
            **constants,
            **{key: readable(value) for key, value in self.variables.items()},
            "event": self.event,
            "trigger": self.trigger,
            "headline": headline_of(self.event, self.variables),
            "node": self.node,
            "time": moment(self.at),
            "since": moment(self.since),
            "count": self.times,
            "subjects": [readable(subject) for subject in self.subjects],
            "lasting": self.lasting,
            "recovered": self.kind == RECOVERY,
            "test": self.kind == TEST,
            "lasted_seconds": self.lasted,
            "exposure": readable(self.exposure),
            "cure": "" if self.is_over else readable(cure_of(self.event, self.variables)),
        }

    def document(self) -> dict[str, Any]:
        """Return it as receivers of a webhook get it; docs/json.md describes it."""
        found = self.values({})
        return {
            **{key: found[key] for key in (*TEMPLATE_VARIABLES, "node")},
            "kind": self.kind,
            "variables": {key: readable(value) for key, value in self.variables.items()},
        }


def moment(at: float) -> str:
    """Return Unix seconds as RFC 3339 in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def readable(value: Any) -> Any:  # noqa: ANN401  # texts are made readable, other values stay as they are
    """Return a text as UTF-8 can hold it, without control characters but line breaks; other values as they are."""
    if not isinstance(value, str):
        return value
    plain = value.encode("utf-8", "backslashreplace").decode("utf-8").replace("\r\n", "\n").replace("\t", " ")
    return "".join(
        letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in plain
    )
