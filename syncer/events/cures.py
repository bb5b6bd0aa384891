"""What an event is called, and what to do about it: the command that cures it, or shows more of it (pure)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from syncer.model import EventValue

_EMPTY_END = re.compile(r"(`[^`]*?) +`")
"""A command that ends with a name that is not known."""

_CURES: Mapping[str, str] = {
    "sync": "run `syncer status` on {node}; once {target} is reachable again, syncer goes on by itself",
    "target.suspended": "do what the reason says, then `syncer resume {target}` or `syncer approve {target}` on {node}",
    "target.behind": "run `syncer status` on {node}",
    "brake.engaged": "look at `syncer diff {target}` on {node}; where it is meant, run `syncer approve {target}`",
    "drift.detected": "run `syncer drift {domain}` on {node}",
    "verify.failed": "run `syncer verify {target} --repair` on production",
    "check.failed": "correct the configuration on production; `syncer status` shows what the check said",
    "rolled_back": "correct what was wrong on production, then `syncer resume` there",
    "history.damaged": "run `syncer history {domain}` on {node}, and check its disk",
    "service.failed": "look at the service on {node}, and run the command there by hand",
    "problem": "run `syncer explain` for the path on {node}",
    "index.rebuilt": "check the disk of {node}",
    "watch.degraded": "run `syncer status` on {node}; the reason says which limit to raise",
    "peer.silent": "look whether {peer} runs, with `syncer status` there; where it is gone for good, fail over",
    "clock.skewed": "look at the clocks of {node} and {peer}, and at what sets them",
    "term.refused": "run `syncer status` on both nodes: only one of them may be production",
    "pairing.refused": "where nobody of yours tried to pair, look at who reaches the port of {node}",
    "hold.failed": "look at what the command left, then `syncer resume` on {node}",
    "hold.long": "look whether the command still runs on {node}; end it, or `syncer resume`",
    "frozen": "`syncer thaw --domain {domain}` on {node} ends it",
    "frozen.changed": "look on {node} at what still writes to {domain}; `syncer status` names the first paths",
    "frozen.forgotten": "where it is not meant any more, run `syncer thaw --domain {domain}` on {node}",
    "hook.failed": "correct the command in [hooks] on {node}",
    "leftovers.found": "run `syncer leftovers {domain}` on {node}, and add the rules that are missing on production",
    "rules.refused": "make the rules in {node}'s table for {peer} the inverse of production's, or leave them out there",
    "config.refused": "run `syncer config check` on {node}, correct the file, then reload again",
    "condition.failed": "correct `when` of the trigger {failed_trigger} in the configuration of {node}",
    "action.failed": "run `syncer trigger test {failed_trigger}` on {node}; `syncer outbox` shows what was answered",
    "actions.overflowed": "run `syncer outbox` on {node}; a longer `throttle` makes fewer actions",
    "events.lost": "run `syncer events` on {node}, and check its disk",
}


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
    "pairing.joined": "node paired",
    "pairing.refused": "pairing refused",
    "hold.failed": "hold failed",
    "hold.long": "domain held for long",
    "frozen": "domain frozen",
    "thawed": "domain thawed",
    "frozen.changed": "frozen domain has changed",
    "frozen.forgotten": "freeze forgotten",
    "hook.failed": "hook failed",
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
    text = _CURES.get(event, "")
    for name in ("node", "target", "domain", "peer", "failed_trigger"):
        # Quoted: it is meant to be typed.
        value = str(variables.get(name, ""))
        text = text.replace(f"{{{name}}}", shlex.quote(value) if value else "")
    return _EMPTY_END.sub(r"\1`", text)
