"""What an event is called, and what to do about it: the command that cures it, or shows more of it (pure)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import NamedTuple

from syncer.model import EventValue

_PLACE = re.compile(r"(?P<before>(?: --domain)? )?\{(?P<name>[a-z_]+)\}")
_RESUME = "`syncer resume {target} --domain {domain}` on {node}"
_APPROVE = "`syncer approve {target} --domain {domain}`"
_LOOK_THERE = "look whether the agent of {target} runs, with `syncer status` there"
_SUSPENDED = f"do what the reason says, then run {_RESUME}, or, where it waits for a person's word, {_APPROVE}"
_SLOW = (
    f"run `syncer wait {{target}}` on {{node}}: it returns once nothing is missing; where that takes too long, "
    f"{_LOOK_THERE}, and with `syncer doctor --domain {{domain}}` on {{node}} how it is reached"
)


class _Choice(NamedTuple):
    """Cures by the value of one variable."""

    variable: str
    texts: Mapping[EventValue, str]
    otherwise: str


_CURES: Mapping[str, str | _Choice] = {
    "sync": _Choice(
        "error_class",
        {
            "": "",
            "unreachable": f"{_LOOK_THERE}, and whether {{node}} reaches it, with `syncer doctor --domain {{domain}}` "
            "on {node}; once it answers, syncer goes on by itself",
            "refused": "correct what the error says; `syncer doctor --domain {domain}` on {node} asks {target} again",
            "waiting": "run `syncer status` on {node}, which says what it waits for: a root that is missing must be "
            f"put back; for deletions that are meant run {_APPROVE}, after a rollback {_RESUME}",
            "disk full": f"free space on {{target}}; once it is suspended, {_RESUME} tries again at once",
            "check failed": "correct the configuration of {domain} on production; what is corrected is sent by itself",
            "protocol": f"look whether {{node}} and {{target}} run the same version, with `syncer --version` on both; "
            f"once it is suspended, {_RESUME} tries again",
            "internal": f"look at the disk of {{target}} and at the agent's log there; once it is suspended, {_RESUME} "
            "tries again",
        },
        "run `syncer status` on {node}",
    ),
    "target.suspended": _SUSPENDED,
    "target.behind": _Choice(
        "state",
        {
            "suspended": _SUSPENDED,
            "unreachable": f"{_LOOK_THERE}; once it answers, syncer goes on by itself, and `syncer wait {{target}}` on "
            "{node} returns when nothing is missing",
        },
        _SLOW,
    ),
    "brake.engaged": "look at `syncer diff {target} --domain {domain}` on {node}; where all of it is meant, run "
    f"{_APPROVE}",
    "drift.detected": "run `syncer drift {domain}` on {node}, and bring what is to stay to production: the next full "
    "synchronization undoes the rest",
    "verify.failed": "run `syncer verify {target} --domain {domain}` on {node}, which lists what differs; where "
    "production's bytes are right, run it with `--repair`",
    "check.failed": "correct the configuration of {domain} on production as the output says; it is sent by itself",
    "rolled_back": "correct what was wrong with {domain} on production, then `syncer resume --domain {domain}` there",
    "history.damaged": "run `syncer history {domain}` on {node}, and check its disk",
    "service.failed": "correct what the output says, then run `syncer service {action} {domain}` on {node}",
    "problem": "correct what the reason says; `syncer explain {path}`, run on {node} in the root of {domain}, says how "
    "it stands",
    "index.rebuilt": "check the disk of {node}; `syncer wait` there returns once every target is level again",
    "watch.degraded": "do what the reason says; `syncer doctor --domain {domain}` on {node} looks at the watches again",
    "peer.silent": "look whether {peer} runs, with `syncer status` there, and `syncer doctor` on {node}; where it is "
    "gone for good, fail over",
    "clock.skewed": "compare `date -u` on {node} and {peer}, and look at what sets their clocks",
    "term.refused": "run `syncer status` on {node} and on {peer}: only one of them may be production",
    "session.refused": "run `syncer status` on {node}, and do what the reason says",
    "fenced": "look with `syncer status` on {node} at what was changed there and never sent",
    "split_brain": "keep services of one of both nodes only; `syncer status` on both shows which one is fenced",
    "pairing.refused": "where it was you, run `syncer invite` on {node} for a new token; else look at who reaches its "
    "port from {address}",
    "introduction.refused": "look on {node} and {peer} with `syncer status` which of them follows which production "
    "node; where the one that it spoke of is to be known here, pair both, beginning with `syncer invite`",
    "retired": "set the machine of {node} up anew: move its state folder away, `syncer init`, and pair it",
    "hold.failed": "look at what the command left, with `syncer diff --domain {domain}` on {node}; then run "
    "`syncer resume --domain {domain}` there",
    "hold.long": "look whether process {pid} on {node} still does something; where not, end it and run "
    "`syncer resume --domain {domain}` there",
    "frozen": "run `syncer thaw --domain {domain}` on {node} to end it",
    "frozen.changed": "look on {node} at what still writes to {domain}; `syncer status` names the first paths",
    "frozen.forgotten": "where it is not meant any more, run `syncer thaw --domain {domain}` on {node}",
    "hook.failed": "correct the command in [hooks] on {node}",
    "leftovers.found": "run `syncer leftovers {target} --domain {domain}` on {node}, and add the missing rules",
    "procedure.step": _Choice(
        "state",
        {"running": "", "done": "", "undoing": "", "undone": ""},
        "correct what the reason says, then run `syncer procedure {procedure} resume` on the node that leads it; "
        "`syncer procedure {procedure}` on {node} shows how it stands",
    ),
    "procedure.aborted": "correct what the reason says, then begin it again; `syncer procedure {procedure}` on {node} "
    "shows what was undone",
    "rules.refused": "make the rules in {node}'s table for {peer} the inverse of production's, or leave them out there",
    "config.refused": "run `syncer config check` on {node}, correct the file, then reload again",
    "condition.failed": "correct `when` of the trigger {failed_trigger} in the configuration of {node}; "
    "`syncer config check` there tries it",
    "action.failed": "correct what was answered, see that `syncer trigger test {failed_trigger}` on {node} works, then "
    "run `syncer outbox --retry --all` there",
    "actions.overflowed": "run `syncer outbox` on {node}, which says what does not work; a longer `throttle` makes "
    "fewer actions",
    "events.lost": "look at the load and the disk of {node}; `syncer events` there shows what was kept",
}
"""What helps, with the commands as they are to be typed; the names of variables in braces."""


_HEADLINES: Mapping[str, str] = {
    "target.suspended": "target suspended",
    "target.resumed": "target resumed",
    "target.behind": "target behind",
    "target.caught_up": "target has caught up",
    "brake.engaged": "brake engaged",
    "drift.detected": "files edited on failover",
    "verify.failed": "verification found differences",
    "leftovers.found": "production's addresses left on failover",
    "check.failed": "check failed",
    "rolled_back": "domain rolled back",
    "history.damaged": "history damaged",
    "service.failed": "service command failed",
    "service.started": "services started",
    "service.stopped": "services stopped",
    "problem": "path with a problem",
    "problem.cleared": "problem cleared",
    "index.rebuilt": "index built anew",
    "watch.degraded": "changes not seen at once",
    "watch.restored": "changes seen at once again",
    "peer.silent": "production is silent",
    "peer.heard": "production is heard again",
    "clock.skewed": "clocks differ",
    "clock.agreed": "clocks agree again",
    "term.refused": "lower term refused",
    "session.refused": "sender refused",
    "promoted": "node is production now",
    "demoted": "node is failover now",
    "reversed": "old production serves again",
    "fenced": "node is fenced",
    "split_brain": "split brain",
    "pairing.joined": "node paired",
    "pairing.refused": "pairing refused",
    "peer.introduced": "node introduced",
    "introduction.refused": "introduction refused",
    "peer.retired": "another node was retired",
    "retired": "this node was retired",
    "hold.failed": "hold failed",
    "hold.long": "domain held for long",
    "frozen": "domain frozen",
    "thawed": "domain thawed",
    "frozen.changed": "frozen domain has changed",
    "frozen.forgotten": "freeze forgotten",
    "hook.failed": "hook failed",
    "procedure.started": "procedure begun",
    "procedure.step": "step of a procedure",
    "procedure.finished": "procedure finished",
    "procedure.aborted": "procedure aborted",
    "config.reloaded": "configuration reloaded",
    "rules.refused": "substitution rules refused",
    "config.refused": "configuration not reloaded",
    "condition.failed": "condition of a trigger failed",
    "action.failed": "action of a trigger failed",
    "actions.overflowed": "too many actions",
    "events.lost": "events lost",
}


def headline_of(event: str, variables: Mapping[str, EventValue]) -> str:
    """Return what an event with these variables is called in a mail."""
    if event == "sync":
        return "synchronization failed" if variables.get("success") is False else "synchronization done"
    return _HEADLINES.get(event, event)


def cure_of(event: str, variables: Mapping[str, EventValue]) -> str:
    """Return what to do about an event with these variables; "" where there is nothing to do."""
    found = _CURES.get(event, "")
    if isinstance(found, _Choice):
        found = found.texts.get(variables.get(found.variable, ""), found.otherwise)
    parts = found.split("`")
    # What stands between backticks is meant to be typed, so values are quoted there.
    filled = [_filled(part, variables, typed=bool(number % 2)) for number, part in enumerate(parts)]
    return "`".join(filled)


def _filled(text: str, variables: Mapping[str, EventValue], *, typed: bool) -> str:
    def value(place: re.Match[str]) -> str:
        before, found = place["before"] or "", str(variables.get(place["name"], ""))
        if not typed:
            return f"{before}{found}"
        # Of no domain or target in particular: then the command is for all.
        return f"{before}{shlex.quote(found)}" if found else ""

    return _PLACE.sub(value, text)
