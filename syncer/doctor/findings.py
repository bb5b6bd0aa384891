"""What a check has found: how grave, what, where, and the cure; and what it comes to (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, NamedTuple


class Severity(Enum):
    """How grave a finding is."""

    OK = "ok"
    NOTE = "note"
    """Worth knowing; nothing to do."""
    WARNING = "warning"
    """The node works, but not as one would expect, or a failover would lack something."""
    ERROR = "error"
    """Something that the node needs is broken."""


class Finding(NamedTuple):
    """One thing that was looked at."""

    severity: Severity
    what: str
    where: str = ""
    """A path, a key of the configuration, a target; "" where `what` says it."""
    cure: str = ""
    """What to do; "" for what is fine."""

    @property
    def sentence(self) -> str:
        """All of it in one sentence."""
        return ": ".join(part for part in (self.where, self.what, self.cure) if part)


class Group(NamedTuple):
    """What one check has found."""

    name: str
    findings: tuple[Finding, ...]


def fine(what: str, where: str = "") -> Finding:
    """Return a finding that needs nothing."""
    return Finding(Severity.OK, what, where)


def noted(what: str, where: str = "", cure: str = "") -> Finding:
    """Return a finding that is only worth knowing."""
    return Finding(Severity.NOTE, what, where, cure)


def warned(what: str, where: str, cure: str) -> Finding:
    """Return a finding that a person should look at."""
    return Finding(Severity.WARNING, what, where, cure)


def broken(what: str, where: str, cure: str) -> Finding:
    """Return a finding without whose cure the node does not work."""
    return Finding(Severity.ERROR, what, where, cure)


def exit_code(groups: Iterable[Group]) -> int:
    """Return 1 where something is broken, 3 where there is a warning, else 0."""
    found = {finding.severity for group in groups for finding in group.findings}
    if Severity.ERROR in found:
        return 1
    return 3 if Severity.WARNING in found else 0


def counts(groups: Iterable[Group]) -> dict[str, int]:
    """Return how many findings there are of each severity."""
    found = [finding.severity for group in groups for finding in group.findings]
    return {severity.value: found.count(severity) for severity in Severity}


def document(node: str, mode: str, groups: Sequence[Group], code: int) -> dict[str, Any]:
    """Return the result of `syncer doctor` as docs/json.md describes it."""
    return {
        "node": node,
        "mode": mode,
        "groups": [{"name": group.name, "findings": [_finding(item) for item in group.findings]} for group in groups],
        "counts": counts(groups),
        "exit_code": code,
    }


def _finding(finding: Finding) -> dict[str, str]:
    return {**finding._asdict(), "severity": finding.severity.value}
