"""The events of freezes and hooks, as a part of the catalogue; no I/O."""

from __future__ import annotations

from collections.abc import Mapping

from syncer.events.definition import COMMAND, DOMAIN, EXIT, NODE, OUTPUT, SECONDS, Definition, Variable

_BY = Variable(str, "who froze it: `operator`, or the id of a procedure")
_WHY = Variable(str, "why, in their words; may be empty")

FREEZE_EVENTS: Mapping[str, Definition] = {
    "frozen": Definition(
        "A domain of production was frozen: nothing is to change in it until it is thawed.",
        {
            "node": NODE,
            "domain": DOMAIN,
            "by": _BY,
            "reason": _WHY,
            "seconds": Variable(
                float, "after how many seconds it ends by itself; 0 where a procedure keeps it to its own end"
            ),
            "read_only": Variable(bool, "whether its root is read-only meanwhile"),
        },
    ),
    "thawed": Definition(
        "A domain is frozen no longer.",
        {
            "node": NODE,
            "domain": DOMAIN,
            "by": Variable(
                str,
                "who ended it: `operator`, the id of a procedure, `time` where it ended by itself, `mode` where the "
                "node is production no more",
            ),
            "seconds": Variable(float, "how long it was frozen, in seconds"),
            "changed": Variable(int, "paths that changed meanwhile, as far as that is known"),
        },
    ),
    "frozen.changed": Definition(
        "Something changed in a domain that is frozen. It is captured and sent as ever; once a minute at most.",
        {
            "node": NODE,
            "domain": DOMAIN,
            "paths": Variable(int, "how many paths have changed since it was frozen"),
            "sample": Variable(str, "the first of them, with commas between them"),
        },
    ),
    "frozen.forgotten": Definition(
        "A freeze has used half of its time. Where a procedure keeps it, raised again after each whole of its time.",
        {
            "node": NODE,
            "domain": DOMAIN,
            "by": _BY,
            "reason": _WHY,
            "seconds": Variable(float, "how long it has lasted, in seconds"),
            "ends_in": Variable(
                float, "how soon it ends by itself, in seconds; not above 0: now, unless a procedure keeps it"
            ),
        },
    ),
    "hook.failed": Definition(
        "A command of [hooks] failed or took too long. One that comes before stops the procedure.",
        {
            "node": NODE,
            "hook": Variable(str, "its key, such as `before_promote`"),
            "procedure": Variable(str, "id of the procedure"),
            "command": COMMAND,
            "exit": EXIT,
            "seconds": SECONDS,
            "output": OUTPUT,
        },
    ),
}
