"""Changes what this node is while it runs: durable first, then its parts follow; and what the terms of peers lead to.

The parts follow the mode that is in node.db, whatever was decided in which order meanwhile: what the new mode does not
have ends before what it has begins, and a node that ends in between starts in the new mode.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from syncer.errors import Reason, RefusedError, SyncerError
from syncer.model import TERM_COUNTER_MAX, Mode, Term
from syncer.node.supervised import Supervised
from syncer.node.way_home import without_way_home
from syncer.replicate.fencing import Rank, answer, are_split, in_short, judge
from syncer.state.handover import read_handover, stay_fenced
from syncer.state.introductions import is_retired, read_retired
from syncer.state.store import StateStore
from syncer.state.term import ModeChange, mode_change_told, observe_term, read_held, read_mode_change, take_mode

if TYPE_CHECKING:
    from syncer.node.agent import Node

log = logging.getLogger(__name__)

WAYS = frozenset(
    {
        (Mode.PRODUCTION, Mode.FAILOVER),
        (Mode.PRODUCTION, Mode.FENCED),
        (Mode.FAILOVER, Mode.PRODUCTION),
        (Mode.FENCED, Mode.FAILOVER),
    }
)
"""From which mode to which a node may go."""
BACK = frozenset({(Mode.FENCED, Mode.PRODUCTION)})
"""For the undo of a handover alone."""

Take = Callable[[StateStore, Mode, Term, str, str], bool]
"""Makes mode and term durable in one commit; see state.term.take_mode."""

EVENTS = {Mode.PRODUCTION: "promoted", Mode.FAILOVER: "demoted", Mode.FENCED: "fenced"}


class Modes:
    """The mode of one running agent; used on its event loop."""

    def __init__(self, node: Node) -> None:
        """Change the mode of `node`, whose parts are built for the one in node.db."""
        self.changing = asyncio.Lock()
        """Held by whoever builds or ends parts of the node."""
        self.deciding = asyncio.Lock()
        """Held while a change of the mode is made durable, or refused: who gave up waiting for one stopped none."""
        self.changed: list[Callable[[], None]] = []
        """Called on the event loop whenever the mode has changed, and again when the parts have followed."""
        self._node = node
        self._parts: Supervised[str] = Supervised()
        self._wake = asyncio.Event()
        self._followed = asyncio.Condition()
        self._form: Mode | None = None
        self._ended = ""
        self._working: set[asyncio.Task[Any]] = set()
        self._told_splits: set[frozenset[Term]] = set()

    def rank(self) -> Rank:
        """Return what this node is now, and its term, of one moment; for any thread."""
        return Rank(*self._node.mode_and_term())

    async def become(
        self,
        mode: Mode,
        term: Term,
        why: str,
        *,
        peer: str = "",
        take: Take | None = None,
        ways: Collection[tuple[Mode, Mode]] = WAYS,
    ) -> None:
        """Change the mode, durably; returns once the parts have followed, or what was decided since.

        `take` records it in place of take_mode, `ways` are those that may be gone. Whoever gives up waiting does not
        stop it. Raises RefusedError where the node may not go there, StateError where it cannot be recorded: then
        nothing was changed.
        """
        if self._ended:
            raise SyncerError(self._ended)
        await asyncio.shield(self._begin(self._become(mode, term, why, peer, take, ways)))

    async def stay_fenced(self, why: str) -> None:
        """Be fenced for good from now on where this node has handed its mode over: told, and its services stopped."""
        await asyncio.to_thread(stay_fenced, self._node.store, why)
        change = await asyncio.to_thread(read_mode_change, self._node.store)
        assert change is not None, "it was recorded just now"
        mode, term = self.rank()
        self._taken(mode, term, change)

    def saw_term(self, peer: str, term: Term) -> None:
        """Do at once what follows from a peer's term for a node that sends: stop; the rest follows. Blocks nobody."""
        own = self.rank()
        if is_retired(self._node.store, term.node_id):
            self._outbid(own, term)
            return
        verdict = judge(own, term)
        if verdict.split_brain:
            self._tell_split(own.term, term, peer)
        if not verdict.fences:
            return
        why = fenced_sentence(self._node.settings.node.name, own.term, peer, term)
        # CRASH: before it is durable; a node that dies in between hears of the term again.
        if self._node.production is not None:
            self._node.production.stop_sending(why)
        self._begin(self._fence(term, why, peer))

    async def heard(self, peer_node_id: str, peer_name: str, peer_term: Term, peer_mode: Mode) -> Rank:
        """Take in what a paired node says of itself outside any session; returns what it is to hear of this one.

        The term of a node that knocks is durable here, or this node has stopped sending, before it is answered.
        Raises StateError.
        """
        own, held = self.rank(), await asyncio.to_thread(read_held, self._node.store)
        if peer_node_id == self._node.store.node_id:
            raise RefusedError(f"{peer_name} comes with the id of {self._node.settings.node.name}", Reason.LOOP)
        said = answer(own, held, peer_term)
        if await asyncio.to_thread(is_retired, self._node.store, peer_term.node_id):
            self._outbid(own, peer_term)
            return Rank(own.mode, said)
        if peer_mode is Mode.FAILOVER and self._node.failover is not None:
            self._node.failover.refusals.is_failover(peer_node_id)
        verdict = judge(own, peer_term)
        log.debug("%s says that it is %s under term %d", peer_name, peer_mode.value, peer_term.counter)
        self.saw_term(peer_name, peer_term)
        if verdict.records and not verdict.fences:
            await asyncio.to_thread(observe_term, self._node.store, peer_term)
            if self._node.failover is not None:
                self._node.failover.receiver.end_below(peer_term)
        return Rank(self.rank().mode if not verdict.fences else Mode.FENCED, said)

    def supervise(self, tasks: asyncio.TaskGroup) -> None:
        """Run the parts of the node in `tasks`, and the changes of its mode until these are cancelled."""
        self._parts.open(tasks)
        production = self._node.production
        if production is not None:
            self._parts.begin("production", production.run)
        tasks.create_task(self._run())

    def begin(self) -> None:
        """Take it that the node's parts are built and begun for the mode in node.db."""
        self._form = self.rank().mode
        if self._form is Mode.FENCED and read_handover(self._node.store) is None:
            self._attend_services()
        change = read_mode_change(self._node.store)
        if change is not None and not change.is_told:
            # The agent ended before the event was durable.
            self._begin(self._tell(*self.rank(), change))

    async def _become(
        self,
        mode: Mode,
        term: Term,
        why: str,
        peer: str,
        take: Take | None = None,
        ways: Collection[tuple[Mode, Mode]] = WAYS,
    ) -> None:
        async with self.deciding:
            before = self.rank().mode
            if before is not mode:
                require_way(self._node.settings.node.name, before, mode, ways)
            if before is not mode is Mode.PRODUCTION:
                found = await asyncio.to_thread(read_retired, self._node.store, self._node.store.node_id)
                if found is not None:
                    raise RefusedError(found.sentence, Reason.RETIRED)
            if before is Mode.FAILOVER and mode is not before:
                # Half of a transaction would be captured as what was changed here.
                await self._require_settled(mode)
            record = take or take_mode
            if await asyncio.to_thread(record, self._node.store, mode, term, why, peer) and before is not mode:
                change = await asyncio.to_thread(read_mode_change, self._node.store)
                assert change is not None, "it was recorded with the mode"
                self._taken(mode, term, change)
        if not self._node.is_agent:
            return
        self._wake.set()
        async with self._followed:
            await self._followed.wait_for(lambda: self._form is self.rank().mode or self._ended)
        if self._ended:
            raise SyncerError(self._ended)

    def _taken(self, mode: Mode, term: Term, change: ModeChange) -> None:
        """Another mode is durable, with its term."""
        node = self._node
        log.warning("%s is %s now, under term %d: %s", node.settings.node.name, mode.value, term.counter, change.why)
        if mode is not Mode.PRODUCTION and node.production is not None:
            node.production.stop_sending(change.why)
        if mode is Mode.PRODUCTION and node.failover is not None:
            # Whoever still sends here hears why it must not.
            node.failover.receiver.end_below(term)
        # What a node hands over itself is a step of a procedure: nothing to be alarmed about, and told by that.
        if not change.is_told:
            if mode is Mode.FENCED:
                self._attend_services()
            self._begin(self._tell(mode, term, change))
        self._tell_changed()

    def _outbid(self, own: Rank, term: Term) -> None:
        """Have the term of a retired node win nowhere: production takes a higher one, and tells it."""
        # What nothing can be above is no term that anybody took.
        if own.mode is Mode.PRODUCTION and term > own.term and term.counter < TERM_COUNTER_MAX:
            higher = Term(term.counter + 1, self._node.store.node_id)
            log.warning("term %d is that of a retired node: this node takes %d", term.counter, higher.counter)
            self._begin(self._take_higher(higher))

    async def _take_higher(self, term: Term) -> None:
        try:
            if self.rank().mode is Mode.PRODUCTION and term > self.rank().term:
                await self._become(Mode.PRODUCTION, term, "a retired node had a higher term", "")
        except SyncerError as error:
            # It is heard again with the next word of whoever knows that term.
            log.error("no higher term was taken: %s", error)  # noqa: TRY400 - a sentence
            return
        self._tell_changed()
        if self._node.production is not None:
            self._node.production.hurry()

    async def _fence(self, term: Term, why: str, peer: str) -> None:
        try:
            # What was decided since counts: it may not be production any more, or have seen a higher term.
            if judge(self.rank(), term).fences:
                await self._become(Mode.FENCED, term, why, peer)
        except RefusedError as error:
            log.info("not fenced by term %d: %s", term.counter, error)
        except SyncerError as error:
            if self._ended:
                return
            # It sends no more, but would after a restart: somebody must look at the disk.
            self._node.fail(error)

    async def _require_settled(self, mode: Mode) -> None:
        troubles = await self._node.failover.settle() if self._node.failover is not None else []
        if troubles:
            raise RefusedError(f"{'; '.join(troubles)}: repair that before this node becomes {mode.value}")

    async def _run(self) -> None:
        """Let the parts follow the mode; ends only by cancellation, and then never half-way."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                following = self._begin(self._follow())
                try:
                    await asyncio.shield(following)
                except asyncio.CancelledError:
                    # What is built half-way could not be closed. A service's command must not hold up the end.
                    if self._node.failover is not None:
                        self._node.failover.end_commands()
                    await asyncio.wait({following})
                    raise
        finally:
            self._ended = f"{self._node.settings.node.name} is stopping: its mode is in node.db"
            async with self._followed:
                self._followed.notify_all()

    async def _follow(self) -> None:
        async with self.changing:
            # RACE: what is decided meanwhile is followed at once.
            while (mode := self.rank().mode) is not self._form:
                try:
                    await self._end_parts(mode)
                    await self._begin_parts(mode)
                except SyncerError as error:
                    # The mode stands: at its next start the node is built for it.
                    self._node.fail(error)
                    return
                self._form = mode
        self._tell_changed()
        async with self._followed:
            self._followed.notify_all()

    async def _end_parts(self, mode: Mode) -> None:
        """End what this mode does not have: what sends first, then what accepts, then what captures."""
        node = self._node
        change = await asyncio.to_thread(read_mode_change, node.store)
        why = change.why if change is not None else f"this node is {mode.value} now"
        production = node.production
        if production is not None:
            production.stop_sending(why)
            await production.sending_ended()
        if mode is not Mode.PRODUCTION:
            await self._thaw()
        if self._form is Mode.FAILOVER and node.failover is not None:
            for trouble in await node.failover.leave(why):
                log.error("%s", trouble)
        if production is not None and mode is not Mode.FENCED:
            # RACE: nobody finds it any more when its index is closed.
            node.production = None
            await self._parts.end(["production"])
            # RACE: a root has one who captures: the next one begins when this one has ended.
            await asyncio.to_thread(production.stop, goes_on=True)
            node.settings = without_way_home(node.settings)

    async def _thaw(self) -> None:
        """Make the roots writable again, before anything is applied there, and while what has changed can be told."""
        if self._node.freezes is None:
            return
        try:
            await self._node.freezes.release()
        except SyncerError as error:
            # It is tried again while the agent runs.
            log.error("a freeze cannot be ended: %s", error)  # noqa: TRY400 - a sentence

    async def _begin_parts(self, mode: Mode) -> None:
        node = self._node
        if mode is Mode.FAILOVER:
            assert node.failover is not None, "a node has its failover side in every mode"
            node.failover.start()
            node.failover.watch_for_drift(node.fail_from_any_thread)
        elif node.production is None:
            await asyncio.to_thread(node.find_way_home)
            production = node.build_production()
            # RACE: fenced while it was built: nobody could tell it to stop.
            if self.rank().mode is not Mode.PRODUCTION:
                production.stop_sending("this node is not production any more")
            production.start()
            node.production = production
            self._parts.begin("production", production.run)

    def _attend_services(self) -> None:
        """Have a node that was replaced look whether it still serves; and stop that, where it is configured to."""
        node = self._node
        if node.failover is None:
            return
        if node.settings.node.stop_services_when_fenced:
            node.failover.stop_services("this node is fenced")
        node.failover.watch_services()

    def _tell_split(self, own: Term, other: Term, peer: str) -> None:
        both = frozenset({own, other})
        if both in self._told_splits:
            return
        self._told_splits.add(both)
        lower, higher = sorted(both)
        self._node.events.record(
            "split_brain",
            peer=peer,
            term=own.counter,
            own_node=own.node_id,
            other_node=other.node_id,
            fenced_node=lower.node_id,
            reason=(
                f"{self._node.settings.node.name} and {peer} know of two promotions that did not know of each other, "
                f"terms {in_short(higher, lower)} and {in_short(lower, higher)}: the node of the lower one is fenced, "
                "and what was changed on either is kept"
            ),
        )

    async def _tell(self, mode: Mode, term: Term, change: ModeChange) -> None:
        """Raise the event of a change of the mode, and remember that it is durable."""
        node = self._node
        told = {"peer": change.peer, "before": change.before.value, "term": term.counter, "reason": change.why}
        node.events.record(EVENTS[mode], **told)
        await asyncio.to_thread(node.events.flush)
        # CRASH: told twice after a crash in between is better than never.
        await asyncio.to_thread(mode_change_told, node.store, change)

    def _tell_changed(self) -> None:
        for call in self.changed:
            call()

    def _begin(self, work: Any) -> asyncio.Task[Any]:  # noqa: ANN401 - a coroutine of any result
        task = asyncio.get_running_loop().create_task(work)
        self._working.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._working.discard(task)
        error = task.exception() if not task.cancelled() else None
        if error is not None and not isinstance(error, SyncerError):
            self._node.fail(error)


def require_way(name: str, before: Mode, after: Mode, ways: Collection[tuple[Mode, Mode]] = WAYS) -> None:
    """Raise RefusedError (WRONG_MODE) where a node may not go from one mode to the other."""
    if (before, after) in ways:
        return
    cure = {
        Mode.FENCED: f"run `syncer rejoin` on {name} first",
        Mode.FAILOVER: "only a production node is fenced",
    }.get(before, "it stays what it is")
    raise RefusedError(f"{name} is in mode {before.value} and cannot become {after.value}: {cure}", Reason.WRONG_MODE)


def fenced_sentence(name: str, own: Term, peer: str, term: Term) -> str:
    """Say why this node is fenced."""
    how = "both were promoted without knowing of each other" if are_split(own, term) else "another node was promoted"
    return f"{peer} says term {in_short(term, own)}, {name} was production under {in_short(own, term)}: {how}"
