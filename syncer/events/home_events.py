"""The events of homecomings, as a part of the catalogue; no I/O."""

from __future__ import annotations

from collections.abc import Mapping

from syncer.events.definition import NODE, Definition, Variable

HOME_EVENTS: Mapping[str, Definition] = {
    "reversed": Definition(
        "A node that had been replaced is production again, and the one that served is its failover server. Raised on "
        "the node that is production.",
        {
            "node": NODE,
            "peer": Variable(str, "name of the node that served meanwhile"),
            "procedure": Variable(str, "id of the procedure: `syncer procedure ID` shows its report"),
            "domains": Variable(int, "how many domains came home"),
            "changed_here": Variable(int, "paths that only the node that served had changed"),
            "changed_there": Variable(int, "paths that only the node that came home had changed, and never sent"),
            "conflicts": Variable(int, "paths that both had changed"),
            "overwritten": Variable(
                int, "changes of the node that came home that were overwritten; its history has them"
            ),
            "kept": Variable(int, "paths that stayed as the node that came home had them"),
            "changes": Variable(int, "paths that were changed on it by the synchronization back"),
            "bytes": Variable(int, "content that was sent for that, in bytes"),
        },
    ),
}
