"""The events of introductions and retirements, as a part of the catalogue; no I/O."""

from __future__ import annotations

from collections.abc import Mapping

from syncer.events.definition import NODE, Definition, Variable

_ID = Variable(str, "its node id")
_BY = Variable(str, "name of the production node that said so")

NETWORK_EVENTS: Mapping[str, Definition] = {
    "peer.introduced": Definition(
        "Production has introduced another of its nodes to this one: it is trusted from now on, as if it were paired.",
        {
            "node": NODE,
            "peer": Variable(str, "name of the node that was introduced"),
            "peer_id": _ID,
            "by": _BY,
            "fingerprint": Variable(str, "SHA-256 of its certificate, hexadecimal"),
        },
    ),
    "introduction.refused": Definition(
        "What was said of another node was not believed, and changed nothing. Raised once for each reason.",
        {
            "node": NODE,
            "peer": Variable(str, "name of the node that said it"),
            "reason": Variable(str, "why it was not believed"),
        },
    ),
    "peer.retired": Definition(
        "The identity of another node was retired: it is refused for good, and what was known of it is dropped.",
        {"node": NODE, "peer": Variable(str, "name of the node that was retired"), "peer_id": _ID, "by": _BY},
    ),
    "retired": Definition(
        "This node was retired: it is refused everywhere for good.",
        {"node": NODE, "by": _BY, "reason": Variable(str, "what that means, and what to do")},
    ),
}
