"""The demo from beginning to end: pairing, edits, a kill, an outage, a disaster, and the proof of equality."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

from syncer.cli.exposure import sentences
from syncer.cli.wording import seconds_in_words
from syncer.demo import tree
from syncer.demo.comparison import differences
from syncer.demo.node import NodeProcess, free_port, wait_until
from syncer.demo.report import Reporter
from syncer.demo.steps import Stage, Step
from syncer.errors import SyncerError

PRODUCTION, FAILOVER = "prod-a", "dr-a"
EQUAL_SECONDS = 60.0
COMPARE_EVERY_SECONDS = 0.1


class Outcome(NamedTuple):
    """What the demo has shown; the shape of `syncer demo --json` but for time and folder."""

    steps: list[Step]
    paths: int
    differences: list[str]
    rsync_differences: list[str] | None
    """None where rsync is not installed."""

    @property
    def is_equal(self) -> bool:
        """Tell whether both trees are equal by every comparison."""
        return not self.differences and not self.rsync_differences


class Story:
    """Two nodes below one folder, and what happens to them."""

    def __init__(self, folder: Path, reporter: Reporter) -> None:
        """Choose names and ports; nothing runs yet."""
        self._reporter = reporter
        self._steps: list[Step] = []
        self.failover = NodeProcess(folder / "failover", FAILOVER, "failover", free_port())
        self.production = NodeProcess(folder / "production", PRODUCTION, "production", free_port())
        self._stage = Stage(self.production.root, self.failover.root)

    def tell(self) -> Outcome:
        """Run everything; raises SyncerError where something does not arrive."""
        try:
            self._pair()
            self._first_synchronization()
            self._edits()
            self._kill()
            self._outage()
            self._disaster()
            return self._prove()
        finally:
            self.stop()

    def stop(self) -> None:
        """End both agents."""
        for node in (self.production, self.failover):
            if node.process is not None:
                node.stop()

    def _pair(self) -> None:
        self._reporter.chapter("Two nodes, paired over mutual TLS")
        with self._reporter.doing("setting up"):
            self.failover.init(_domain(self.failover.root))
            self.production.init(_domain(self.production.root) + _target(self.failover.address))
            what = tree.fill(self.production.root)
            self.failover.start()
            token = self.failover.json("invite")["token"]
            # By standard input, so that the token shows in no list of processes.
            self.production.command("join", self.failover.address, "-", stdin=f"{token}\n")
        self._reporter.say(f"production's tree: {what}")
        self._reporter.say(f"syncer invite, on failover → syncer join {self.failover.address} TOKEN, on production")

    def _first_synchronization(self) -> None:
        self._reporter.chapter("From nothing to an exact copy")
        count = sum(1 for _ in self.production.root.rglob("*"))
        with self._reporter.doing("copying"):
            started = time.perf_counter()
            self.production.start()
            self.production.command("wait", "--synced", "--timeout", "60s")
            self._wait_equal()
        self._show(Step("the agent starts, everything is copied and compared", time.perf_counter() - started, count))

    def _edits(self) -> None:
        self._reporter.chapter("Every change on production is on failover at once (lag: from the edit until readable)")
        self._show(self._stage.prepare())
        median, longest = self._stage.edit_one_file()
        self._show(median)
        self._reporter.say(f"the slowest of them: {seconds_in_words(longest)}")
        for act in (
            self._stage.save_atomically,
            self._stage.swap_symlink,
            self._stage.rename_folder,
            self._stage.burst,
            self._stage.switch_branch,
            self._stage.delete_folder,
        ):
            self._show(act())

    def _kill(self) -> None:
        self._reporter.chapter("kill -9 of failover in the middle of it")
        contents = self._stage.edits_during_an_outage("before")
        self.failover.kill()
        contents |= self._stage.edits_during_an_outage("killed")
        self._reporter.say(self._headline())
        self._return(contents, "failover serves again: it resumes where it was")

    def _outage(self) -> None:
        self._reporter.chapter("failover is away, production goes on")
        self.failover.stop()
        contents = self._stage.edits_during_an_outage("outage")
        self.production_notices()
        self._reporter.say(self._headline())
        self._return(contents, "failover serves again: it catches up")
        with self._reporter.doing("waiting"):
            self.production.command("wait", "--synced")
        self._reporter.say(self._headline())

    def _disaster(self) -> None:
        self._reporter.chapter("production is dead: failover takes over, and then everything comes home")
        self.production.kill()
        with self._reporter.doing("taking over"):
            self._timed("syncer promote --force, on failover", 1, self.failover, "promote", "--force", "--yes")
        contents = self._stage.edits_on_failover()
        self._reporter.say(f"{len(contents)} files are edited on failover, which serves now")
        with self._reporter.doing("the old production starts"):
            self.production.start()
            wait_until(lambda: self._status()["mode"] == "fenced", EQUAL_SECONDS, "the old production was fenced")
        self._reporter.say(self._headline())
        with self._reporter.doing("coming home"):
            name = "syncer reverse: all comes home and is read again"
            self._timed(name, len(contents), self.production, "reverse", "--yes")
        missing = [path for path, content in contents.items() if path.read_bytes() != content]
        if missing:
            raise SyncerError(f"{missing[0]} did not come home: keep {self.production.folder} and tell us")
        self._reporter.say(self._headline())

    def _timed(self, name: str, paths: int, node: NodeProcess, *arguments: str) -> None:
        started = time.perf_counter()
        node.command(*arguments)
        self._show(Step(name, time.perf_counter() - started, paths))

    def production_notices(self) -> None:
        """Wait until production's status says that failover lacks something."""

        def noticed() -> bool:
            [domain] = self._status()["targets"][0]["domains"]
            return bool(domain["changes_behind"])

        wait_until(noticed, EQUAL_SECONDS, "production knew what failover lacks")

    def _return(self, contents: dict[Path, bytes], name: str) -> None:
        with self._reporter.doing("failover starts"):
            self.failover.start()
            step = self._stage.wait(self._stage.arrived(contents), name, len(contents))
        self._show(step)

    def _prove(self) -> Outcome:
        self._reporter.chapter("Are both trees equal?")
        with self._reporter.doing("a full synchronization, then comparing every byte"):
            result = self.production.json("snapshot")
            found = self._wait_equal()
        [domain] = result["targets"][0]["domains"]
        took = seconds_in_words(domain["seconds"])
        self._reporter.say(f"syncer snapshot: {domain['outcome']}, {domain['changes']} changes ({took})")
        rsync = rsync_differences(self.production.root, self.failover.root)
        count = sum(1 for _ in self.production.root.rglob("*"))
        title = f"names, kinds, bytes, modes, owners and mtimes of {count:,} paths"
        self._reporter.verdict(title, found)
        if rsync is not None:
            self._reporter.verdict("rsync -aicn --delete", rsync)
        return Outcome(self._steps, count, found, rsync)

    def _wait_equal(self) -> list[str]:
        """Return what differs still after EQUAL_SECONDS; [] as soon as nothing does."""
        deadline = time.monotonic() + EQUAL_SECONDS
        while found := differences(self.production.root, self.failover.root):
            if time.monotonic() > deadline:
                return found
            # Each comparison reads both trees whole: not in a tight loop, which would slow what it waits for.
            time.sleep(COMPARE_EVERY_SECONDS)
        return []

    def _status(self) -> dict[str, Any]:
        # Any exit code: a target that is away is what the demo is about.
        return self.production.json("status", expected=None)

    def _headline(self) -> str:
        return f"syncer status: {sentences(self._status())[0].text}"

    def _show(self, step: Step) -> None:
        self._steps.append(step)
        self._reporter.step(step)


def rsync_differences(left: Path, right: Path) -> list[str] | None:
    """Return what rsync would change to make `right` equal to `left`; None where there is no rsync."""
    program = shutil.which("rsync")
    if program is None:
        return None
    command = [program, "-aicn", "--delete", f"{left}/", f"{right}/"]
    done = subprocess.run(command, capture_output=True, text=True, errors="surrogateescape", check=False)
    if done.returncode:
        raise SyncerError(f"rsync could not compare the trees: {done.stderr.strip()}")
    return done.stdout.splitlines()


def _domain(root: Path) -> str:
    return f'[domains.demo]\npath = "{root}"\n'


def _target(address: str) -> str:
    return f'\n[[failover]]\nname = "{FAILOVER}"\naddress = "{address}"\non_failure = {{ retry = "100ms..1s" }}\n'
