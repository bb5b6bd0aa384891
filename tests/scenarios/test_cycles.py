"""Promote, edit, reverse, again and again, amid kills and cuts: nothing acknowledged is lost, and nothing loops."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import threading
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest

from syncer.errors import SyncerError
from tests.e2e.harness import joined, wait_until
from tests.e2e.two_way import BINARY, RULES, GatedNode, Tree, TwoWayPair, rendered, tree_of
from tests.sampling import sampled
from tests.scenarios.cycle_model import Editor, Ledger, numbers_in, numbers_kept

SEED = int(os.environ.get("CYCLE_SEED", "1"))
CYCLES = int(os.environ.get("CYCLES", "100"))
COMMAND_SECONDS = 60.0
ATTEMPTS = 4
"""Of a command whose procedure is undone by what is done to it; the last one is left alone."""
CALM, STORM = 12, 40
"""Edits before a change of places; and where they go on through it."""


class Interruption(NamedTuple):
    """What is done to the nodes at one moment of a procedure."""

    on_lead: bool
    moment: str
    what: str


class Witness(threading.Thread):
    """Keeps asking whoever serves whether all is acknowledged, and tells the ledger of what was."""

    def __init__(self, node: GatedNode, ledger: Ledger) -> None:
        super().__init__(name=f"witness of {node.name}")
        self._node, self._ledger = node, ledger
        self._ended = threading.Event()
        self.heard = 0

    def run(self) -> None:
        # At most so often: it is to hear of some states, not to hold up the node.
        while not self._ended.wait(0.03):
            mark = self._ledger.mark(self._node.name)
            # A node that is killed, cut or no production just now acknowledges nothing.
            with contextlib.suppress(SyncerError, OSError):
                if self._node.asked("wait", timeout=1.0)["exit_code"] == 0:
                    self._ledger.acknowledged(mark)
                    self.heard += 1

    def end(self) -> None:
        self._ended.set()
        self.join()


class Cycles:
    """One pair, and all that happens to it; every choice follows from the seed."""

    def __init__(self, pair: TwoWayPair, seed: int, *, edits: bool) -> None:
        self.pair = pair
        self.home = pair.production
        self.ledger = Ledger()
        self.counts: dict[str, int] = {}
        self._chance = random.Random(seed)
        self._edits = edits
        self._steps: dict[str, list[tuple[str, bool]]] = {}

    def run_one(self) -> None:
        """Move production to the other node and home again."""
        old, new = self.home, self.pair.other(self.home)
        if self._chance.random() < 0.4:
            self._disaster(old, new)
        else:
            self._switch(old, new, new, "promote", "promote", "--yes")
        assert self.pair.serving() is new
        with self._editing(new, CALM):
            pass
        self._switch(new, old, self._chance.choice((old, new)), "reverse", "reverse", "--yes")
        assert self.pair.serving() is old
        self._look(old)

    def _disaster(self, old: GatedNode, new: GatedNode) -> None:
        """Take production from the other side by force: killed, or cut off and edited on."""
        self._count("forced")
        is_killed = self._chance.random() < 0.5
        with self._editing(old, CALM):
            pass
        with self._editing(old, 0 if is_killed else STORM):
            if is_killed:
                old.kill()
            else:
                self.pair.cut()
            self._by_force(new)
            standing = numbers_in(new.root)
            lost = self.ledger.lost_of_acknowledged(old.name, standing)
            assert not lost, f"acknowledged, and lost by a forced promotion: {lost}"
            self.ledger.goes_on(standing)
            with self._editing(new, CALM):
                pass
        self.pair.mend()
        wait_until(lambda: old.status()["mode"] == "fenced", COMMAND_SECONDS, f"{old.name} was fenced")
        unsent = self.ledger.unsent_of(old.name, standing)
        self._count("unsent", len(unsent))
        plan = old.folder / "plan"
        plan.unlink(missing_ok=True)
        new.cli("reverse", "--plan", str(plan), check=False)
        text = plan.read_text("utf-8")
        missing = [path for path in unsent if f'"path": "{path}"' not in text]
        assert not missing, f"unsent, and not in the plan: {missing}\n{text}"

    def _by_force(self, new: GatedNode) -> None:
        """Promote by force, with a kill of that node on the way now and then."""
        for _ in range(ATTEMPTS):
            interruption = self._interruption("promote_forced", alone=True)
            self._run(new, new, new, interruption, "promote", "--force", "--yes", gave="promote_forced")
            if not new.is_alive:
                new.process = None
                new.start()
            self._finish_alone(new)
            if new.status()["mode"] == "production":
                return
        raise AssertionError(f"{new.name} was not promoted\n{new.last_words(12)}")

    def _finish_alone(self, node: GatedNode) -> None:
        node.gate.open()
        wait_until(lambda: not node.status()["procedures"], COMMAND_SECONDS, "the forced promotion was over")

    def _switch(self, old: GatedNode, new: GatedNode, ask: GatedNode, kind: str, *command: str) -> None:
        """Have production move from `old` to `new` by a command on `ask`, however often it is interrupted."""
        with self._editing(old, CALM):
            pass
        with self._editing(old, self._chance.choice((0, STORM))):
            for attempt in range(ATTEMPTS):
                interruption = None if attempt == ATTEMPTS - 1 else self._interruption(kind)
                # Whoever asks: who is to be production leads.
                self._run(ask, new, old, interruption, *command, gave=kind)
                self.pair.mend()
                self.pair.settled()
                if self.pair.serving() is new:
                    break
            else:
                raise AssertionError(f"{kind} did not come to its end: {ask.procedures()[:1]}\n{self.pair.words()}")
        self._count(kind)
        self._hand_over(old, new)

    def _hand_over(self, old: GatedNode, new: GatedNode) -> None:
        """Check what became of every edit of the node that was production."""
        wait_until(lambda: old.status()["mode"] == "failover", COMMAND_SECONDS, f"{old.name} was failover")
        self.pair.wait_level()
        standing = numbers_in(new.root)
        lost = self.ledger.lost_of_acknowledged(old.name, standing)
        assert not lost, f"acknowledged to {old.name}, not on {new.name}: {lost}"
        for node in self.pair.nodes:
            unsent = self.ledger.unsent_of(node.name, standing)
            gone = set(unsent.values()) - numbers_kept(node.folder)
            assert not gone, f"of {node.name}, neither on {new.name} nor in a history: {gone}"
        self.ledger.begin_anew(standing)

    def _run(
        self,
        ask: GatedNode,
        lead: GatedNode,
        second: GatedNode,
        interruption: Interruption | None,
        *command: str,
        gave: str,
    ) -> None:
        """Run a command on `ask`, and interrupt its procedure."""
        if interruption is None:
            done = ask.cli(*command, check=False)
            self._learn(lead, gave)
            assert done.returncode in (0, 1), (done.returncode, done.stdout, done.stderr, self.pair.words())
            return
        node = lead if interruption.on_lead else second
        node.gate.hold(interruption.moment)
        running = ask.begun(*command)
        try:
            wait_until(lambda: node.gate.is_held or running.poll() is not None, COMMAND_SECONDS, interruption.moment)
            if node.gate.is_held:
                self._count(interruption.what)
                self._interrupt(lead, second, interruption.what)
            node.gate.open()
            with contextlib.suppress(subprocess.TimeoutExpired):
                # What it follows goes on without it.
                running.wait(1.0)
        finally:
            running.kill()
            running.wait(COMMAND_SECONDS)

    def _interrupt(self, lead: GatedNode, second: GatedNode, what: str) -> None:
        match what:
            case "kill lead":
                lead.kill()
            case "kill second":
                second.kill()
            case "kill both":
                lead.kill()
                second.kill()
            case "cut":
                self.pair.cut()

    def _interruption(self, kind: str, *, alone: bool = False) -> Interruption | None:
        """Choose a moment of a procedure of this kind, and what happens then; None: nothing does."""
        steps = self._steps.get(kind)
        if steps is None or self._chance.random() < 0.3:
            return None
        name, on_lead = self._chance.choice(steps)
        verb = self._chance.choice(("running", "acted", "done"))
        what = "kill lead" if alone else self._chance.choice(("kill lead", "kill second", "kill both", "cut"))
        return Interruption(on_lead, f"{verb} {name}", what)

    def _learn(self, lead: GatedNode, kind: str) -> None:
        for found in lead.procedures():
            if found["kind"] == kind and found["role"] == "lead":
                steps = [(step["name"], step["on"] == "lead") for step in found["steps"] if step["name"] != "agree"]
                self._steps[kind] = steps

    @contextlib.contextmanager
    def _editing(self, node: GatedNode, most: int) -> Iterator[None]:
        """Edit a node's tree until the end of the block; with nothing in the block, all that many times."""
        if not self._edits or not most:
            yield
            return
        editor = Editor(node.name, node.root, self.ledger, self._chance.randrange(1 << 30), most)
        witness = Witness(node, self.ledger)
        editor.start()
        witness.start()
        try:
            yield
            if most == CALM:
                editor.join()
        finally:
            editor.end()
            witness.end()
            self._count("acknowledgements", witness.heard)

    def _look(self, serving: GatedNode) -> None:
        """Check what must hold after each cycle."""
        status = serving.status()
        assert [domain["echoes"] for target in status["targets"] for domain in target["domains"]] == [0]
        terms = [event["term"] for node in self.pair.nodes for event in node.raised("promoted")]
        assert len(terms) == len(set(terms)), f"a term was used twice: {sorted(terms)}"
        for node in self.pair.nodes:
            assert node.frozen() == [], node.name
            assert node.raised("split_brain") == []

    def _count(self, what: str, number: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + number


@contextlib.contextmanager
def cycling(folder: Path, seed: int, *, edits: bool) -> Iterator[Cycles]:
    """Make a pair with a small tree, level, and check that it is level in the end."""
    print(f"CYCLE_SEED={seed}")  # noqa: T201 - pytest shows it where the test fails
    pair = TwoWayPair(folder, rules=RULES, target='timeout = "2s"\n', domain='settle = "5ms"\n')
    fill(pair.production.root)
    with joined(pair) as running:
        running.wait_level()
        cycles = Cycles(running, seed, edits=edits)
        cycles.ledger.begin_anew(numbers_in(pair.production.root))
        yield cycles
        running.wait_level()


def fill(root: Path) -> None:
    """Make a tree with what must come home as it was, substitution included."""
    for path in ("sites", "users/deep", "empty"):
        (root / path).mkdir(parents=True)
    (root / "server.conf").write_bytes(b"listen 192.0.2.1:443; allow 198.51.100.1; # swapped, both ways\r\n")
    (root / "wide").write_bytes("host = 192.0.2.1\r\n".encode("utf-16"))
    (root / "binary").write_bytes(BINARY + bytes(range(256)) * 40 + b" 192.0.2.1 \0")
    (root / "sites" / "large").write_bytes(b"upstream 192.0.2.1:1;\n" * 20_000)
    (root / "users" / "deep" / "script").write_bytes(b"#!/bin/sh\nexec ping 192.0.2.1\n")
    (root / "users" / "deep" / "script").chmod(0o4750)
    (root / "link").symlink_to("users/deep/script")
    os.utime(root / "wide", ns=(1, 1_000_000_001))


def looked_at(pair: TwoWayPair) -> tuple[Tree, Tree]:
    ours, theirs = (tree_of(node.root) for node in pair.nodes)
    return ours, theirs


def run(folder: Path, count: int, seed: int, *, edits: bool) -> Cycles:
    with cycling(folder, seed, edits=edits) as cycles:
        before = looked_at(cycles.pair)
        assert before[1] == rendered(before[0])
        for _ in range(count):
            cycles.run_one()
            if not edits:
                assert looked_at(cycles.pair) == before, "without an edit, not everything is as it was"
    return cycles


@pytest.mark.slow
@pytest.mark.parametrize("edits", sampled(product([True, False]), (True,)))
def test_guarantee_3_a_cycle_loses_nothing_and_closes_no_loop(tmp_path: Path, *, edits: bool) -> None:
    cycles = run(tmp_path, 1, SEED, edits=edits)
    assert bool(cycles.ledger.count) == edits


@pytest.mark.soak
@pytest.mark.parametrize("edits", [True, False])
def test_guarantee_3_a_hundred_cycles_lose_nothing_and_close_no_loop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, edits: bool
) -> None:
    cycles = run(tmp_path, CYCLES, SEED, edits=edits)
    with capsys.disabled():
        print(f"\n{CYCLES} cycles, seed {SEED}, {cycles.ledger.count} edits: {cycles.counts}")  # noqa: T201
