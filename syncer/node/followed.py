"""Whether a peer is the production node that this one follows: by the highest term seen, not by its word (pure)."""

from __future__ import annotations

from syncer.model import Mode, Term
from syncer.replicate.fencing import Rank, in_short


def followed_flaw(own: str, own_term: Term, peer: str, peer_id: str, said: Rank) -> str:
    """Say why this node (`own`) lets its role be settled by no procedure with `peer`; "" where it does.

    `said` is the peer's own word of now, `own_term` the highest term that this node knows, that word included. A mode
    is only said; a term belongs to the node that took it, and who takes a higher one fences production for all to see.
    """
    if said.mode is not Mode.PRODUCTION:
        return f"{peer} is {said.mode.value}, and has no role to hand over"
    if said.term != own_term:
        return (
            f"{peer} speaks with term {in_short(said.term, own_term)}, and {own} has seen "
            f"{in_short(own_term, said.term)}: another node was promoted since"
        )
    if own_term.node_id != peer_id:
        return (
            f"{peer} says that it is production, but term {own_term.counter}, the highest that {own} has seen, is "
            f"that of node {own_term.node_id[:8]}: {own} follows that one"
        )
    return ""
