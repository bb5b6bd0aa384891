"""The serving node behind a homecoming: compares, has its streams obey, fills and verifies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from syncer.errors import Reason, RefusedError, StepFailedError, SyncerError, UnreachableError
from syncer.model import Cursor, Mode, shown
from syncer.node.home_comparing import Comparing, Sides
from syncer.procedures.comparison import Difference
from syncer.procedures.home_plan import DomainPlan, Take, kept_in_history, summed
from syncer.procedures.home_wishes import wishes_of
from syncer.procedures.kinds import Tell
from syncer.procedures.verify import verify
from syncer.replicate import messages as m
from syncer.replicate.brake import engages
from syncer.replicate.sender import Sender
from syncer.replicate.session import Outcome, Planned, Report
from syncer.replicate.stream import Request
from syncer.state.cursors import read_target
from syncer.state.homecomings import (
    Choice,
    Chosen,
    Homecoming,
    note_filled,
    read_chosen,
    read_homecoming,
    release_homecoming,
    write_homecoming,
)
from syncer.state.peers import Peer, peer_by_node_id

if TYPE_CHECKING:
    from syncer.node.agent import Node
    from syncer.node.production import ProductionSide

PATHS_TOLD = 5
"""Paths of each state that a result names."""
LONGEST_TOLD = 200
"""Characters of such a path."""
DOMAINS_TOLD = 200
"""Domains whose paths a result names."""
PATIENCE = 60.0
"""Seconds for which one full synchronization is tried again where the peer cannot be reached or is not ready."""
PAUSE = 0.2
ROUNDS = 5
"""How often what a peer would lose is looked at again, where it moves meanwhile."""
DESTROYING = ("delete", "update", "replace")
"""What a plan does to a path by which contents are lost."""


class Serving:
    """A node that serves, as the homecoming of another sees it; see procedures.homecoming_node."""

    def __init__(self, node: Node) -> None:
        """Look at `node` whenever it is asked."""
        self.comparing = Comparing(node)
        self._node = node

    def mode(self) -> Mode:
        """Return what it is now."""
        return self._node.mode

    async def compare(self, peer: str, procedure: str, wishes: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """Compare, decide, make it durable, and have the streams obey."""
        other = await self._peer(peer)
        wanted = wishes_of(wishes)
        sides = await self.comparing.compare(other, wanted, tell)
        self.comparing.plan_of(other, wanted, sides)
        if wanted.unseen:
            self._require_few_deletions(sides)
        production = self.comparing.serving()

        def keep() -> None:
            for side in sides:
                homecoming = Homecoming(peer, side.plan.domain, procedure, side.here)
                write_homecoming(self._node.store, homecoming, side.mark, chosen_of(side))
            production.obey(peer)

        await asyncio.to_thread(keep)
        names = len(sides) <= DOMAINS_TOLD
        return {"policy": wanted.policy.value, "domains": [compared_document(side, names=names) for side in sides]}

    def _require_few_deletions(self, sides: list[Sides]) -> None:
        """Raise RefusedError where nobody has looked, and more would be deleted there than the brake lets pass."""
        settings = {domain.name: domain.brake for domain in self._node.settings.domains}
        for side in sides:
            gone = [
                one.difference.path for one in side.plan.items if one.take is Take.HERE and _is_gone(one.difference)
            ]
            if engages(len(gone), side.plan.same + len(side.plan.items), settings[side.plan.domain]):
                raise RefusedError(
                    f"{len(gone)} paths of {side.plan.domain} would be deleted on the other node, such as "
                    f"{shown(gone[0])!a}: that needs a person's word; put them back and have it go on, or give this "
                    "procedure up on both nodes (`syncer procedure abort --force`) and run `syncer rejoin` there"
                )

    async def release(self, procedure: str) -> None:
        """Let the streams go on by themselves; they still obey what was decided."""
        await asyncio.to_thread(release_homecoming, self._node.store, procedure)
        if self._node.production is not None:
            for peer in {self._node_id(sender) for sender in self._node.production.senders.values()}:
                await asyncio.to_thread(self._node.production.obey, peer)
            # What held them back is over: else they would wait for the next change.
            for sender in self._node.production.senders.values():
                sender.head_moved()

    async def fill(self, peer: str, tell: Tell, *, exact: bool) -> dict[str, Any]:
        """Synchronize every domain in full, each exactly as was decided."""
        production = self.comparing.serving()
        senders = await self._senders(peer)
        done = []
        for number, sender in enumerate(senders):
            domain = sender.stream.domain
            started = time.monotonic()

            def report(progress: Report, domain: str = domain) -> None:
                tell(f"{domain}: {progress.phase}", progress.done, progress.total)

            tell(domain, number, len(senders))
            ack, slipped = await self._filled(production, sender, peer, report, exact=exact)
            await asyncio.to_thread(note_filled, self._node.store, peer, domain)
            seconds = time.monotonic() - started
            told = [_told(path) for path in slipped[:PATHS_TOLD]]
            counts = {"changes": ack.changes, "bytes": ack.bytes, "slipped_in": len(slipped)}
            done.append({"name": domain, **counts, "first_slipped_in": told, "seconds": seconds})
        await asyncio.to_thread(production.obey, peer)
        for sender in senders:
            sender.head_moved()
        return {"domains": done}

    async def verify(self, peer: str, tell: Tell, *, exact: bool, reread: bool) -> dict[str, Any]:
        """Compare again, by every byte or by what stands; what differs is sent once more, and compared a last time."""
        production = self.comparing.serving()
        for is_last in (False, True):
            found: list[str] = []
            left: list[str] = []
            paths = 0
            for sender in await self._senders(peer):
                flaws, count = await self._differing(production, sender, tell, reread=reread)
                domain, paths = sender.stream.domain, paths + count
                # RACE: of what was applied last: asked for behind the look at it.
                reasons = {item.path: item.reason for item in sender.view().problems}
                for path, flaw in flaws.items():
                    if path not in reasons:
                        found.append(f"{domain}: {flaw}")
                    elif reread:
                        found.append(f"{domain}: {flaw}: it {reasons[path]}")
                    else:
                        # What the other node cannot do must not keep it from coming home; it is a problem there.
                        left.append(f"{domain}: {shown(path)[:LONGEST_TOLD]} {reasons[path]}")
            if not found:
                return {"paths": paths, "reread": reread, "left": len(left), "first_left": left[:PATHS_TOLD]}
            if is_last:
                more = f" and {len(found) - 1} more" if len(found) > 1 else ""
                raise StepFailedError(f"both sides are not equal: {found[0]}{more}")
            await self.fill(peer, tell, exact=exact)
        raise AssertionError("the last round returns or raises")

    async def _differing(
        self, production: ProductionSide, sender: Sender, tell: Tell, *, reread: bool
    ) -> tuple[dict[bytes, str], int]:
        """Return what differs and was not decided to, in words, and how many paths were compared."""
        domain = sender.stream.domain
        chosen = await asyncio.to_thread(lambda: list(read_chosen(self._node.store, self._node_id(sender), domain)))
        kept = {one.path for one in chosen if one.choice is Choice.THEIRS}
        if not reread:
            planned = await self._asked(sender, Request(True, False, lambda report: None))
            assert isinstance(planned, Planned), "a dry run is answered with a plan"
            flaws = {
                item.path: f"{shown(item.path)} ({item.action})" for item in planned.items if item.path not in kept
            }
            return flaws, production.index.count(domain)

        def report(_: Sender, told: Report) -> None:
            tell(f"reading {domain} again", told.done, told.total)

        ends = time.monotonic() + PATIENCE
        while True:
            [result] = await verify(production, production.to_verify(domain), [sender], report, on_demand=True)
            if result.error is None:
                found = [item for item in result.findings if item.path not in kept]
                return {item.path: f"{shown(item.path)} ({item.what}, on {item.side})" for item in found}, result.paths
            await _pause(result.error, ends)

    async def _filled(
        self, production: ProductionSide, sender: Sender, peer: str, report: Callable[[Report], None], *, exact: bool
    ) -> tuple[m.Ack, list[bytes]]:
        """Have one domain synchronized in full; returns what was overwritten that nobody had compared, too."""
        await production.captures.flush([sender.stream.domain])
        for _ in range(ROUNDS):
            planned = await self._asked(sender, Request(True, False, report, offer=True))
            assert isinstance(planned, Planned), "a dry run is answered with a plan"
            slipped = await asyncio.to_thread(self._slipped_in, production, sender, peer, planned)
            if slipped and exact:
                raise StepFailedError(
                    f"{len(slipped)} paths of {sender.stream.domain} on {sender.stream.target} would be lost of which "
                    f"nothing was decided, such as {shown(slipped[0])!a}: look at them with `syncer snapshot "
                    f"{sender.stream.target} --dry-run`, let them go with `syncer snapshot`, then have it go on",
                    again=False,
                )
            outcome = await self._asked(sender, Request(False, False, report, approval=planned.approval))
            if isinstance(outcome, m.Ack):
                return outcome, slipped
            assert isinstance(outcome, m.Reject), "else it was a dry run"
            if outcome.reason is not Reason.APPROVAL_REQUIRED:
                raise StepFailedError(f"{sender.stream.target} refused: {outcome.message}")
            # RACE: something came to stand there meanwhile: it is looked at as the rest was.
        raise StepFailedError(
            f"what {sender.stream.target} would lose of {sender.stream.domain} changes all the time: stop what writes "
            "there"
        )

    def _slipped_in(self, production: ProductionSide, sender: Sender, peer: str, planned: Planned) -> list[bytes]:
        """Return what would be lost there and came to stand there since both sides were compared; blocking.

        Raises StepFailedError where this node's own changes since would delete more than its brake lets pass, or
        where nothing was compared and the target's brake asks.
        """
        domain, target = sender.stream.domain, sender.stream.target
        lost = {item.path: item.action for item in planned.items if item.action in DESTROYING}
        homecoming = read_homecoming(self._node.store, peer, domain)
        if homecoming is None:
            if planned.approval:
                raise StepFailedError(
                    f"{target} would lose more of {domain} than its brake lets pass: look at it with `syncer snapshot "
                    f"{target} --domain {domain}`, which asks, then have it go on",
                    again=False,
                )
            return []
        decided = {one.path for one in read_chosen(self._node.store, peer, domain) if one.choice is Choice.OURS}
        later = self._changed_since(production, domain, Cursor(*homecoming.head))
        deleted = [path for path in lost if path not in decided and later.get(path)]
        settings = next(item for item in self._node.settings.domains if item.name == domain)
        if engages(len(deleted), production.index.count(domain) + len(deleted), settings.brake):
            raise StepFailedError(
                f"{len(deleted)} paths of {domain} were deleted here since both sides were compared, such as "
                f"{shown(min(deleted))!a}: look at it with `syncer snapshot {target} --domain {domain}`, which asks, "
                "then have it go on",
                again=False,
            )
        return [path for path in lost if path not in decided and path not in later]

    def _changed_since(self, production: ProductionSide, domain: str, head: Cursor) -> dict[bytes, bool]:
        """Return each path that has changed here since, with whether it is gone."""
        if not production.index.is_resumable(domain, head):
            raise StepFailedError(
                f"the index of {domain} was made anew since both sides were compared: abort, and begin again",
                again=False,
            )
        with closing(production.index.snapshot(domain)) as snapshot:
            return {change.path: change.entry is None for change in snapshot.changes_since(head.seq)}

    async def _asked(self, sender: Sender, request: Request) -> Outcome:
        """Return the target's answer; for a while it is waited for, where it cannot be reached or is not ready yet."""
        ends = time.monotonic() + PATIENCE
        while True:
            sender.request(request)
            try:
                return await request.done
            except SyncerError as error:
                await _pause(error, ends)
            request = Request(
                request.dry_run, request.against_base, request.report, request.approval, offer=request.offer
            )

    async def _senders(self, peer: str) -> list[Sender]:
        production = self.comparing.serving()
        other = await self._peer(peer)
        target = await asyncio.to_thread(self.comparing.target_of, other)
        return [sender for (name, _), sender in production.senders.items() if name == target.name]

    async def _peer(self, node_id: str) -> Peer:
        found = await asyncio.to_thread(peer_by_node_id, self._node.store, node_id)
        if found is None:
            raise UnreachableError(f"the node {node_id} is not paired with this one any more: pair it again")
        return found

    def _node_id(self, sender: Sender) -> str:
        record = read_target(self._node.store, sender.stream.target)
        return record.node_id if record is not None else ""


async def _pause(error: SyncerError, ends: float) -> None:
    """Wait before the next attempt; raises the error where it is for good, or this has gone on for too long."""
    waits = (Reason.WRONG_MODE, Reason.SUPERSEDED, Reason.SHUTTING_DOWN, Reason.STALE_TERM)
    passes = isinstance(error, UnreachableError) or getattr(error, "reason", None) in waits
    if not passes or (isinstance(error, RefusedError) and error.reason not in waits) or time.monotonic() >= ends:
        raise error
    await asyncio.sleep(PAUSE)


def chosen_of(side: Sides) -> Iterator[Chosen]:
    """Yield what a plan says of each path that does not simply go home."""
    for item in side.plan.items:
        found = item.difference
        if item.take is Take.THERE:
            yield Chosen(found.path, Choice.THEIRS, side.compared.directories.get(found.path))
        elif item.take is Take.HERE:
            yield Chosen(found.path, Choice.REWRITTEN if found.needs_person else Choice.OURS)


def compared_document(side: Sides, *, names: bool) -> dict[str, Any]:
    """Return what was found of one domain, as a result of a step carries it."""
    plan = side.plan
    return {
        "name": plan.domain,
        "fingerprint": plan.fingerprint.hex(),
        "compared": "contents" if side.by_content else "changes",
        "same": plan.same,
        "states": summed(plan),
        "undecided": len(plan.undecided),
        "overwritten": len(kept_in_history(plan)),
        "kept_there": sum(item.take is Take.THERE for item in plan.items),
        "first": first_paths(plan) if names else {},
        "here": list(side.here),
        "there": list(side.there),
    }


def first_paths(plan: DomainPlan) -> dict[str, list[str]]:
    """Return the first paths of each state."""
    found: dict[str, list[str]] = {}
    for item in plan.items:
        paths = found.setdefault(item.difference.state.value, [])
        if len(paths) < PATHS_TOLD:
            paths.append(_told(item.difference.path))
    return found


def _told(path: bytes) -> str:
    text = shown(path)
    return text if len(text) <= LONGEST_TOLD else f"{text[:LONGEST_TOLD]}…"


def _is_gone(found: Difference) -> bool:
    return found.here is not None and found.here.kind is None
