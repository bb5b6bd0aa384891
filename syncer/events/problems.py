"""Which paths became problems and which are none any more, as events."""

from __future__ import annotations

from collections.abc import Sequence

from syncer.model import Problem, RecordEvent, shown

RAISED_AT_ONCE = 20
"""Paths of one change that get an event each; the rest of them share one."""


class ProblemChanges:
    """Compares the problems of one place with those of before; used by one thread."""

    def __init__(self, target: str, domain: str, record: RecordEvent) -> None:
        """Raise through `record`; an empty `target` is production's own disk."""
        self._where = {"target": target, "domain": domain}
        self._record = record
        self._known: tuple[Problem, ...] = ()

    def now(self, problems: Sequence[Problem]) -> None:
        """Raise what came and what went."""
        found = tuple(problems)
        if found == self._known:
            return
        before, after = set(self._known), set(found)
        self._known = found
        paths = {problem.path for problem in after}
        # The same path with another reason is still a problem.
        gone = [problem for problem in before - after if problem.path not in paths]
        self._raise("problem", sorted(after - before))
        self._raise("problem.cleared", sorted(gone))

    def _raise(self, event: str, problems: list[Problem]) -> None:
        for problem in problems[:RAISED_AT_ONCE]:
            self._record(event, {**self._where, "path": shown(problem.path), "reason": problem.reason})
        rest = len(problems) - RAISED_AT_ONCE
        if rest > 0:
            self._record(event, {**self._where, "path": "", "reason": f"and {rest:,} more paths: see `syncer status`"})
