"""The list of all checks, in the order in which they are shown, and how they are run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from syncer.doctor.accounts import accounts
from syncer.doctor.addresses import addresses
from syncer.doctor.agent import agent
from syncer.doctor.commands import commands
from syncer.doctor.configuration import configuration
from syncer.doctor.databases import databases
from syncer.doctor.findings import Finding, Group
from syncer.doctor.hooks import hooks
from syncer.doctor.kernel import kernel
from syncer.doctor.outside import outside_files
from syncer.doctor.peers import peers
from syncer.doctor.roots import roots
from syncer.doctor.state_files import state_files
from syncer.doctor.subject import Subject
from syncer.doctor.switching import switching
from syncer.doctor.watches import watches


class Check(NamedTuple):
    """One group of findings: its name, and what finds them."""

    name: str
    run: Callable[[Subject], Iterable[Finding]]
    """Looks, and changes nothing; raises nothing that an operator could cause."""


CHECKS: tuple[Check, ...] = (
    Check("configuration", configuration),
    Check("machine", kernel),
    Check("state", state_files),
    Check("agent", agent),
    Check("roots", roots),
    Check("watches", watches),
    Check("commands", commands),
    Check("hooks", hooks),
    Check("change of roles", switching),
    Check("accounts", accounts),
    Check("peers", peers),
    Check("files that nobody synchronizes", outside_files),
    Check("addresses", addresses),
    Check("databases", databases),
)
"""Whoever has another check adds it here."""


def examine(subject: Subject, checks: Sequence[Check] = CHECKS) -> tuple[Group, ...]:
    """Run the checks, and return what those found that have anything to say."""
    groups = (Group(check.name, tuple(check.run(subject))) for check in checks)
    return tuple(group for group in groups if group.findings)
