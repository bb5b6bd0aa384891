"""Interrupts a procedure of two real nodes at one step, in one way, and says what came of it."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.e2e.harness import Node, joined, wait_until
from tests.e2e.two_way import RULES, GatedNode, Tree, TwoWayPair, tree_of

WAYS = ("kill lead", "kill second", "cut", "timeout", "abort")
KINDS = ("promote", "promote_forced", "rejoin", "reverse")
SECONDS = 60.0
CUT_SECONDS = 3.0
RESUMED, UNDONE, FAILOVER, NONE = "resumed", "undone", "undone, failover", "–"
HOME = "home.rejoin"
"""From this step of a reverse on, an undo leaves the old production a failover server of the node that serves."""
MODES_AFTER = {
    # Of the node that was production at first, and of the other one.
    "promote": ("failover", "production"),
    "promote_forced": ("", "production"),
    "rejoin": ("failover", "production"),
    "reverse": ("production", "failover"),
}


class Step(NamedTuple):
    """One step of a kind, as a node tells of it."""

    name: str
    title: str
    on_lead: bool
    is_return: bool
    """The point of no return."""


class Seen(NamedTuple):
    """What must be as before where a procedure was undone."""

    modes: tuple[str, ...]
    trees: tuple[Tree, ...]
    frozen: tuple[list[Any], ...]
    services: tuple[bool, ...]


class ServedPair(TwoWayPair):
    """A pair whose domain has a service: it runs while a file is there."""

    def domain_of(self, node: Node) -> str:
        """Return its commands."""
        running = node.folder / "running"
        return (
            f'settle = "5ms"\nstart = ["touch", "{running}"]\nstop = ["rm", "-f", "{running}"]\n'
            f'status = ["sh", "-c", "test -e {running} || exit 3"]\n'
        )


class Case:
    """One pair that is ready for a procedure of one kind."""

    def __init__(self, pair: ServedPair, kind: str) -> None:
        self.pair, self.kind = pair, kind
        self.is_alone = kind == "promote_forced"
        old, new = pair.production, pair.failover
        self.lead = new if kind.startswith("promote") else old
        self.second = pair.other(self.lead)
        force = ["--force"] if self.is_alone else []
        self.command = ["promote" if kind.startswith("promote") else kind, *force, "--yes"]

    @property
    def nodes(self) -> tuple[GatedNode, ...]:
        """Those that take part."""
        return (self.lead,) if self.is_alone else self.pair.nodes

    def seen(self) -> Seen:
        """Look at what must be as before where it is undone."""
        statuses = [node.status() for node in self.nodes]
        return Seen(
            tuple(status["mode"] for status in statuses),
            tuple(tree_of(node.root) for node in self.nodes),
            tuple(node.frozen() for node in self.nodes),
            tuple((node.folder / "running").exists() for node in self.nodes),
        )

    def last(self) -> dict[str, Any]:
        """Return the procedure as its lead tells of it."""
        return self.lead.procedures()[0]

    def steps(self) -> list[Step]:
        """Run it without interruption, and return its steps."""
        self.lead.cli(*self.command)
        found = self.last()
        assert (found["kind"], found["outcome"]) == (self.kind, "finished"), found
        self._require_done()
        return [
            Step(step["name"], step["title"], step["on"] == "lead", step["point_of_no_return"])
            for step in found["steps"]
        ]

    def interrupt(self, step: Step, way: str, *, is_past: bool, is_home: bool, by_second: bool) -> str:
        """Interrupt it at a step and return what came of it; `is_past`: the point of no return has been begun by then.

        `is_home`: the old production has been made a failover server, in a reverse.

        Fails where it is neither resumed to its end nor undone to its beginning.
        """
        before = self.seen()
        node = self.lead if step.on_lead else self.second
        if way == "timeout":
            node.gate.make_slow(step.name)
            running = self.lead.begun(*self.command)
        else:
            node.gate.hold(f"running {step.name}" if step.name == "agree" else f"acted {step.name}")
            running = self.lead.begun(*self.command)
            wait_until(lambda: node.gate.is_held or running.poll() is not None, SECONDS, f"{step.name} was reached")
            assert node.gate.is_held, f"{step.name} was never reached: {self.last()}"
            self._do(way, node, by_second=by_second)
            node.gate.open()
        with contextlib.suppress(subprocess.TimeoutExpired):
            # Where its agent lives it ends with the procedure.
            running.wait(SECONDS if way in ("timeout", "abort") else 0.5)
        running.kill()
        running.wait(SECONDS)
        self.mend()
        self._settle()
        outcome = self.last()["outcome"]
        expected = "aborted" if way in ("timeout", "abort") and not is_past else "finished"
        assert outcome == expected, (outcome, self.last())
        if outcome == "aborted":
            return self._undone(before, is_home=is_home)
        self._require_done()
        return RESUMED

    def _undone(self, before: Seen, *, is_home: bool) -> str:
        after = self.seen()
        assert after.frozen == before.frozen
        assert after.services == before.services
        if not is_home:
            assert after.modes == before.modes
            assert after.trees == before.trees, "a tree is not as it was"
            return UNDONE
        # The lead is the old production.
        assert after.modes == ("failover", "production")
        assert after.trees[1] == before.trees[1], "the tree that serves is not as it was"
        # Whether it was filled or not: run again it comes to its end.
        self.lead.cli(*self.command)
        self._require_done()
        return FAILOVER

    def mend(self) -> None:
        """Let whoever takes part run again."""
        if not self.is_alone:
            self.pair.mend()
            return
        self.lead.gate.open()
        if not self.lead.is_alive:
            self.lead.process = None
            self.lead.start()

    def _do(self, way: str, held: GatedNode, *, by_second: bool) -> None:
        match way:
            case "kill lead":
                self.lead.kill()
            case "kill second":
                self.second.kill()
            case "cut":
                self.pair.cut()
                held.gate.open()
                began = time.monotonic()
                # What a step waits for by itself it does not say.
                wait_until(lambda: self._feels_the_cut() or time.monotonic() - began > CUT_SECONDS, SECONDS, "a cut")
            case "abort":
                asked = self.second if by_second and not self.is_alone else self.lead
                done = asked.cli("procedure", "abort", "--yes", check=False)
                assert done.returncode in (0, 4), (done.returncode, done.stderr)

    def _feels_the_cut(self) -> bool:
        open_now = self.lead.status()["procedures"]
        if not open_now:
            return True
        titles = [step["title"] for step in open_now[0]["steps"]]
        return not any(title in open_now[0]["waits_for"] for title in titles)

    def _settle(self) -> None:
        if self.is_alone:
            wait_until(lambda: not self.lead.status()["procedures"], SECONDS, f"it was over: {self.lead.procedures()}")
        else:
            self.pair.settled()

    def _require_done(self) -> None:
        old, new = self.pair.nodes
        for node, mode in zip((old, new), MODES_AFTER[self.kind], strict=True):
            if mode:
                assert node.status()["mode"] == mode, (node.name, node.status()["mode"])
                assert node.frozen() == []
                assert (node.folder / "running").exists() == (mode == "production"), f"services of {node.name}"
        if not self.is_alone:
            self.pair.wait_level()


@contextlib.contextmanager
def case(folder: Path, kind: str) -> Iterator[Case]:
    """Make two nodes that are ready for a procedure of a kind."""
    pair = ServedPair(folder, rules=RULES, target='timeout = "2s"\n')
    pair.production.root.mkdir(parents=True)
    (pair.production.folder / "running").touch()
    for name in ("a.conf", "b.conf"):
        (pair.production.root / name).write_text(f"{name}\nlisten 192.0.2.1:443\n")
    with joined(pair) as running:
        running.wait_level()
        found = Case(pair, kind)
        if kind != "promote":
            pair.production.kill()
        if kind in ("rejoin", "reverse"):
            _part(pair)
        yield found


def _part(pair: ServedPair) -> None:
    """Promote failover by force and edit both: what rejoin and reverse are for."""
    old, new = pair.nodes
    new.cli("promote", "--force", "--yes")
    new.put("b.conf", "edited by the new production 198.51.100.1\n")
    (old.folder / "running").unlink()
    (old.root / "a.conf").write_text("never sent 192.0.2.1\n")
    old.start()
    wait_until(lambda: old.status()["mode"] == "fenced", SECONDS, f"{old.name} was fenced")
