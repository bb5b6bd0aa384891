"""Measures one change beside actions of triggers that hang, crash, fail and overflow, and what idle triggers cost."""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from scripts.bench.pair import Agent, Pair, free_port, fresh_file_system, wait_until
from scripts.bench.run import FILES, Rows, latencies, machine, make_tree, spread

TRIGGERS = 20
RETRY_MILLISECONDS = 50
STORM_SECONDS = 120.0
SETTLE = "0s"
OUTPUT = Path("docs/benchmarks-actions.md")
ALWAYS = 'event = "sync"\nthrottle = 0\n'
IDLE = 'event = "sync"\nwhen = "!success && consecutive_failures >= 3"\n'


def triggers(keys: str) -> str:
    """Return so many triggers with these keys."""
    return "".join(f'\n[[triggers]]\nname = "trigger {number}"\n{keys}' for number in range(TRIGGERS))


def mail(port: int, subject: str = "") -> str:
    """Return triggers that mail to a port of loopback at each event, and their [smtp]."""
    words = f", subject = '{subject}'" if subject else ""
    smtp = f'\n[smtp]\nhost = "127.0.0.1"\nport = {port}\nstarttls = false\nfrom = "a@example.com"\ntimeout = "1h"\n'
    return smtp + triggers(f'{ALWAYS}email = {{ to = ["ops@example.com"]{words} }}\n')


def dead_target() -> str:
    """Return a target that nobody serves: its attempts, some 20 a second, are a storm of events."""
    retry = f'on_failure = {{ retry = "{RETRY_MILLISECONDS}ms..{RETRY_MILLISECONDS}ms" }}'
    return f'\n[[failover]]\nname = "dead"\naddress = "127.0.0.1:{free_port()}"\n{retry}\n'


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """Run a server that takes connections and says nothing; yields its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener.getsockname()[1]


def scenarios(silent: int) -> dict[str, tuple[str, int]]:
    """Return what is configured beside a change, and how many actions must wait before it is measured."""
    storm = dead_target()
    hanging = triggers(f'{ALWAYS}exec = ["/bin/sleep", "3600"]\nexec_timeout = "1h"\n')
    crashing = triggers(f'{ALWAYS}exec = ["/bin/sh", "-c", "kill -SEGV $$"]\n')
    return {
        "no triggers": ("", 0),
        f"{TRIGGERS} triggers that have nothing to do": (triggers(f'{IDLE}exec = ["/bin/true"]\n'), 0),
        "every worker blocked by an exec that hangs": (hanging, TRIGGERS),
        "every worker blocked by a mail server that hangs": (mail(silent), TRIGGERS),
        "no triggers, a target that is dead": (storm, 0),
        "the same, commands that crash at each of its failures": (storm + crashing, 1000),
        "the same, templates that fail, a mail server that is down": (
            storm + mail(free_port(), "{{ 1 // bytes }}"),
            1000,
        ),
        "the same, a full outbox, each worker blocked": (storm + mail(silent), 1000),
        "no triggers, at the end": ("", 0),
    }


def restarted(node: Agent, base: str, extra: str) -> None:
    """Start production anew with these tables, without what waits since before."""
    node.stop()
    node.config.write_text(base + extra)
    node.run("outbox", "--drop", "--all", "--yes")
    node.start()
    wait_until(lambda: level(node), STORM_SECONDS)


def level(node: Agent) -> bool:
    """Tell whether the target that lives has everything."""
    [target] = [found for found in node.ask("status")["targets"] if found["name"] == "dr"]
    return all(found["state"] == "streaming" and not found["changes_behind"] for found in target["domains"])


def waiting(node: Agent) -> int:
    """Return how many actions wait."""
    return len(node.ask("outbox")["waiting"])


def idle(node: Agent, seconds: float) -> str:
    """Return the processor time that the agent takes while nothing changes."""
    time.sleep(5)
    before = node.cpu_seconds()
    time.sleep(seconds)
    return f"{(node.cpu_seconds() - before) / seconds * 100:.2f} % of one core over {seconds:.0f} s"


def measure(changes: int, idle_seconds: float) -> Rows:
    """Measure every scenario with the same pair, one after the other."""
    rows: Rows = []
    idling: Rows = []
    with fresh_file_system() as (folder, _), silent_server() as silent:
        pair = Pair(folder, settle=SETTLE)
        make_tree(pair.production.root, FILES)
        try:
            pair.start()
            base = pair.production.config.read_text()
            for name, (extra, least) in scenarios(silent).items():
                restarted(pair.production, base, extra)
                wait_until(lambda least=least: waiting(pair.production) >= least, STORM_SECONDS)  # type: ignore[misc]
                latencies(pair, 20, 0.01)
                began = pair.production.cpu_seconds()
                found = spread(latencies(pair, changes, 0.03))
                used = pair.production.cpu_seconds() - began
                note = f"; {waiting(pair.production)} actions wait, production used {used:.1f} s of a core"
                rows.append((name, found + note))
                print(f"{name}: {rows[-1][1]}", flush=True)
                if not least and "dead" not in name and "end" not in name:
                    idling.append((f"idle production, {name}", idle(pair.production, idle_seconds)))
        finally:
            pair.stop()
    return rows + idling


def main() -> None:
    """Measure and write the results file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=300)
    parser.add_argument("--idle", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    with fresh_file_system(64) as (_, kind):
        pass
    load = os.getloadavg()[0]
    rows = measure(options.changes, options.idle)
    head = (
        f"Measured on {machine()}; file system: {kind}; settle = {SETTLE}, {options.changes} changes each, one run; "
        f"load before it {load:.1f}; {time.strftime('%Y-%m-%d')}."
    )
    lines = [
        "# A change beside actions that fail",
        "",
        head,
        "`.venv/bin/python -m scripts.bench.actions` measures again.",
        "",
        "| beside | one change |",
        "| --- | --- |",
        *(f"| {what} | {result} |" for what, result in rows),
    ]
    options.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
