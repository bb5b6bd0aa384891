"""A drill of whole nodes: it proves what a promotion would need, and changes nothing."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from syncer.admin.drill import drill
from syncer.drill.place import NAME
from syncer.errors import RefusedError
from syncer.model import Mode
from syncer.node.agent import Node
from syncer.node.readiness_side import readiness
from syncer.procedures.readiness import Level, Purpose, refusals
from tests.unit.node.running import DOMAIN, Two, contents, run, two, until

__all__ = ["two"]

RULES = '[[failover.substitute]]\nfrom = "10.0.1.10"\nto = "10.0.2.10"\n'


async def done(node: Node) -> dict[str, Any]:
    """Do a drill to its end."""
    result: dict[str, Any] = {}
    async for kind, body in drill(node, {}):
        if kind == "result":
            result = body
    return result


def levels(result: dict[str, Any], name: str) -> list[str]:
    return [finding["level"] for finding in result["readiness"]["findings"] if finding["name"] == name]


def refusals_of(result: dict[str, Any]) -> list[str]:
    return [item["sentence"] for item in result["readiness"]["findings"] if item["level"] == "refusal"]


def configured(two: Two, domain: str = "", more: str = "") -> None:
    two.a.write(two.b, domain='settle = "0ms"')
    two.a.config.write_text(two.a.config.read_text() + RULES)
    two.b.write(domain=domain)
    two.b.config.write_text(two.b.config.read_text() + more)


def is_recorded(node: Node) -> bool:
    """What is visible is recorded a moment later."""
    return node.failover is not None and node.failover.destinations[DOMAIN].standing() is not None


async def received(two: Two, files: dict[str, str], node: Node | None = None) -> None:
    want = {name: text.replace("10.0.1.10", "10.0.2.10").encode() for name, text in files.items()}
    await until(lambda: contents(two.b.root) == want, "all arrived")
    await until(lambda: node is None or is_recorded(node), "it was recorded")


async def received_plain(two: Two, node: Node) -> None:
    await until(lambda: len(contents(two.b.root)) == len(FILES), "all arrived")
    await until(lambda: is_recorded(node), "it was recorded")


FILES = {"a.conf": "listen 10.0.1.10:80\n", "b.conf": "no address\n", "sub/c.conf": "10.0.1.10 10.0.1.10\n", "e": ""}


def fill(two: Two) -> None:
    for name, text in FILES.items():
        path = two.a.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def test_guarantee_17_a_drill_proves_the_way_home_and_changes_nothing(two: Two) -> None:

    async def work() -> None:
        configured(two, f'start = ["/bin/true"]\ncheck = ["/bin/sh", "-c", "grep -q 10.0.2.10 {two.b.root}/a.conf"]')
        fill(two)
        async with two.a.running(), two.b.running() as b:
            await received(two, FILES, b)
            before = {path: path.lstat() for path in two.b.root.rglob("*")}
            was = b.mode_and_term()
            result = await done(b)
            assert result["exit_code"] == 0, result
            [domain] = result["domains"]
            home = domain["home"]
            assert (home["same"], home["restored"], home["edited"], home["unproven"]) == (2, 2, 0, 0)
            assert (home["to"], home["left_out"], home["gone"], domain["copy"]["one_state"]) == ("a", 0, 0, True)
            assert domain["check"]["passed"]
            assert b.mode_and_term() == was
            after = {path: path.lstat() for path in two.b.root.rglob("*")}
            assert {path: (s.st_ino, s.st_ctime_ns) for path, s in before.items()} == {
                path: (s.st_ino, s.st_ctime_ns) for path, s in after.items()
            }
            assert not (two.b.state / NAME).exists()
            whats = [step["what"] for step in result["would"]]
            assert "start the services" in whats
            assert "b becomes production under term 2" in whats

    run(work())


def test_an_edited_file_is_told_apart_and_a_failing_check_makes_it_not_ready(two: Two) -> None:
    async def work() -> None:
        configured(two, 'check = ["/bin/sh", "-c", "echo refused; exit 7"]\ndrift = "ignore"')
        two.b.write(domain='drift = "report"')
        fill(two)
        async with two.a.running(), two.b.running() as b:
            await received(two, FILES, b)
            (two.b.root / "b.conf").write_text("edited, 10.0.2.10\n")
            (two.b.root / "new").write_text("10.0.2.10\n")
            (two.b.root / "sub" / "c.conf").unlink()
            await until(lambda: b.failover is not None and b.failover.destinations[DOMAIN].drift_count == 3, "drift")
            result = await done(b)
            [domain] = result["domains"]
            home = domain["home"]
            assert (home["restored"], home["same"], home["edited"], home["gone"]) == (1, 1, 2, 1)
            assert result["exit_code"] == 3
            assert levels(result, "drift") == ["warning"]

    run(work())


def test_a_check_that_refuses_and_a_hook_that_is_not_there_make_it_not_ready(two: Two) -> None:
    async def work() -> None:
        fill(two)
        configured(two)
        async with two.a.running(), two.b.running() as b:
            await received(two, FILES, b)
        gone = "/nonexistent/program"
        configured(two, f'check = ["/bin/sh", "-c", "echo it refuses; exit 7"]\nstart = ["{gone}"]',
                   f'[hooks]\nbefore_promote = ["{gone}"]\nafter_promote = ["{gone}"]\n')  # fmt: skip
        async with two.b.running() as b:
            result = await done(b)
            assert result["exit_code"] == 4
            [check] = [domain["check"] for domain in result["domains"]]
            assert (check["exit"], check["output"].strip(), check["passed"]) == ("7", "it refuses", False)
            assert levels(result, "check") == ["refusal"]
            assert levels(result, "services") == ["refusal"]
            assert levels(result, "hooks") == ["refusal", "warning"]
            # Production is dead: a drill goes on all the same.
            assert levels(result, "production") == ["warning"]
            assert levels(result, "home") == ["ok", "ok"]

    run(work())


@pytest.mark.needs_root
def test_the_check_sees_the_copy_at_its_real_path_and_cannot_write_to_the_tree(two: Two) -> None:
    async def work() -> None:
        fill(two)
        root = two.b.root
        script = f"echo x > {root}/a.conf && echo y > {root}/made && ls {root}"
        configured(two)
        async with two.a.running(), two.b.running() as b:
            await received(two, FILES, b)
        (root / "local").write_text("its own")
        configured(two, f'check = ["/bin/sh", "-c", "{script}"]')
        async with two.b.running() as b:
            result = await done(b)
        [domain] = result["domains"]
        assert domain["check"]["looked_at"] == "copy", domain["check"]
        assert domain["check"]["output"].split() == ["a.conf", "b.conf", "e", "local", "made", "sub"]
        assert (root / "a.conf").read_text() == "listen 10.0.2.10:80\n"
        assert not (root / "made").exists()

    run(work())


def test_a_drill_on_a_busy_failover_copies_one_state(two: Two) -> None:
    """Files of one transaction are either all old or all new in the copy."""

    async def work() -> None:
        names = [f"f{number}" for number in range(40)]
        script = f"cat {two.b.root}/f* | sort -u | wc -l"
        configured(two)
        async with two.a.running() as a:
            assert a.production is not None
            for name in names:
                (two.a.root / name).write_text("0\n")
            two.b.write(domain=f'check = ["/bin/sh", "-c", "test $({script}) -le 1"]')
            async with two.b.running() as b:
                await until(lambda: len(contents(two.b.root)) == 40, "the first state arrived")
                await until(lambda: is_recorded(b), "it was recorded")
                stop = asyncio.Event()

                async def writing() -> None:
                    number = 0
                    while not stop.is_set():
                        number += 1
                        assert a.production is not None
                        for name in names:
                            (two.a.root / name).write_text(f"{number}\n")
                        await a.production.flush()

                task = asyncio.create_task(writing())
                results = [await done(b) for _ in range(3)]
                stop.set()
                await task
                for result in results:
                    [domain] = result["domains"]
                    assert domain["copy"]["one_state"]
                    # Nothing that the check refuses was ever applied: half of a transaction would be refused.
                    assert domain["check"]["passed"], domain["check"]
                    assert domain["home"]["unproven"] == domain["home"]["edited"] == domain["home"]["gone"] == 0

    run(work())


def test_what_a_killed_drill_has_left_is_removed_at_the_next_start(two: Two) -> None:
    async def work() -> None:
        left = two.b.state / NAME / "0" / "tree"
        left.mkdir(parents=True)
        (left / "secret").write_text("x")
        (left / "secret").chmod(0o000)
        async with two.b.running():
            assert not (two.b.state / NAME).exists()

    run(work())


def test_a_drill_that_nobody_waits_for_ends_and_leaves_nothing(two: Two) -> None:
    async def work() -> None:
        fill(two)
        async with two.a.running(), two.b.running() as b:
            await received_plain(two, b)
            async with aclosing(drill(b, {})) as said:
                await anext(said)
            await until(lambda: not (two.b.state / NAME).exists(), "it is removed")
            result = await done(b)
            assert refusals_of(result) == []

    run(work())


def test_a_drill_is_for_a_failover_node_and_one_at_a_time(two: Two) -> None:
    async def work() -> None:
        async with two.a.running() as a, two.b.running() as b:
            with pytest.raises(RefusedError, match="in mode production"):
                await done(a)
            os.mkdir(two.b.state / NAME)
            with pytest.raises(RefusedError, match="another drill"):
                await done(b)

    run(work())


def test_readiness_says_what_each_promotion_needs(two: Two) -> None:
    async def work() -> None:
        fill(two)
        async with two.b.running() as b:
            async with two.a.running() as a:
                await received_plain(two, b)
                assert refusals(await readiness(b)) == []
                found = {item.name: item for item in await readiness(b, Purpose.FORCED, thorough=False)}
                assert found["production"].level is Level.WARNING
                [mode] = await readiness(a)
                assert (mode.name, mode.level) == ("mode", Level.REFUSAL)
            found = {item.name: item for item in await readiness(b)}
            assert found["production"].level is Level.REFUSAL
            assert refusals(await readiness(b, Purpose.FORCED)) == []
            assert b.mode is Mode.FAILOVER

    run(work())


def test_the_place_is_closed_to_others(tmp_path: Path) -> None:
    from syncer.drill.place import drill_place

    with drill_place(tmp_path) as place:
        assert place.stat().st_mode & 0o777 == 0o700
    assert not place.exists()
