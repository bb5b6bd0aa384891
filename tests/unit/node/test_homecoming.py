"""Old production nodes that come home: compared, kept, filled, and failover afterwards; whole nodes."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import Any

from syncer.node.agent import Node
from syncer.node.kinds import REJOIN
from syncer.procedures.journal import Known
from syncer.procedures.reverse import REVERSE
from syncer.procedures.steps import Outcome
from syncer.state.peers import Peer, peers
from syncer.state.term import next_term
from syncer.status import node_status
from tests.unit.node.running import DOMAIN, F, P, Two, X, contents, run, two, until

__all__ = ["two"]


def the_peer(node: Node) -> Peer:
    [peer] = peers(node.store)
    return peer


def known(node: Node, procedure: str) -> Known:
    found = node.procedures.journal.read(procedure)
    assert found is not None
    return found


def is_over(node: Node, procedure: str) -> bool:
    found = node.procedures.journal.read(procedure)
    return found is not None and found.journal.outcome is not Outcome.OPEN


def shown(node: Node) -> str:
    return str([(item["waits_for"], item["reason"]) for item in node_status(node)["procedures"]])


async def begun(lead: Node, kind: str = REJOIN, **parameters: Any) -> str:
    return (await lead.procedures.begin(kind, the_peer(lead), parameters)).id


async def ended(lead: Node, second: Node, procedure: str) -> Known:
    await until(lambda: is_over(lead, procedure) and is_over(second, procedure), "it is over")
    return known(lead, procedure)


async def finished(lead: Node, second: Node, procedure: str) -> dict[str, Any]:
    """Return the results of a procedure that went to its end."""
    found = await ended(lead, second, procedure)
    assert found.journal.outcome is Outcome.FINISHED, found.journal
    return {name: dict(result) for name, result in found.journal.results.items()}


@asynccontextmanager
async def parted(two: Two, files: dict[str, str], here: dict[str, str | None], there: dict[str, str | None]) -> Any:
    """Run both nodes after b was promoted by force, with edits on both sides since; a is fenced by then."""
    write(two.a.root, files)
    async with two.b.running() as b:
        async with two.a.running():
            await until(lambda: contents(two.b.root) == contents(two.a.root) and files, "all arrived")
        write(two.a.root, there)
        await b.become(P, next_term(b.store), "a test promotes it")
        write(two.b.root, here)
        async with two.a.running() as a:
            await until(lambda: a.mode is X, "it heard of the promotion")
            yield a, b


def write(root: Any, files: dict[str, Any]) -> None:
    for name, text in files.items():
        path = root / name
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def test_a_node_rejoins_after_a_forced_promotion_and_its_edits_are_kept_in_its_history(two: Two) -> None:
    async def work() -> None:
        files = {"same": "1", "ours": "1", "theirs": "1", "both": "1", "gone": "1"}
        async with parted(
            two, files, {"ours": "2", "both": "here", "gone": None}, {"theirs": "2", "both": "there", "new": "new"}
        ) as (a, b):
            results = await finished(a, b, await begun(a))
            assert a.mode is F
            assert contents(two.a.root) == contents(two.b.root)
            assert contents(two.a.root) == {"same": b"1", "ours": b"2", "theirs": b"1", "both": b"here"}
            [domain] = results["home.compare"]["domains"]
            assert domain["name"] == DOMAIN
            assert domain["first"]["conflict"] == ["both"]
            write(two.b.root, {"later": "x"})
            await until(lambda: contents(two.a.root).get("later") == b"x", "the stream goes on")

    run(work())


def test_reverse_makes_the_old_production_serve_again_and_the_other_its_failover(two: Two) -> None:
    async def work() -> None:
        async with parted(two, {"same": "1", "ours": "1"}, {"ours": "2"}, {"theirs": "2"}) as (a, b):
            results = await finished(a, b, await begun(a, REVERSE, decided=True, verify=True))
            assert (a.mode, b.mode) == (P, F)
            assert contents(two.a.root) == contents(two.b.root) == {"same": b"1", "ours": b"2"}
            assert results["home.verify"]["reread"]
            await until(lambda: two.a.raised(a, "reversed"), "it is told")
            [(_, told)] = two.a.raised(a, "reversed")
            assert (told["changed_here"], told["changed_there"], told["overwritten"]) == (1, 1, 1)
            write(two.a.root, {"later": "x"})
            await until(lambda: contents(two.b.root).get("later") == b"x", "the stream goes on")

    run(work())


def test_a_reverse_with_merge_takes_what_each_side_changed_alone(two: Two) -> None:
    async def work() -> None:
        files = {"same": "1", "ours": "1", "theirs": "1", "gone there": "1"}
        async with parted(two, files, {"ours": "2"}, {"theirs": "2", "new/file": "x", "gone there": None}) as (a, b):
            await finished(a, b, await begun(a, REVERSE, policy="merge", decided=True, verify=True))
            assert (a.mode, b.mode) == (P, F)
            merged = {"same": b"1", "ours": b"2", "theirs": b"2", "new/file": b"x"}
            await until(lambda: contents(two.b.root) == merged, "the merged tree is on both")
            assert contents(two.a.root) == merged

    run(work())
