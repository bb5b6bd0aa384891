"""Every fault shows as event, line of status, metric and exit code, and none stays green beyond the timeout."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from syncer.demo.node import environment
from syncer.errors import UnreachableError
from syncer.trust import identity
from syncer.trust.identity import CERTIFICATE_NAME, KEY_NAME
from tests.e2e.harness import DOMAIN, TARGET, Node, Pair, paired, wait_until
from tests.e2e.machine_node import MachineNode
from tests.packages.machines import Machine, two_machines
from tests.scenarios.faults import ANY_PORT, NODE_TABLE, TARGET_TABLE, TIMEOUT, Fault, Watch, kept, scraped

STREAM = {"target": TARGET, "domain": DOMAIN}
FAKETIME = Path("/usr/lib") / f"{os.uname().machine}-linux-gnu" / "faketime" / "libfaketime.so.1"


@contextlib.contextmanager
def level(folder: Path, *, start: bool = True, **options: Any) -> Iterator[Pair]:
    """Run a pair that has synchronized a file, with the times of these tests."""
    with paired(folder, start=False, target=TARGET_TABLE, node=NODE_TABLE, http=ANY_PORT, **options) as pair:
        pair.production.root.mkdir(exist_ok=True)
        (pair.production.root / "file").write_text("x\n")
        if start:
            pair.start()
            pair.wait_synced()
        yield pair


@pytest.mark.soak
def test_guarantee_11_a_failover_that_is_stopped(tmp_path: Path) -> None:
    fault = Fault(
        "failover stopped", "sync", "unreachable", 5, "syncer_target_state", {**STREAM, "state": "unreachable"}
    )
    with level(tmp_path) as pair:
        Watch(pair.production).seconds(fault, pair.failover.stop)


@pytest.mark.soak
def test_guarantee_11_a_production_that_is_killed_is_missed_by_failover(tmp_path: Path) -> None:
    fault = Fault(
        "production stopped", "peer.silent", "prod-a is silent", 5, "syncer_production_silence_seconds", least=TIMEOUT
    )
    with level(tmp_path) as pair:
        Watch(pair.failover).seconds(fault, pair.production.kill)


@pytest.mark.soak
def test_guarantee_11_a_check_that_fails(tmp_path: Path) -> None:
    rejected = {**STREAM, "kind": "partial", "result": "rejected"}
    fault = Fault("check failing", "check.failed", "check", 4, "syncer_transactions_total", rejected)
    check = 'check = ["sh", "-c", "! test -e wrong"]\n'
    with level(tmp_path, domain=check) as pair:
        root = pair.failover.root
        text = pair.failover.config.read_text()
        pair.failover.stop()
        pair.failover.config.write_text(text.replace("test -e wrong", f"test -e {root}/wrong"))
        pair.start()
        pair.wait_synced()
        Watch(pair.production).seconds(fault, (pair.production.root / "wrong").touch)


@pytest.mark.soak
def test_guarantee_11_an_index_that_is_damaged(tmp_path: Path) -> None:
    with level(tmp_path) as pair:
        index = pair.production.state / "index.db"

        def damage() -> None:
            with index.open("r+b") as writer:
                writer.write(b"\xa5" * index.stat().st_size)
            (pair.production.root / "file").write_text("y\n")

        fault = Fault(
            "index corrupt",
            "target.suspended",
            "is damaged",
            4,
            "syncer_failures_total",
            {**STREAM, "cause": "internal"},
        )
        Watch(pair.production).seconds(fault, damage)
        pair.production.kill()
        pair.production.start()
        pair.wait_equal()
        assert len(pair.production.raised("index.rebuilt")) == 1


@pytest.mark.soak
@pytest.mark.skipif(not FAKETIME.exists(), reason="needs libfaketime: scripts/setup.sh installs it as root on Debian")
@pytest.mark.parametrize("hours", [1, pytest.param(-1, marks=pytest.mark.soak)])
def test_guarantee_11_a_clock_that_is_an_hour_off(tmp_path: Path, hours: int) -> None:
    fault = Fault(
        f"clock {hours:+} h off",
        "clock.skewed",
        f"clock: {TARGET} is 1 h {'ahead of' if hours > 0 else 'behind'} this node",
        3,
        "syncer_clock_skew_seconds",
        {"peer": TARGET},
        least=3500,
    )
    fake = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": f"{hours:+}h", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    with level(tmp_path) as pair:
        watch = Watch(pair.production)
        pair.failover.stop()
        pair.failover.start(environ=fake)
        watch.seconds(fault, lambda: None)
        skew = watch.metrics()["syncer_clock_skew_seconds", frozenset({("peer", TARGET)})]
        assert abs(skew - hours * 3600) < 60
        # Nothing but the displays depends on it.
        (pair.production.root / "late").write_text("y\n")
        pair.wait_equal()
        pair.failover.cli("status", check=3)


@pytest.mark.soak
def test_guarantee_11_a_certificate_that_is_not_the_one_that_was_pinned(tmp_path: Path) -> None:
    fault = Fault("TLS refused", "sync", "unreachable", 5, "syncer_failures_total", {**STREAM, "cause": "unreachable"})
    with level(tmp_path) as pair:
        watch = Watch(pair.production)
        node_id = pair.failover.status()["node_id"]

        def exchange() -> None:
            pair.failover.stop()
            for name in (KEY_NAME, CERTIFICATE_NAME):
                (pair.failover.state / name).unlink()
            identity.create(pair.failover.state, node_id, TARGET)
            pair.failover.start()

        watch.seconds(fault, exchange)
        # What it says is what TLS said.
        [reason] = {domain["reason"] for domain in pair.production.status()["targets"][0]["domains"]}
        assert "certificate" in reason.lower()


@pytest.mark.soak
@pytest.mark.serial
@pytest.mark.needs_root
@pytest.mark.needs("mount", "umount")
def test_guarantee_11_a_disk_that_is_full(tmp_path: Path) -> None:
    labels = {**STREAM, "cause": "disk_full"}
    fault = Fault("disk full on failover", "target.suspended", "disk full", 4, "syncer_failures_total", labels)
    root = tmp_path / "failover" / "root"
    with tmpfs(root, "size=4m"), level(tmp_path, domain='exclude = ["ballast"]\n') as pair:
        with (root / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(65536))
        Watch(pair.production).seconds(fault, lambda: (pair.production.root / "large").write_bytes(b"x" * 1_000_000))


@pytest.mark.soak
@pytest.mark.serial
@pytest.mark.needs_root
@pytest.mark.needs("mount", "umount")
def test_guarantee_11_a_root_that_is_unmounted(tmp_path: Path) -> None:
    fault = Fault(
        "root unmounted",
        "target.suspended",
        "suspended",
        4,
        "syncer_target_state",
        {**STREAM, "state": "suspended"},
    )
    root = tmp_path / "production" / "root"
    with tmpfs(root, "size=4m"), level(tmp_path) as pair:
        Watch(pair.production).seconds(fault, lambda: subprocess.run(["umount", "--lazy", root], check=True))
        assert (pair.failover.root / "file").exists()


@contextlib.contextmanager
def tmpfs(root: Path, options: str) -> Iterator[None]:
    """Keep a root on a file system of its own."""
    root.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", root], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", root], check=False, stderr=subprocess.DEVNULL)


@contextlib.contextmanager
def lowered(name: str, value: int) -> Iterator[None]:
    """Lower a limit of the kernel's, of this whole machine."""
    limit = Path("/proc/sys/fs/inotify") / name
    before = limit.read_text()
    try:
        limit.write_text(str(value))
        yield
    finally:
        limit.write_text(before)


@pytest.mark.soak
@pytest.mark.serial
@pytest.mark.needs_root
def test_guarantee_11_watches_that_are_used_up(tmp_path: Path) -> None:
    labels = {"domain": DOMAIN, "state": "degraded"}
    fault = Fault("watch limit exhausted", "watch.degraded", "max_user_watches", 3, "syncer_domain_state", labels)
    with level(tmp_path) as pair:
        watch = Watch(pair.production)
        made = pair.production.folder / "made"
        for number in range(30):
            (made / str(number)).mkdir(parents=True)
        with lowered("max_user_watches", 5):
            watch.seconds(fault, lambda: made.rename(pair.production.root / "made"))
            (pair.production.root / "made" / "29" / "late").write_text("y\n")
            # What is not watched is scanned now and then.
            pair.wait_equal(60.0)


@pytest.mark.soak
@pytest.mark.serial
@pytest.mark.needs_root
def test_guarantee_11_a_queue_that_overflows_is_told_and_over_by_itself(tmp_path: Path) -> None:
    degraded = f"{DOMAIN}: the kernel's queue of changes was full"
    fault = Fault("queue overflow", "watch.degraded", degraded, 3, "syncer_watch_overflows_total", {"domain": DOMAIN})
    with lowered("max_queued_events", 200), level(tmp_path) as pair:
        watch = Watch(pair.production)

        def flood() -> None:
            for number in range(12_000):
                file = pair.production.root / f"f{number}"
                file.write_bytes(b"%d" % number)
                if number % 3 == 0:
                    file.unlink()

        found = watch.signs(fault, flood)
        wait_until(lambda: pair.production.raised("watch.restored"), 60, "its end was told")
        pair.wait_equal(60.0)
        wait_until(lambda: pair.production.status()["exit_code"] == 0, 60, "it was over")
        kept(fault, "production", {**found, "over": time.monotonic() - watch.began})
        assert f"overflow: {degraded}" in " ".join(pair.production.cli("status").stdout.split())


BLOCKED_SECONDS = 20
BLOCKABLE = f"""
import signal, time
# Handlers run on the main thread, which is the event loop's: nothing else of the agent is held up.
signal.signal(signal.SIGUSR1, lambda *_: time.sleep({BLOCKED_SECONDS}))
"""


@pytest.mark.soak
def test_guarantee_11_an_event_loop_that_is_blocked(tmp_path: Path) -> None:
    """The agent cannot tell it by an event: failover does, and monitoring that asks it is answered all the same."""
    (tmp_path / "blockable").mkdir()
    (tmp_path / "blockable" / "sitecustomize.py").write_text(BLOCKABLE)
    paths = os.pathsep.join((str(tmp_path / "blockable"), environment()["PYTHONPATH"]))
    with level(tmp_path, start=False) as pair:
        pair.production.start(environ={"PYTHONPATH": paths})
        pair.wait_synced()
        address = str(pair.production.status()["http"])
        watch = Watch(pair.failover)
        fault = Fault(
            "event loop blocked", "peer.silent", "is silent", 5, "syncer_production_silence_seconds", least=TIMEOUT
        )

        def ask() -> tuple[str, float]:
            return pair.production.cli("status", check=5).stderr, time.monotonic()

        def block() -> None:
            os.kill(pair.production.pid, signal.SIGUSR1)
            asked.append(asking.submit(ask))

        asked: list[Future[tuple[str, float]]] = []
        with ThreadPoolExecutor(1) as asking:
            watch.seconds(fault, block)
            wait_until(lambda: "syncer_stalled_parts 1.0" in scraped(address), BLOCKED_SECONDS, "the metric told it")
            stalled = time.monotonic() - watch.began
            said, at = asked[0].result()
        assert "has not answered `syncer status` for 8 s" in said
        assert at - watch.began < BLOCKED_SECONDS, "it was said while it was blocked"
        ended = at - watch.began
        kept(fault, "production", {"exit": ended, "line": ended, "metric": stalled})
        wait_until(lambda: moves(pair.production), 60, "it moved again")


def moves(node: Node) -> bool:
    """Tell whether a node's agent answers again, and is green."""
    try:
        return bool(node.status()["exit_code"] == 0)
    except UnreachableError:
        return False


class MachinePair(Pair):
    """Production on one machine and failover on the other."""

    def __init__(self, folder: Path, machines: tuple[Machine, Machine]) -> None:
        super().__init__(folder, target=TARGET_TABLE, node=NODE_TABLE)
        ours, theirs = machines
        self.production = MachineNode(folder / "production", "prod-a", "production", 7443, ours, HOSTS[0])
        self.failover = MachineNode(folder / "failover", TARGET, "failover", 7443, theirs, HOSTS[1])
        self.production.http = self.failover.http = "127.0.0.1:7480"
        self.address = self.failover.address


HOSTS = ("10.73.0.1", "10.74.0.1")
SCRAPE = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:7480/metrics', timeout=20).read().decode())"


@pytest.mark.soak
@pytest.mark.needs_root
@pytest.mark.needs("ip", "nsenter", "unshare")
def test_guarantee_11_a_connection_whose_packets_are_dropped(tmp_path: Path) -> None:
    state = {**STREAM, "state": "unreachable"}
    fault = Fault("connection frozen", "sync", "unreachable", 5, "syncer_target_state", state)
    silent = Fault(
        "connection frozen", "peer.silent", "is silent", 5, "syncer_production_silence_seconds", least=TIMEOUT
    )
    with two_machines(*(((f"{host}/16", f"2001:db8:{host.split('.')[1]}::1/64")) for host in HOSTS)) as machines:
        pair = MachinePair(tmp_path, machines)
        try:
            pair.init()
            (pair.production.root / "file").write_text("x\n")
            pair.pair()
            pair.start()
            pair.wait_synced()
            scrape = [lambda one=one: one.run(sys.executable, "-c", SCRAPE).stdout for one in machines]
            ours, theirs = Watch(pair.production, scrape[0]), Watch(pair.failover, scrape[1])

            dropped = threading.Event()

            def drop() -> None:
                # Neither end hears of it: what is sent is dropped, and nothing comes.
                for one, host in zip(machines, reversed(HOSTS), strict=True):
                    one.set_up("route", "replace", "blackhole", f"{host}/32")
                dropped.set()

            with ThreadPoolExecutor(1) as watching:
                heard = watching.submit(theirs.seconds, silent, dropped.wait)
                ours.seconds(fault, drop)
                heard.result()
            (pair.production.root / "late").write_text("y\n")
            for one, host in zip(machines, reversed(HOSTS), strict=True):
                one.set_up("route", "replace", f"{host}/32", "dev", "eth0")
            pair.wait_equal()
        finally:
            pair.end()
