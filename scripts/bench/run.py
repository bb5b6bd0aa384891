"""Measures syncer beside rsync and cp on a fresh file system, and writes docs/benchmarks.md."""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

from scripts.bench.pair import Pair, free_port, fresh_file_system, wait_until
from scripts.bench.substitution import measure_substitution

FILES = 20_000
FILES_IN_A_FOLDER = 100
Rows = list[tuple[str, str]]


def make_tree(root: Path, files: int, seed: int = 1) -> None:
    """Fill `root` with small files of 200 to 6,000 bytes, 100 a folder."""
    chance = random.Random(seed)  # noqa: S311  # test data
    for number in range(files):
        folder = root / f"d{number // FILES_IN_A_FOLDER:04}"
        if number % FILES_IN_A_FOLDER == 0:
            folder.mkdir(parents=True)
        (folder / f"f{number:06}.conf").write_bytes(chance.randbytes(chance.randint(200, 6000)))


def sync_disk(path: Path) -> None:
    """Flush the file system that holds `path`."""
    subprocess.run(["sync", "-f", str(path)], check=True)


def latencies(pair: Pair, changes: int, gap: float) -> list[float]:
    """Return seconds from the end of a write on production until failover's file reads the same."""
    found = []
    for number in range(changes):
        name = f"d{number % 200:04}/f{(number % 200) * 100 + number // 200:06}.conf"
        data = f"change {number} {time.time_ns()}\n".encode()
        there = pair.failover.root / name
        time.sleep(gap)
        (pair.production.root / name).write_bytes(data)
        found.append(wait_until(partial(_holds, there, data)))
    return found


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except FileNotFoundError:
        return False


def spread(values: list[float]) -> str:
    """Return p50, p99 and the maximum in milliseconds."""
    ordered = sorted(values)
    cut = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"p50 {statistics.median(ordered) * 1e3:.1f} ms, p99 {cut * 1e3:.1f} ms, max {ordered[-1] * 1e3:.1f} ms"


def measure_latency(settle: str, changes: int) -> Rows:
    """One change at a time in a tree of 20,000 files; and what an idle agent costs."""
    with fresh_file_system() as (folder, _):
        pair = Pair(folder, settle=settle)
        make_tree(pair.production.root, FILES)
        try:
            pair.start()
            pair.production.run("wait", "--synced", "--timeout", "120s")
            latencies(pair, 20, 0.01)
            rows = [(f"one change, settle = {settle}", spread(latencies(pair, changes, 0.03)))]
            if settle == "10ms":
                rows += measure_bursts(pair) + measure_idle(pair)
            return rows
        finally:
            pair.stop()


def measure_bursts(pair: Pair) -> Rows:
    """1,000 files modified, created, renamed with their folder, deleted: until failover shows all of it."""
    here, there = pair.production.root, pair.failover.root
    rows: Rows = []

    def settled() -> None:
        pair.production.run("wait", "--synced", "--timeout", "60s")
        time.sleep(1.2)

    def timed(what: str, condition: Callable[[], object], started: float) -> None:
        wait_until(condition)
        rows.append((what, f"{(time.perf_counter() - started) * 1e3:.0f} ms"))
        settled()

    settled()
    folder = here / "burst"
    folder.mkdir()
    started = time.perf_counter()
    for number in range(1000):
        (folder / f"b{number:04}").write_bytes(b"new %d" % number)
    timed("1,000 files created", lambda: _count(there / "burst") == 1000, started)
    started = time.perf_counter()
    for number in range(1000):
        (folder / f"b{number:04}").write_bytes(b"changed %d" % number)
    timed("1,000 files modified", lambda: _all_changed(there / "burst"), started)
    started = time.perf_counter()
    folder.rename(here / "moved")
    timed(
        "folder of 1,000 files renamed",
        lambda: _count(there / "moved") == 1000 and not (there / "burst").exists(),
        started,
    )
    started = time.perf_counter()
    shutil.rmtree(here / "moved")
    timed("folder of 1,000 files deleted", lambda: not (there / "moved").exists(), started)
    return rows


def _count(path: Path) -> int:
    try:
        return len(os.listdir(path))
    except FileNotFoundError:
        return 0


def _all_changed(path: Path) -> bool:
    return all((path / f"b{number:04}").read_bytes() == b"changed %d" % number for number in range(999, -1, -1))


def measure_idle(pair: Pair) -> Rows:
    """Processor time over ten seconds in which nothing changes, and memory."""
    time.sleep(2)
    nodes = {"production": pair.production, "failover": pair.failover}
    before = {name: node.cpu_seconds() for name, node in nodes.items()}
    time.sleep(10)
    rows = [
        (f"idle {name}", f"{(node.cpu_seconds() - before[name]) * 10:.1f} % of one core")
        for name, node in nodes.items()
    ]
    rows += [
        (f"memory of {name}", f"{node.memory():.0f} MiB, peak {node.memory('VmHWM'):.0f} MiB")
        for name, node in nodes.items()
    ]
    return rows


def measure_full(rounds: int) -> Rows:
    """Cold and unchanged full synchronization, beside rsync and cp, each on a file system of its own."""
    times: dict[str, list[float]] = {}

    def note(what: str, seconds: float) -> None:
        times.setdefault(what, []).append(seconds)

    for _ in range(rounds):
        with fresh_file_system() as (folder, _kind):
            _full_of_syncer(folder, note)
        with fresh_file_system() as (folder, _kind):
            _full_of_rsync(folder, note)
        with fresh_file_system() as (folder, _kind):
            make_tree(folder / "source", FILES)
            sync_disk(folder)
            started = time.perf_counter()
            subprocess.run(["cp", "-a", str(folder / "source"), str(folder / "copy")], check=True)
            note("cp -a", time.perf_counter() - started)
            sync_disk(folder)
            note("cp -a + sync", time.perf_counter() - started)
    best = {what: min(values) for what, values in times.items()}
    rows = [(what, f"{best[what]:.2f} s (all: {', '.join(f'{v:.2f}' for v in times[what])})") for what in best]
    rows += [
        ("ratio: readable / rsync -a", f"{best['syncer cold, readable'] / best['rsync -a']:.2f}"),
        (
            "ratio: acknowledged / rsync -a + sync",
            f"{best['syncer cold, acknowledged'] / best['rsync -a + sync']:.2f}",
        ),
        (
            "ratio: nothing changed / rsync -a",
            f"{best['syncer, nothing changed'] / best['rsync -a, nothing changed']:.2f}",
        ),
    ]
    return rows


def _full_of_syncer(folder: Path, note: object) -> None:
    assert callable(note)
    pair = Pair(folder, automatic=False)
    make_tree(pair.production.root, FILES)
    try:
        pair.start()
        wait_until(lambda: pair.production.ask("status")["domains"][0]["last_full_scan_seconds"] is not None)
        sync_disk(folder)
        last = pair.failover.root / f"d{FILES // FILES_IN_A_FOLDER - 1:04}"
        waiter = os.fork()
        if waiter == 0:
            started = time.perf_counter()
            while not last.exists():
                time.sleep(0.001)
            (folder / "readable").write_text(str(time.perf_counter() - started))
            os._exit(0)
        started = time.perf_counter()
        result = pair.production.ask("snapshot", target=None, domains=[], dry_run=False)
        note("syncer cold, acknowledged", time.perf_counter() - started)
        os.waitpid(waiter, 0)
        note("syncer cold, readable", float((folder / "readable").read_text()))
        if result["exit_code"]:
            raise RuntimeError(f"the snapshot failed: {result}")
        for _ in range(3):
            started = time.perf_counter()
            pair.production.ask("snapshot", target=None, domains=[], dry_run=False)
            note("syncer, nothing changed", time.perf_counter() - started)
    finally:
        pair.stop()


def _full_of_rsync(folder: Path, note: object) -> None:
    assert callable(note)
    make_tree(folder / "source", FILES)
    (folder / "copy").mkdir()
    sync_disk(folder)
    port = free_port()
    config = folder / "rsyncd.conf"
    config.write_text(
        f"use chroot = no\nuid = 0\ngid = 0\nport = {port}\naddress = 127.0.0.1\nsocket options = TCP_NODELAY\n"
        f"[copy]\npath = {folder / 'copy'}\nread only = no\n"
    )
    daemon = subprocess.Popen(["rsync", "--daemon", "--no-detach", f"--config={config}"])
    command = [
        "rsync", "-a", "--delete", "--sockopts=TCP_NODELAY", f"{folder / 'source'}/", f"rsync://127.0.0.1:{port}/copy/",
    ]  # fmt: skip  # one line reads as one command
    try:
        wait_until(
            lambda: (
                subprocess.run([*command[:4], "--list-only", command[-1]], capture_output=True, check=False).returncode
                == 0
            )
        )
        started = time.perf_counter()
        subprocess.run(command, check=True)
        note("rsync -a", time.perf_counter() - started)
        sync_disk(folder)
        note("rsync -a + sync", time.perf_counter() - started)
        for _ in range(3):
            started = time.perf_counter()
            subprocess.run(command, check=True)
            note("rsync -a, nothing changed", time.perf_counter() - started)
    finally:
        daemon.terminate()
        daemon.wait(10)


def machine() -> str:
    """Describe what was measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    rsync = subprocess.run(["rsync", "--version"], capture_output=True, text=True, check=True).stdout.split()[2]
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, kernel {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, grpcio {version('grpcio')}, protobuf {version('protobuf')}, "
        f"watchdog {version('watchdog')}, rsync {rsync}"
    )


def main() -> None:
    """Measure everything and write the results file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["latency", "full", "substitution"])
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks-results.md"))
    options = parser.parse_args()
    rows: Rows = []
    with fresh_file_system(64) as (_, kind):
        pass
    if options.only in (None, "latency"):
        rows += measure_latency("0s", options.changes) + measure_latency("10ms", options.changes)
    if options.only in (None, "full"):
        rows += measure_full(options.rounds)
    if options.only in (None, "substitution"):
        rows += measure_substitution()
    lines = [f"Measured on {machine()}; file system: {kind}; {time.strftime('%Y-%m-%d')}.", ""]
    lines += ["| what | result |", "| --- | --- |", *(f"| {what} | {result} |" for what, result in rows)]
    options.output.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
