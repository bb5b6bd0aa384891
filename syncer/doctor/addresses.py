"""Production's addresses that still stand on failover, as the agent finds them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from syncer.doctor.findings import Finding, fine, noted, warned
from syncer.doctor.subject import Subject
from syncer.leftovers.findings import leftover_findings

SHOWN = 20
"""Findings that are said one by one."""


def addresses(subject: Subject) -> Iterator[Finding]:
    """Yield what still stands; a note where no rule says that failover has addresses of its own."""
    document = subject.agent.leftovers
    if document is None:
        return
    has_rules = not subject.receives and any(target.rules.rules for target in subject.settings.failover)
    say = warned if has_rules or subject.receives else noted
    found = leftover_findings(document, {domain.name: domain.path for domain in subject.settings.domains})
    for finding in islice(found, SHOWN):
        yield say(finding.text, finding.where, finding.cure)
    more = sum(1 for _ in found)
    if more:
        yield say(f"{more} more of production's addresses still stand", "", "see `syncer leftovers`")
    if has_rules and not document["exit_code"]:
        yield fine("none of production's addresses stands on failover", "")
