"""Random edits, restarts and cuts of two real agents: whatever the history, both trees become equal."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.e2e.harness import Pair, paired

NAMES = ["a", "b", "c.conf", "d e", "\udcff", "x" * 200]
SAMPLE = settings(
    max_examples=2,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)
LONG = settings(SAMPLE, max_examples=40, stateful_step_count=60)

paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)
texts = st.sampled_from([b"", b"one", b"two", b"x" * 5000, b"y" * 300_000])


class Histories(RuleBasedStateMachine):
    """Production's tree and both agents in the hands of chance."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = contextlib.ExitStack()
        self.pair: Pair

    @initialize()
    def start(self) -> None:
        """Begin with a small tree and two running agents."""
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.pair = self.stack.enter_context(
            paired(folder, start=False, proxy=True, target='timeout = "2s"\n', domain='settle = "5ms"\n')
        )
        (self.pair.production.root / "always").write_text("so that the root is never emptied")
        self.pair.start()

    def teardown(self) -> None:
        """Let everything run, and compare."""
        try:
            if hasattr(self, "pair"):
                self.settle()
        finally:
            self.stack.close()

    def settle(self) -> None:
        """Repair what is broken, and wait until both trees are equal."""
        assert self.pair.proxy is not None
        self.pair.proxy.restore()
        self.pair.start()
        self.pair.wait_equal()
        self.pair.wait_synced()
        assert self.pair.production.stream()["echoes"] == 0

    def at(self, path: str) -> Path:
        return self.pair.production.root / path

    @rule(path=paths, text=texts)
    def write(self, path: str, text: bytes) -> None:
        """Write a file where that is possible."""
        with contextlib.suppress(OSError):
            self.at(path).parent.mkdir(parents=True, exist_ok=True)
            self.at(path).write_bytes(text)

    @rule(path=paths, text=texts)
    def save_by_rename(self, path: str, text: bytes) -> None:
        """Replace a file as editors do."""
        with contextlib.suppress(OSError):
            temporary = self.pair.production.root / ".save"
            temporary.write_bytes(text)
            os.replace(temporary, self.at(path))

    @rule(path=paths)
    def make_directory(self, path: str) -> None:
        """Make a directory."""
        with contextlib.suppress(OSError):
            self.at(path).mkdir(parents=True)

    @rule(path=paths, leads_to=st.sampled_from(["a", "../..", "/etc/hostname", "nowhere"]))
    def make_symlink(self, path: str, leads_to: str) -> None:
        """Make a symlink."""
        with contextlib.suppress(OSError):
            self.at(path).symlink_to(leads_to)

    @rule(path=paths)
    def delete(self, path: str) -> None:
        """Delete whatever is there."""
        with contextlib.suppress(OSError):
            found = self.at(path)
            shutil.rmtree(found) if found.is_dir() and not found.is_symlink() else found.unlink()

    @rule(source=paths, destination=paths)
    def rename(self, source: str, destination: str) -> None:
        """Move something over something else."""
        with contextlib.suppress(OSError):
            os.rename(self.at(source), self.at(destination))

    @rule(path=paths, mode=st.sampled_from([0o600, 0o755, 0o4711, 0o2770]))
    def change_mode(self, path: str, mode: int) -> None:
        """Change permission bits."""
        with contextlib.suppress(OSError):
            if not self.at(path).is_symlink():
                self.at(path).chmod(mode)

    @rule(path=paths)
    def restore_mtime(self, path: str) -> None:
        """Edit a file and put its mtime back."""
        with contextlib.suppress(OSError):
            found = self.at(path)
            if found.is_file() and not found.is_symlink():
                before = found.stat().st_mtime_ns
                data = found.read_bytes()
                found.write_bytes(data[::-1])
                os.utime(found, ns=(before, before))

    @rule()
    def kill_production(self) -> None:
        """Kill -9, and start again."""
        self.pair.production.kill()
        self.pair.start()

    @rule()
    def kill_failover(self) -> None:
        """Kill -9, and start again."""
        self.pair.failover.kill()
        self.pair.start()

    @rule()
    def cut(self) -> None:
        """The network goes."""
        assert self.pair.proxy is not None
        self.pair.proxy.cut()

    @rule()
    def mend(self) -> None:
        """The network is back."""
        assert self.pair.proxy is not None
        self.pair.proxy.restore()

    @rule()
    def delete_index(self) -> None:
        """The index is lost."""
        self.pair.production.kill()
        for file in self.pair.production.state.glob("index.db*"):
            file.unlink()
        self.pair.start()

    @rule()
    def compare(self) -> None:
        """Now and then everything must be equal."""
        self.settle()

    @invariant()
    def both_run(self) -> None:
        """No agent has died by itself."""
        if hasattr(self, "pair"):
            for node in (self.pair.production, self.pair.failover):
                assert node.process is None or node.process.poll() is None, node.last_words()


@pytest.mark.timeout(300)
def test_a_sample_of_histories_ends_equal() -> None:
    run_state_machine_as_test(Histories, settings=SAMPLE)


@pytest.mark.soak
def test_many_histories_end_equal() -> None:
    run_state_machine_as_test(Histories, settings=LONG)
