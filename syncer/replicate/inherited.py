"""Whether a tree that another production has left is the one that a new production brings on."""

from __future__ import annotations

from syncer.state.cursors import Standing
from syncer.state.introductions import introductions
from syncer.state.store import StateStore
from syncer.trust.introductions import Introduction, Signed, read


def is_inherited(store: StateStore, domain: str, standing: Standing | None, caller: str) -> bool:
    """Tell whether the production that this domain came from has said, signed, that it feeds the caller with it too.

    Then both have the same tree, and what the caller brings is what was changed since: no first synchronization that
    a person must look at. Anybody else's tree is foreign here.
    """
    if standing is None or standing.source_node == caller:
        return False
    for kept in introductions(store, issuer=standing.source_node, subject=caller):
        said = read(Signed(kept.body, kept.signature))
        return isinstance(said, Introduction) and domain in said.domains
    return False
