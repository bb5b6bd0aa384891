"""The commands of [hooks]: there, and executable."""

from __future__ import annotations

from collections.abc import Iterator

from syncer.config.programs import HOOKS
from syncer.doctor.commands import fault_of
from syncer.doctor.findings import Finding, fine, warned
from syncer.doctor.subject import Subject
from syncer.services.hooks import stops


def hooks(subject: Subject) -> Iterator[Finding]:
    """Yield which hooks could not be started here, and what that would mean."""
    named: dict[str, tuple[str, ...]] = {hook: getattr(subject.settings.hooks, hook) for hook in HOOKS}
    there = [hook for hook, words in named.items() if words]
    faults = {hook: fault for hook in there if (fault := fault_of(named[hook][0]))}
    for hook, fault in faults.items():
        what = "so the procedure would stop before it" if stops(hook) else "so it would fail after the procedure"
        cure = "install the program, or correct the command"
        yield warned(f"{named[hook][0]} {fault}, {what}", f"hooks.{hook}", cure)
    if there and not faults:
        yield fine(f"{', '.join(there)} can be started", "hooks")
