"""What was decided for nodes that come home, as the streams of a production node obey it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from syncer.procedures.homecoming import FILL
from syncer.procedures.journal import Known
from syncer.procedures.steps import Outcome
from syncer.replicate import home_ways
from syncer.replicate.home_tree import HomeRendering
from syncer.replicate.home_ways import HomeWays
from syncer.replicate.rendered_tree import Outlook
from syncer.state.cursors import read_target
from syncer.state.homecomings import Choice, read_chosen, read_homecomings
from syncer.state.store import StateStore

WAITS = "it comes home: a procedure synchronizes it in full first (`syncer procedure`)"

_WAYS = {Choice.THEIRS: home_ways.Choice.KEEP_THEIRS, Choice.REWRITTEN: home_ways.Choice.REWRITTEN}


class HomeDecisions:
    """Which streams wait for a procedure to fill their target; read in memory, for any thread."""

    def __init__(
        self,
        store: StateStore,
        is_open: Callable[[str], bool],
        awaited: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        """Take up what node.db remembers; `is_open` tells of a procedure by its id, `awaited` as below. Blocking."""
        self._store = store
        self._is_open = is_open
        self._awaited = awaited
        self._apart: frozenset[str] = frozenset()
        self._held: frozenset[tuple[str, str]] = frozenset()
        self._nodes: dict[str, str] = {}
        self.refresh()

    def refresh(self) -> None:
        """Look again, after something was decided or filled; blocking."""
        self._held = frozenset(
            (item.node_id, item.domain)
            for item in read_homecomings(self._store)
            # What a procedure has left that is over holds nothing up.
            if not item.is_filled and self._is_open(item.procedure)
        )
        self._nodes = {}

    def kept_apart(self, target: str) -> str:
        """Return why no connection to a target is to be made; "" where one is. Looks at the procedures; blocking."""
        record = read_target(self._store, target)
        is_apart = record is not None and record.node_id in self._awaited()
        self._apart = self._apart | {target} if is_apart else self._apart - {target}
        return WAITS if is_apart else ""

    def held_back(self, target: str, domain: str) -> str:
        """Return why a stream sends only what it is asked for; "" where it goes on by itself."""
        if target in self._apart:
            return WAITS
        if not self._held:
            return ""
        node_id = self._nodes.get(target)
        if node_id is None:
            record = read_target(self._store, target)
            node_id = self._nodes[target] = record.node_id if record is not None else ""
        return WAITS if (node_id, domain) in self._held else ""


def awaited(found: Iterable[Known]) -> frozenset[str]:
    """Return the nodes that these procedures bring home to this one and that cannot be sent anything yet (pure).

    Such a node is fenced, and would refuse every session: until it is to be filled there is nothing to connect for.
    """
    return frozenset(
        known.procedure.peer
        for known in found
        if known.journal.outcome is Outcome.OPEN
        for spec in known.procedure.steps
        if spec.on is known.procedure.role
        and spec.name.endswith(f".{FILL}")
        and not known.journal.step(spec.name).begun
    )


def obey(store: StateStore, ways: HomeWays, node_id: str) -> None:
    """Have a domain go home to a node as was decided, from the next transaction on; blocking."""
    decided: dict[bytes, home_ways.Choice] = {}
    directories = {}
    for one in read_chosen(store, node_id, ways.domain):
        if one.choice in _WAYS:
            decided[one.path] = _WAYS[one.choice]
        if one.directory is not None:
            directories[one.path] = one.directory
    ways.directories, ways.decided = directories, decided


def ways_of(outlook: Outlook | None) -> HomeWays | None:
    """Return how a domain goes home by this outlook; None where it does not go home."""
    return outlook.ways if isinstance(outlook, HomeRendering) else None
