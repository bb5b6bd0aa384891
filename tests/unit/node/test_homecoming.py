"""Old production nodes that come home: compared, kept, filled, and failover afterwards; whole nodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from syncer.model import Mode, Term
from syncer.node.agent import Node
from syncer.node.kinds import REJOIN
from syncer.node.reload_plan import plan
from syncer.procedures.home_messages import BeginWish, OthersRequest
from syncer.procedures.home_wishes import HomeWishes
from syncer.procedures.journal import Known
from syncer.procedures.kinds import Plain, Run
from syncer.procedures.messages import Refusal, Speaker
from syncer.procedures.reverse import REVERSE
from syncer.procedures.steps import Outcome
from syncer.state.cursors import TargetRecord, record_target
from syncer.state.generations import read_displaced
from syncer.state.peers import Peer, peers
from syncer.state.store import StateStore
from syncer.state.term import next_term
from syncer.status import node_status
from tests.unit.node.running import DOMAIN, F, P, Two, X, contents, run, two, until

__all__ = ["two"]

Files = Mapping[str, str | None]


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
    try:
        await until(lambda: is_over(lead, procedure) and is_over(second, procedure), "it is over")
    except AssertionError as error:
        raise AssertionError(f"{error}: {shown(lead)}") from error
    await until(lambda: not lead.procedures.journal.unsettled(), "both know")
    return known(lead, procedure)


async def finished(lead: Node, second: Node, procedure: str) -> dict[str, Any]:
    """Return the results of a procedure that went to its end."""
    found = await ended(lead, second, procedure)
    assert found.journal.outcome is Outcome.FINISHED, found.journal
    return {name: dict(result) for name, result in found.journal.results.items()}


@asynccontextmanager
async def parted(two: Two, files: Files, here: Files, there: Files) -> AsyncIterator[tuple[Node, Node]]:
    """Run both nodes after b was promoted by force, with edits on both sides since; a is fenced by then."""
    write(two.a.root, files)
    async with two.b.running() as b:
        async with two.a.running() as a:
            await until(lambda: all(has_all(target) for target in node_status(a)["targets"]), "all arrived")
        write(two.a.root, there)
        await b.become(P, next_term(b.store), "a test promotes it")
        write(two.b.root, here)
        async with two.a.running() as a:
            await until(lambda: a.mode is X, "it heard of the promotion")
            yield a, b


def has_all(target: dict[str, Any]) -> bool:
    return all(domain["last_success"] and not domain["changes_behind"] for domain in target["domains"])


def holds(root: Path, name: str, text: str) -> bool:
    return contents(root).get(name) == text.encode()


def write(root: Path, files: Files) -> None:
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
            # What it was changed to while it served is no edit on a failover node.
            assert two.b.raised(b, "drift.detected") == []

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


def test_guarantee_6_what_was_never_sent_is_kept_beyond_the_limits(two: Two) -> None:
    async def work() -> None:
        two.a.write(two.b, domain="history = { generations = 1 }")
        async with parted(two, {"file": "1"}, {"other": "x"}, {"file": "never sent"}) as (a, b):
            results = await finished(a, b, await begun(a))
            assert results["home.keep"]["generations"] == {DOMAIN: 1}
            assert a.failover is not None
            destination = a.failover.destinations[DOMAIN]
            for number in range(4):
                write(two.b.root, {"other": str(number)})
                await until(partial(holds, two.a.root, "other", str(number)), "it arrived")
            on_worker = a.failover.receiver.on_worker
            while await on_worker(DOMAIN, destination.history.tend):
                continue
            numbers = [item.number for item in destination.history.generations()]
            assert numbers[0] == 1
            assert len(numbers) == 2, "the limit holds for the others"
            [kept] = [row for row in read_displaced(a.store, DOMAIN, 1) if row.path == b"file"]
            assert kept.entry is not None
            assert kept.entry.size == len("never sent")
            assert not destination.history.lacking({kept.entry.digest: kept.entry.size})
            assert destination.history.release(1)
            while await on_worker(DOMAIN, destination.history.tend):
                continue
            assert [item.number for item in destination.history.generations()] == numbers[1:]

    run(work())


def test_guarantee_10_a_reverse_brings_home_byte_for_byte_what_was_not_edited(two: Two) -> None:
    rules = '  [[failover.substitute]]\n  from = "10.0.1.10"\n  to = "10.0.2.10"\n'
    two.a.config.write_text(two.a.config.read_text() + rules)
    two.b.write()

    async def work() -> None:
        files = {"plain": "10.0.1.10", "undo": "10.0.1.10 and 10.0.2.10", "edited": "x 10.0.1.10", "none": "nothing"}
        async with parted(two, files, {"edited": "y 10.0.2.10"}, {}) as (a, b):
            assert contents(two.b.root)["plain"] == b"10.0.2.10"
            before = {name: (two.a.root / name).lstat() for name in files}
            await finished(a, b, await begun(a, REVERSE, decided=True, verify=True))
            home = {name: text.encode() for name, text in {**files, "edited": "y 10.0.1.10"}.items()}
            assert contents(two.a.root) == home
            assert contents(two.b.root)["undo"] == b"10.0.2.10 and 10.0.2.10"
            for name in ("plain", "undo", "none"):
                now = (two.a.root / name).lstat()
                assert (now.st_mtime_ns, now.st_mode, now.st_uid) == (
                    before[name].st_mtime_ns,
                    before[name].st_mode,
                    before[name].st_uid,
                )

    run(work())


def test_what_a_person_prefers_stays_and_a_conflict_that_nobody_decided_undoes_all(two: Two) -> None:
    async def work() -> None:
        files = {"both": "1", "tree/both": "1"}
        here, there = {"both": "here", "tree/both": "here"}, {"both": "there", "tree/both": "there"}
        async with parted(two, files, here, there) as (a, b):
            undone = await ended(a, b, await begun(a, REVERSE, policy="merge", decided=True))
            assert undone.journal.outcome is Outcome.ABORTED
            assert "must be decided first" in undone.journal.abort
            assert (a.mode, b.mode) == (X, P)
            prefer = {DOMAIN: {"both": "there", "tree/": "here"}}
            await finished(a, b, await begun(a, REVERSE, prefer=prefer, decided=True, verify=True))
            home = {"both": b"there", "tree/both": b"here"}
            await until(lambda: contents(two.b.root) == home, "it came back")
            assert contents(two.a.root) == home

    run(work())


def test_a_plan_is_refused_where_anything_has_moved_since_it_was_made(two: Two) -> None:
    async def work() -> None:
        async with parted(two, {"file": "1"}, {"file": "2"}, {"other": "x"}) as (a, b):
            [side] = await b.home.comparing.compare(the_peer(b), HomeWishes(), lambda *_: None)
            expect = {DOMAIN: side.plan.fingerprint.hex()}
            for place in (two.a, two.b):
                write(place.root, {"moved": "x"})
                undone = await ended(a, b, await begun(a, expect=expect))
                assert undone.journal.outcome is Outcome.ABORTED
                assert "has moved since the plan was made" in undone.journal.abort
                write(place.root, {"moved": None})
            # Its directory's time has moved, too.
            [side] = await b.home.comparing.compare(the_peer(b), HomeWishes(), lambda *_: None)
            await finished(a, b, await begun(a, expect={DOMAIN: side.plan.fingerprint.hex()}))
            assert contents(two.a.root) == {"file": b"2"}

    run(work())


def test_what_the_old_production_could_never_send_stays_there(two: Two) -> None:
    async def work() -> None:
        two.b.write(two.a, domain='exclude = ["*.log"]')
        files = {"file": "1", "deep/old.log": "log", "gone/x.log": "log", "gone/y": "1"}
        async with parted(two, files, {"file": "2", "gone/y": None}, {}) as (a, b):
            (two.b.root / "gone").rmdir()
            results = await finished(a, b, await begun(a))
            [domain] = results["home.compare"]["domains"]
            assert domain["states"]["never sent"] == 2
            kept = {"file": b"2", "deep/old.log": b"log", "gone/x.log": b"log"}
            assert contents(two.a.root) == kept
            write(two.b.root, {"later": "x"})
            await until(lambda: contents(two.a.root) == {**kept, "later": b"x"}, "the stream goes on")
            assert set(contents(two.b.root)) == {"file", "later"}

    run(work())


class Held(Plain):
    """A step that is never done."""

    def __init__(self) -> None:
        self.is_begun = False

    async def do(self, run: Run) -> dict[str, Any]:
        self.is_begun = True
        await asyncio.Event().wait()
        return {}


def test_a_restart_of_the_serving_node_between_comparing_and_filling_forgets_nothing(two: Two) -> None:
    async def work() -> None:
        files = {"ours": "1", "theirs": "1"}
        write(two.a.root, files)
        async with two.b.running() as b:
            async with two.a.running():
                await until(lambda: contents(two.b.root) == contents(two.a.root), "all arrived")
            await b.become(P, next_term(b.store), "a test promotes it")
        write(two.a.root, {"theirs": "2", "new": "x"})
        write(two.b.root, {"ours": "2"})
        async with two.a.running() as a:
            async with two.b.running() as b:
                await until(lambda: a.mode is X, "it heard of the promotion")
                held = Held()
                kind = b.kinds.find(REJOIN)
                assert kind is not None
                assert isinstance(kind.actions, dict)
                kind.actions["home.fill"] = held
                procedure = await begun(a, policy="merge")
                await until(lambda: held.is_begun, "it is to be filled")
                assert a.mode is F
                await until(lambda: "it comes home" in node_status(b)["targets"][0]["reason"], "its stream waits")
                assert contents(two.a.root) == {"ours": b"1", "theirs": b"2", "new": b"x"}
            async with two.b.running() as b:
                await finished(a, b, procedure)
                assert contents(two.a.root) == {"ours": b"2", "theirs": b"2", "new": b"x"}
                write(two.b.root, {"later": "x", "theirs": "3"})
                await until(lambda: "later" in contents(two.a.root), "the stream goes on")
                assert contents(two.a.root)["theirs"] == b"2"
            async with two.b.running() as b:
                write(two.b.root, {"later": "y"})
                await until(lambda: contents(two.a.root)["later"] == b"y", "also after another restart")
                assert contents(two.a.root)["theirs"] == b"2"

    run(work())


def test_a_hook_that_fails_before_the_fail_back_leaves_the_serving_node_production(two: Two) -> None:
    async def work() -> None:
        two.b.write(two.a, domain='[hooks]\nbefore_failback = ["false"]')
        async with parted(two, {"file": "1"}, {"file": "2"}, {"theirs": "x"}) as (a, b):
            undone = await ended(a, b, await begun(a, REVERSE, decided=True, verify=True))
            assert undone.journal.outcome is Outcome.ABORTED
            assert "before_failback" in undone.journal.abort
            assert (a.mode, b.mode) == (F, P)
            write(two.b.root, {"later": "x"})
            await until(lambda: contents(two.a.root) == {"file": b"2", "later": b"x"}, "it is served as a failover")

    run(work())


def test_edits_after_the_comparison_are_listed_kept_and_stop_what_was_decided_path_by_path(two: Two) -> None:
    async def work() -> None:
        async with parted(two, {"file": "1"}, {"file": "2"}, {"theirs": "x"}) as (a, b):
            kind = a.kinds.find(REJOIN)
            assert kind is not None
            assert isinstance(kind.actions, dict)
            keeps = kind.actions["home.keep"]

            class Late(Plain):
                async def do(self, run: Run) -> Any:
                    write(two.a.root, {"late": "x", "theirs": "y"})
                    return await keeps.do(run)

            kind.actions["home.keep"] = Late()
            undone = await ended(a, b, await begun(a, policy="merge"))
            assert undone.journal.outcome is Outcome.ABORTED
            assert "have changed here since both sides were compared" in undone.journal.abort
            assert a.mode is X
            results = await finished(a, b, await begun(a))
            [slipped] = results["home.rejoin"]["slipped_in"]
            assert (slipped["domain"], slipped["total"]) == (DOMAIN, 2)
            assert contents(two.a.root) == {"file": b"2"}
            assert {row.path for row in read_displaced(a.store, DOMAIN, 1)} >= {b"late", b"theirs"}

    run(work())


def test_only_the_serving_node_hears_what_a_fenced_one_has_and_only_reverse_is_begun_for_another(two: Two) -> None:
    async def work() -> None:
        async with parted(two, {"file": "1"}, {}, {}) as (a, b):
            peer, term = the_peer(a), a.mode_and_term()[1]
            request = OthersRequest(DOMAIN, None)

            async def told(mode: Mode, term: Term, request: OthersRequest = request) -> list[Any]:
                speaker = Speaker(two.b.node_id, "b", term, mode)
                return [event async for event in a.home.others(peer, speaker, request)]

            for mode, said in ((F, term), (X, term), (P, Term(1, two.b.node_id)), (P, Term(2, two.a.node_id))):
                [refusal] = await told(mode, said)
                assert isinstance(refusal, Refusal)
                assert "only to the production node" in refusal.message
            [refusal] = await told(P, term, OthersRequest("other", None))
            assert "there is no domain" in refusal.message
            head, *parts, _ = await told(P, term)
            assert head.head.by_content
            assert [other.entry.path for part in parts for other in part.others] == [b"", b"file"]
            serving = Speaker(two.b.node_id, "b", term, P)
            for kind in (REJOIN, "promote", "promote_forced", "nothing"):
                answer = await a.home.begin(peer, serving, BeginWish(kind, {}))
                assert isinstance(answer, Refusal), kind
            for mode, said in ((F, term), (X, term), (P, Term(1, two.b.node_id)), (P, Term(2, two.a.node_id))):
                speaker = Speaker(two.b.node_id, "b", said, mode)
                answer = await a.home.begin(peer, speaker, BeginWish(REVERSE, {}))
                assert isinstance(answer, Refusal), (mode, said)
            assert a.procedures.journal.unsettled() == []
            answer = await b.home.begin(the_peer(b), Speaker(two.a.node_id, "a", term, X), BeginWish(REVERSE, {}))
            assert isinstance(answer, Refusal)
            assert "is production itself" in answer.message
            answer = await a.home.begin(peer, serving, BeginWish(REVERSE, {"policy": "nonsense"}))
            assert isinstance(answer, Refusal)

    run(work())


def test_a_table_that_is_joined_for_a_derived_target_takes_its_place_without_a_reload(two: Two) -> None:
    async def work() -> None:
        two.b.write()
        async with parted(two, {"file": "1"}, {"file": "2"}, {}) as (a, b):
            assert [(target.name, target.is_derived) for target in b.settings.failover] == [("a", True)]
            await finished(a, b, await begun(a))
            table = (
                f'[[failover]]\nname = "old"\naddress = "{two.a.address}"\non_failure = {{ retry = "20ms..100ms" }}\n'
            )
            two.b.config.write_text(two.b.config.read_text() + table)
            reloading = b.look_for_targets.__self__  # type: ignore[attr-defined]  # the method of what reloads
            reloading.order()
            await until(lambda: [t.name for t in b.settings.failover] == ["old", "a"], "the table is read")
            with StateStore.open(two.b.state) as store:
                record_target(store, TargetRecord("old", two.a.node_id, "a"))
            b.look_for_targets()
            await until(lambda: [t.name for t in b.settings.failover] == ["old"], "the table is the target")
            write(two.b.root, {"later": "x"})
            await until(lambda: holds(two.a.root, "later", "x"), "it is sent to")
            [target] = node_status(b)["targets"]
            assert (target["name"], target["state"]) == ("old", "streaming")

    run(work())


def test_keep_local_of_the_serving_node_takes_effect_on_its_stream_home(two: Two) -> None:
    def is_restarted(node: Node, before: object) -> bool:
        assert node.production is not None
        return next(iter(node.production.senders.values())) is not before

    async def work() -> None:
        async with parted(two, {"file": "1"}, {"file": "2"}, {}) as (a, b):
            await finished(a, b, await begun(a))
            assert b.production is not None
            [before] = b.production.senders.values()
            domain = replace(b.settings.domains[0], keep_local=("own",))
            production = b.production
            async with b.modes.changing:
                chosen = plan(b.settings, replace(b.settings, domains=(domain,)), production.homeward())
                await production.reload(chosen)
            assert is_restarted(b, before)
            write(two.b.root, {"own": "mine", "later": "x"})
            await until(lambda: holds(two.a.root, "later", "x"), "the rest is sent")
            assert not (two.a.root / "own").exists()

    run(work())
