"""The kinds of procedures that a node takes part in, each joined of its parts."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from syncer.node.home_answers import HomeAnswers
from syncer.node.homecoming_serving import Serving
from syncer.node.homecoming_side import Returning
from syncer.node.switch_side import SwitchSide
from syncer.procedures import reverse
from syncer.procedures.homecoming import LOOK, homecoming
from syncer.procedures.homecoming_steps import homecoming_steps
from syncer.procedures.parts import kind_of
from syncer.procedures.reverse import REVERSE, report_of
from syncer.procedures.steps import Role
from syncer.procedures.switch_steps import forced_part, planned_part

if TYPE_CHECKING:
    from syncer.node.agent import Node

PROMOTE = "promote"
PROMOTE_FORCED = "promote_forced"
REJOIN = "rejoin"


def register_kinds(node: Node) -> HomeAnswers:
    """Make the kinds known to `node`, before its procedures run; returns what it answers about homecomings."""
    switch, serving = SwitchSide(node), Serving(node)
    returning = Returning(node, switch)
    home = homecoming_steps(returning, serving)
    # Once the new production serves, a trouble of the old one must not take that away again.
    tail = partial(homecoming, Role.SECOND, "old", home, chosen=False, no_return=LOOK)
    node.kinds.register(kind_of(PROMOTE, planned_part(switch), tail(), report=partial(report_of, prefix="old")))
    node.kinds.register(kind_of(PROMOTE_FORCED, forced_part(switch)))
    node.kinds.register(kind_of(REJOIN, homecoming(Role.LEAD, "home", home), report=report_of))
    node.kinds.register(
        kind_of(
            REVERSE,
            reverse.front(returning),
            homecoming(Role.LEAD, "home", home, no_return="", titles=reverse.FRONT_TITLES),
            reverse.middle(returning),
            reverse.numbered(planned_part(switch)),
            tail(titles=reverse.TAIL_TITLES),
            reverse.end(returning),
            report=report_of,
        )
    )
    return HomeAnswers(node, serving.comparing)
