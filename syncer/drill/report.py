"""What a drill has shown, and what it comes to (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from syncer.errors import CommandFailure
from syncer.procedures.readiness import Finding, Level

READY, WITH_WARNINGS, NOT_READY = "ready", "ready with warnings", "not ready"
_EXIT_CODES = {READY: 0, WITH_WARNINGS: 3, NOT_READY: 4}

COPY, STANDING = "copy", "standing"
"""What a check has looked at: the copy at the real path, or what stands there."""


class Step(NamedTuple):
    """Something that a promotion would do, in its order."""

    what: str
    domain: str = ""
    command: str = ""
    """As a person would type it, without secrets; "" for what syncer does itself."""


class CheckShown(NamedTuple):
    """How a domain's check ended."""

    looked_at: str
    """COPY or STANDING."""
    is_ok: bool
    report: CommandFailure
    why_standing: str = ""
    """Why the copy could not be shown to it; "" where it could."""


class DomainShown(NamedTuple):
    """What was tried with one domain."""

    name: str
    path: str
    error: str = ""
    """Why it could not be tried; "" where it was."""
    copied: dict[str, Any] | None = None
    check: CheckShown | None = None
    home: dict[str, Any] | None = None
    home_to: str = ""

    def document(self) -> dict[str, Any]:
        """Return it as docs/json.md describes it."""
        check = self.check
        return {
            "name": self.name,
            "path": self.path,
            "error": self.error,
            "copy": self.copied,
            "check": None if check is None else {
                "looked_at": check.looked_at, "passed": check.is_ok, "reason": check.why_standing,
                **check.report._asdict(),
            },
            "home": None if self.home is None else {"to": self.home_to, **self.home},
        }  # fmt: skip  # one document


def findings_of(domains: Iterable[DomainShown]) -> list[Finding]:
    """Return what the copies have shown, beside what their checks say."""
    return [finding for domain in domains for finding in _findings(domain)]


def _findings(domain: DomainShown) -> Iterator[Finding]:
    name = domain.name
    if domain.error:
        yield Finding("copy", Level.REFUSAL, domain.error, "put that right, and run the drill again", name)
        return
    if domain.copied is not None and not domain.copied["one_state"]:
        what = f"{name} was changed here again and again while it was copied: what was tried is not one state of it"
        yield Finding("copy", Level.WARNING, what, "find who writes there, and run the drill again", name)
    if domain.copied is not None and domain.copied["skipped_count"]:
        what = f"{domain.copied['skipped_count']:,} paths of {name} could not be copied"
        yield Finding("copy", Level.WARNING, what, "the report names them", name)
    if domain.check is not None and domain.check.looked_at == STANDING:
        what = f"the check of {name} looked at what stands, not at a copy: {domain.check.why_standing}"
        yield Finding("check", Level.WARNING, what, "let the agent run as root on a kernel with overlayfs", name)
    if domain.home is not None:
        yield from _home(name, domain.home_to, domain.home)


def _home(name: str, to: str, home: dict[str, Any]) -> Iterator[Finding]:
    there = to or "production"
    if home["unproven"]:
        what = f"{home['unproven']:,} files of {name} that nobody edited do not come home as {there} had them"
        yield Finding("home", Level.REFUSAL, what, "run `syncer verify` on production, or `syncer snapshot`", name)
    if home["left_out"]:
        what = f"{home['left_out']:,} edited files of {name} would stay here when the rest goes home"
        yield Finding("home", Level.WARNING, what, "a person decides them with `syncer reverse --prefer`", name)
    if home["gone"]:
        what = f"{home['gone']:,} paths of {name} came from {there} and are not captured here: they would go there"
        yield Finding("home", Level.WARNING, what, "see `syncer drift`, and compare the patterns of both nodes", name)
    if not (home["unproven"] or home["left_out"] or home["gone"]):
        files = f"{home['proved']:,} files as {there} gave them, {home['edited']:,} that were made or edited here"
        yield Finding("home", Level.OK, f"all of {name} goes home: {files}", "", name)


def outcome_of(findings: Sequence[Finding]) -> str:
    """Return what the findings come to: READY, WITH_WARNINGS or NOT_READY."""
    levels = {finding.level for finding in findings}
    if Level.REFUSAL in levels:
        return NOT_READY
    return WITH_WARNINGS if Level.WARNING in levels else READY


def exit_code_of(outcome: str) -> int:
    """Return 0 ready, 3 with warnings, 4 not ready."""
    return _EXIT_CODES[outcome]
