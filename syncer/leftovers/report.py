"""What a search has found: each place with the reason why it stands, and the rules that are missing (pure)."""

from __future__ import annotations

from typing import Any, NamedTuple

from syncer.leftovers.search import Hit
from syncer.model import shown
from syncer.substitution.attribution import Attribution, Place, suggestion
from syncer.substitution.rule import Rule

LISTED = 10_000
"""Places that one report carries; the total is always told."""
UNREAD_LISTED = 100
SUGGESTED = 100
"""Rules that one report suggests."""

_LEFT_ALONE = {
    "binary": "the file is binary, which is left alone",
    "certificate": "it stands in what begins as a certificate or key, which is left alone",
    "name": "it is the name of a file, and names are not substituted",
    "link": "it is where a link leads, and that is not substituted",
}


class Leftover(NamedTuple):
    """One of production's addresses that stands on failover."""

    place: Place
    hit: Hit
    why: str
    is_unnamed: bool
    """No rule names it anywhere: one is missing."""


class Report:
    """Gathers what one search finds on one failover node."""

    def __init__(self, name: str, attribution: Attribution) -> None:
        """Gather for the node `name`; `attribution` knows its rules."""
        self.name = name
        self.searched_files = self.searched_bytes = 0
        self.found: list[Leftover] = []
        self.total = 0
        self.addresses: set[str] = set()
        self.files: set[tuple[str, bytes]] = set()
        self.unread: list[tuple[Place, str]] = []
        self.unread_total = 0
        self._attribution = attribution
        self._unnamed: set[str] = set()

    def add(self, place: Place, hit: Hit, why: str = "") -> None:
        """Add what stands at `place`; `why` "" finds the reason among the rules."""
        self.total += 1
        self.addresses.add(hit.address.lower())
        self.files.add((place.domain, place.path))
        if len(self.found) < LISTED:
            found, is_unnamed = (why, False) if why else self._reason(place, hit)
            self.found.append(Leftover(place, hit, found, is_unnamed))

    def add_unread(self, place: Place, why: str) -> None:
        """Add a file of which nobody knows what stands in it."""
        self.unread_total += 1
        if len(self.unread) < UNREAD_LISTED:
            self.unread.append((place, why))

    def missing(self) -> list[Rule]:
        """Return the rules that would replace what no rule names, SUGGESTED at most; proving them takes a while."""
        rules = self._attribution.rules
        found = (suggestion(rules, address) for address in sorted(self._unnamed)[:SUGGESTED])
        return [rule for rule in found if rule is not None]

    def _reason(self, place: Place, hit: Hit) -> tuple[str, bool]:
        if hit.where in _LEFT_ALONE:
            return _LEFT_ALONE[hit.where], False
        limit = self._attribution.limit(place, hit.address)
        if limit:
            return limit, False
        rule = self._attribution.applying(place, hit.address)
        if rule is not None:
            return f"the rule {rule} has not reached it", False
        self._unnamed.add(hit.address.lower())
        return "no rule names it", True


def table_of(rule: Rule, target: str) -> str:
    """Return the table to add to production's configuration, below the [[failover]] of `target`."""
    return f'[[failover.substitute]]\nfrom = "{rule.source}"\nto = "…"  # what it is on {target}'


def document_of(report: Report) -> dict[str, Any]:
    """Return one report as docs/json.md describes it."""
    return {
        "name": report.name,
        "searched_files": report.searched_files,
        "searched_bytes": report.searched_bytes,
        "addresses": len(report.addresses),
        "files": len(report.files),
        "total": report.total,
        "found": [_leftover(item) for item in report.found],
        "missing": [{"from": rule.source, "table": table_of(rule, report.name)} for rule in report.missing()],
        "unread": [{"domain": place.domain, "path": shown(place.path), "reason": why} for place, why in report.unread],
        "unread_total": report.unread_total,
    }


def _leftover(item: Leftover) -> dict[str, Any]:
    return {
        "domain": item.place.domain,
        "path": shown(item.place.path),
        "line": item.hit.line,
        "text": item.hit.text,
        "address": item.hit.address,
        "where": item.hit.where,
        "why": item.why,
        "missing_rule": item.is_unnamed,
    }
