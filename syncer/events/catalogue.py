"""Every event that a node can raise, with its variables and their types; no I/O.

docs/events.md says the same to people, and a test holds both together.
"""

from __future__ import annotations

from collections.abc import Mapping

from syncer.errors import InvariantError
from syncer.events.definition import (
    COMMAND,
    DOMAIN,
    EXIT,
    NODE,
    OUTPUT,
    PATH,
    PATHS,
    SAMPLE,
    SECONDS,
    TARGET,
    TRIGGER,
    Definition,
    Variable,
)
from syncer.events.freeze_events import FREEZE_EVENTS
from syncer.events.home_events import HOME_EVENTS
from syncer.events.network_events import NETWORK_EVENTS
from syncer.model import EventValue

_STREAM = {"node": NODE, "target": TARGET, "domain": DOMAIN}
_SYNC = {
    "success": Variable(bool, "whether it arrived"),
    "kind": Variable(str, "`partial` or `full`"),
    **_STREAM,
    "changes": Variable(int, "paths that changed on failover"),
    "bytes": Variable(int, "content that was sent, in bytes"),
    "seconds": Variable(float, "how long it took, in seconds; summed up, all of them together"),
    "error": Variable(str, "why it failed; empty where it succeeded"),
    "error_class": Variable(
        str,
        "`unreachable`, `refused`, `waiting`, `disk full`, `check failed`, `protocol` or `internal`; empty where it "
        "succeeded",
    ),
    "consecutive_failures": Variable(int, "failed attempts in a row, with this one; 0 where it succeeded"),
}
_PEER = Variable(str, "name of the other node")
_MODE = {
    "node": NODE,
    "peer": Variable(str, "name of the node that it came from; empty where a person or a procedure did it"),
    "before": Variable(str, "the mode that it left: `production`, `failover` or `fenced`"),
    "term": Variable(int, "counter of the term that it has now"),
    "reason": Variable(str, "why"),
}
_PROCEDURE = {
    "node": NODE,
    "procedure": Variable(str, "its id, the same on both nodes"),
    "kind": Variable(str, "what it does, such as `promote`"),
    "role": Variable(str, "`lead` on the node that runs it, `second` on the other"),
    "peer": _PEER,
}
_BEHIND = {
    **_STREAM,
    "state": Variable(str, "state of the target, such as `streaming`, `suspended` or `unreachable`"),
    "reason": Variable(str, "why it is in this state; empty where nothing is wrong"),
    "changes": Variable(int, "paths that failing over now would lose"),
    "bytes": Variable(int, "their content, in bytes"),
    "oldest_seconds": Variable(float, "age of the oldest of them, in seconds"),
}
_SILENCE = {
    "node": NODE,
    "peer": Variable(str, "name of production; where it never came, the names of the nodes that are paired"),
    "seconds": Variable(float, "how long nothing was heard, in seconds"),
    "ever_heard": Variable(bool, "whether it was heard since the agent started"),
    "changes": Variable(int, "changes that this node is known to lack, at least; more may have come since"),
}
_SKEW = {
    "node": NODE,
    "peer": TARGET,
    "seconds": Variable(float, "how far its clock is ahead, in seconds; negative: behind"),
}

_BY_PERSON = Variable(bool, "whether it is `syncer suspend` that stops it: meant so, and no alarm")

CATALOGUE: Mapping[str, Definition] = {
    "sync": Definition(
        "A synchronization failed, or a full one was done; partial ones that succeed are summed up for each target, "
        "domain and minute.",
        _SYNC,
    ),
    "target.suspended": Definition(
        "Nothing is sent to a target any more, until what the reason says was done.",
        {**_STREAM, "reason": Variable(str, "why, and what to do"), "by_person": _BY_PERSON},
    ),
    "target.resumed": Definition(
        "A target that was suspended takes what is sent again: something has arrived, or nothing is left to send.",
        {**_STREAM, "reason": Variable(str, "why it had been suspended"), "by_person": _BY_PERSON},
    ),
    "target.behind": Definition(
        "What a target has not acknowledged is older than `behind_after`. Not while a person has suspended it, or "
        "holds the domain.",
        _BEHIND,
    ),
    "target.caught_up": Definition("A target that was behind is not any more.", _BEHIND),
    "peer.silent": Definition(
        "Failover has heard nothing of production for `peer_timeout`; counted from the agent's start where production "
        "never came. Not while nobody is paired.",
        _SILENCE,
    ),
    "peer.heard": Definition("Production, which was silent, is heard again.", _SILENCE),
    "clock.skewed": Definition(
        "The clocks of production and a target differ by more than 5 s. Raised on production.", _SKEW
    ),
    "clock.agreed": Definition("Clocks that differed agree again, within 4 s.", _SKEW),
    "brake.engaged": Definition(
        "More deletions wait than may pass without a person's word, or what is mounted at or below the root changed.",
        {
            **_STREAM,
            "deletions": Variable(int, "paths that would be deleted"),
            "paths": Variable(int, "paths in the domain"),
            "limit": Variable(int, "deletions that would have passed; -1 where another limit, or none, counts"),
            "reason": Variable(str, "what is wrong, and what to do"),
        },
    ),
    "drift.detected": Definition(
        "Somebody edited, added or deleted files on failover; raised once for a batch.",
        {
            "node": NODE,
            "domain": DOMAIN,
            "paths": PATHS,
            "sample": SAMPLE,
            "policy": Variable(str, "the domain's `drift`: `report` or `restore`"),
        },
    ),
    "verify.failed": Definition(
        "A verification found bytes that differ from what both nodes have recorded.",
        {**_STREAM, "paths": PATHS, "sample": SAMPLE},
    ),
    "leftovers.found": Definition(
        "After a full synchronization some of production's addresses still stand on a target that has substitution "
        "rules; `syncer leftovers` says where.",
        {
            **_STREAM,
            "addresses": Variable(int, "how many different addresses and host names"),
            "files": Variable(int, "how many files they stand in"),
        },
    ),
    "check.failed": Definition(
        "A domain's check refused a transaction; the last good generation stands.",
        {**_STREAM, "command": COMMAND, "exit": EXIT, "seconds": SECONDS, "output": OUTPUT},
    ),
    "rolled_back": Definition(
        "A domain on failover was set back to an earlier generation.",
        {
            "node": NODE,
            "domain": DOMAIN,
            "generation": Variable(int, "the generation that the rollback made"),
            "to": Variable(int, "the generation whose state it restored"),
            "by": Variable(str, "who or what asked for it"),
        },
    ),
    "history.damaged": Definition(
        "A content that the history on failover keeps is not what it was; it was put aside.",
        {
            "node": NODE,
            "domain": DOMAIN,
            "path": Variable(str, "a path that it stood at"),
            "generations": Variable(str, "numbers of the generations that cannot be restored wholly"),
        },
    ),
    "service.failed": Definition(
        "A domain's `start`, `stop`, `reload` or `status` failed or took too long. A `status` that goes on failing is "
        "told once.",
        {
            "node": NODE,
            "domain": DOMAIN,
            "action": Variable(str, "`start`, `stop`, `reload` or `status`"),
            "command": COMMAND,
            "exit": EXIT,
            "seconds": SECONDS,
            "output": OUTPUT,
        },
    ),
    "service.started": Definition(
        "The services of a domain were started.",
        {
            "node": NODE,
            "domain": DOMAIN,
            "by": Variable(str, "`synchronization`, or the person who asked for it"),
            "seconds": SECONDS,
        },
    ),
    "service.stopped": Definition(
        "The services of a domain were stopped by a person, or run no longer; syncer does not start them again.",
        {
            "node": NODE,
            "domain": DOMAIN,
            "by": Variable(str, "the person who asked for it, or `itself` where `status` says that they have stopped"),
        },
    ),
    "problem": Definition(
        "A path could not be read, copied or applied; raised on production. An empty `target`: production's own disk.",
        {**_STREAM, "path": PATH, "reason": Variable(str, "what is wrong with it")},
    ),
    "problem.cleared": Definition(
        "A path that was a problem is none any more.",
        {**_STREAM, "path": PATH, "reason": Variable(str, "what was wrong with it")},
    ),
    "index.rebuilt": Definition(
        "Production's index of its files was damaged, was put aside and is built anew; each target is compared wholly.",
        {"node": NODE, "path": Variable(str, "the file")},
    ),
    "watch.degraded": Definition(
        "Changes were or are not seen as they happen: watches are missing, or the kernel's queue was full. "
        "Scans find them instead.",
        {"node": NODE, "domain": DOMAIN, "reason": Variable(str, "what is missing, and what to do")},
    ),
    "rules.refused": Definition(
        "Production renders by substitution rules that are not the inverse of those that are configured here.",
        {"node": NODE, "peer": _PEER, "reason": Variable(str, "the first difference, and what to do")},
    ),
    "watch.restored": Definition(
        "Changes are seen as they happen again.",
        {"node": NODE, "domain": DOMAIN, "reason": Variable(str, "what had been missing")},
    ),
    "term.refused": Definition(
        "A node came with a lower term than was seen before, and was refused. Raised on both nodes.",
        {"node": NODE, "peer": _PEER, "reason": Variable(str, "both terms, and what that means")},
    ),
    "session.refused": Definition(
        "A paired node came to send, and was refused for what it or this one is. Raised once for each reason.",
        {"node": NODE, "peer": _PEER, "reason": Variable(str, "why, and what to do")},
    ),
    "promoted": Definition("This node has become production.", _MODE),
    "demoted": Definition("This node has become failover.", _MODE),
    "fenced": Definition(
        "This node was production and has heard a higher term: it sends nothing any more, and accepts nothing.", _MODE
    ),
    "split_brain": Definition(
        "Two nodes were promoted without knowing of each other. Raised on each node that hears of both.",
        {
            "node": NODE,
            "peer": Variable(str, "name of the node that this one heard the other term from"),
            "term": Variable(int, "the counter that both terms have"),
            "own_node": Variable(str, "id of the node whose term this node knew"),
            "other_node": Variable(str, "id of the node whose term it has heard"),
            "fenced_node": Variable(str, "which of both ids is the lower one: that node is fenced"),
            "reason": Variable(str, "both terms, and what follows"),
        },
    ),
    "pairing.joined": Definition(
        "Another node was paired with this one.",
        {
            "node": NODE,
            "peer": _PEER,
            "peer_id": Variable(str, "its id"),
            "fingerprint": Variable(str, "SHA-256 of its certificate, hexadecimal"),
        },
    ),
    "pairing.refused": Definition(
        "Somebody tried to pair with this node, and was refused.",
        {"node": NODE, "address": Variable(str, "where it came from"), "reason": Variable(str, "why")},
    ),
    "hold.failed": Definition(
        "A command under `syncer hold` failed, or its process died: the domain stays held until `syncer resume`.",
        {
            "node": NODE,
            "domain": DOMAIN,
            "command": COMMAND,
            "reason": Variable(str, "how it ended"),
        },
    ),
    "hold.long": Definition(
        "A domain has been held for over an hour; raised again each hour.",
        {
            "node": NODE,
            "domain": DOMAIN,
            "command": COMMAND,
            "pid": Variable(int, "process of the `syncer hold`"),
            "seconds": Variable(float, "how long it has been held, in seconds"),
        },
    ),
    "config.reloaded": Definition(
        "The configuration was read again, and what could change in the running agent did.",
        {
            "node": NODE,
            "changed": Variable(str, "the keys that changed, with commas between them; empty where none did"),
            "restart_needed": Variable(str, "the keys that need a restart of the agent to take effect"),
        },
    ),
    "config.refused": Definition(
        "The configuration was read again and has errors: what was in force before stays in force.",
        {"node": NODE, "error": Variable(str, "every error, with its key and the cure")},
    ),
    "procedure.started": Definition("A procedure with another node was begun. Raised on both nodes.", _PROCEDURE),
    "procedure.step": Definition(
        "A step of a procedure is in another state. Raised on the node that leads it, and on the one that does it.",
        {
            **_PROCEDURE,
            "step": Variable(str, "name of the step"),
            "title": Variable(str, "what it does, in words"),
            "state": Variable(str, "`running`, `done`, `failed`, `undoing` or `undone`"),
            "reason": Variable(str, "why it failed, or could not be undone; empty where it did not"),
        },
    ),
    "procedure.finished": Definition(
        "Every step of a procedure is done. Raised on both nodes.",
        {
            **_PROCEDURE,
            "report": Variable(str, "what it came to, in lines, where the procedure says so; for a mail, say"),
        },
    ),
    "procedure.aborted": Definition(
        "A procedure was aborted or failed, and everything that it had done is undone. Raised on both nodes.",
        {**_PROCEDURE, "reason": Variable(str, "who aborted it, or which step failed and how")},
    ),
    "condition.failed": Definition(
        "The condition of a trigger has no answer for an event, and counted as not fulfilled; once a minute at most.",
        {"node": NODE, "failed_trigger": TRIGGER, "reason": Variable(str, "why, and for which event")},
    ),
    "action.failed": Definition(
        "An action of a trigger was given up: it was refused for good, or had been tried for too long.",
        {
            "node": NODE,
            "failed_trigger": TRIGGER,
            "action": Variable(str, "`email`, `exec`, `webhook` or `notify`"),
            "receiver": Variable(str, "who did not get it: addresses, or the server without what may be secret"),
            "error": Variable(str, "what was answered last"),
            "attempts": Variable(int, "how often it was tried"),
            "seconds": Variable(float, "how long it had waited, in seconds"),
        },
    ),
    "actions.overflowed": Definition(
        "More actions were due than may wait; those were not kept. Summed up for a minute.",
        {"node": NODE, "count": Variable(int, "how many were not kept")},
    ),
    "events.lost": Definition(
        "More events came than could be written; those in between are missing from the journal.",
        {"node": NODE, "count": Variable(int, "how many are missing")},
    ),
    **FREEZE_EVENTS,
    **HOME_EVENTS,
    **NETWORK_EVENTS,
}


def checked(name: str, variables: Mapping[str, EventValue]) -> dict[str, EventValue]:
    """Return the variables in the catalogue's order, whole numbers as floats where a float is due.

    Raises InvariantError where the catalogue knows no such event, or other variables of it.
    """
    definition = CATALOGUE.get(name)
    if definition is None:
        raise InvariantError(f"the event {name!a} is not in the catalogue: a fault in syncer, please report it")
    wrong = sorted(variables.keys() ^ definition.variables.keys())
    found: dict[str, EventValue] = {}
    for key, variable in definition.variables.items():
        value = variables.get(key, "")
        if variable.kind is float and type(value) is int:
            value = float(value)
        if type(value) is not variable.kind and key not in wrong:
            wrong.append(key)
        found[key] = value
    if wrong:
        raise InvariantError(
            f"the event {name} was raised with missing, unknown or wrong variables ({', '.join(wrong)}): a fault in "
            "syncer, please report it"
        )
    return found
