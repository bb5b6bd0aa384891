"""What stands between a failover node and its promotion: findings, and what each means for which promotion (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, NamedTuple


class Level(Enum):
    """How grave a finding is."""

    OK = "ok"
    WARNING = "warning"
    """Shown, and asked about."""
    REFUSAL = "refusal"
    """Nothing begins."""


class Purpose(Enum):
    """What the node is to be ready for."""

    PLANNED = "planned"
    """Production lives, and hands over."""
    FORCED = "forced"
    """Production is dead, or taken to be."""
    DRILL = "drill"
    """Nothing is to change; what would happen is to be known."""


class Finding(NamedTuple):
    """One precondition that was looked at."""

    name: str
    """What was looked at, such as `exposure`; stable, for programs."""
    level: Level
    sentence: str
    cure: str = ""
    """What to do; "" for what is as it should be."""
    domain: str = ""
    """"": the whole node."""

    def document(self) -> dict[str, Any]:
        """Return it as docs/json.md describes it."""
        return {**self._asdict(), "level": self.level.value}


def refusals(findings: Iterable[Finding]) -> list[Finding]:
    """Return what forbids to begin."""
    return [finding for finding in findings if finding.level is Level.REFUSAL]


def warnings(findings: Iterable[Finding]) -> list[Finding]:
    """Return what a person should have seen before it begins."""
    return [finding for finding in findings if finding.level is Level.WARNING]


def document(purpose: Purpose, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the readiness of a node as docs/json.md describes it."""
    return {
        "purpose": purpose.value,
        "ready": not refusals(findings),
        "warnings": len(warnings(findings)),
        "refusals": len(refusals(findings)),
        "findings": [finding.document() for finding in findings],
    }
