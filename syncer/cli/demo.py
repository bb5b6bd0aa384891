"""`syncer demo`: two real nodes on loopback in a temporary folder, in front of your eyes."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import click

from syncer.cli.invocation import json_option
from syncer.cli.output import note, print_json
from syncer.errors import SyncerError


@click.command("demo")
@click.option("--keep", is_flag=True, help="Keep the folder with both nodes and their logs, and print its name.")
@json_option
def command(*, keep: bool, as_json: bool) -> int:
    """Show two real nodes at work: pairing, edits with their lag, a kill, an outage, and equal trees.

    It works on a copy of this machine's /etc in a temporary folder, ends by itself within half a minute and
    cleans up. Exit code: 0 when both trees were equal at the end, else 1.
    """
    from syncer.demo.report import Reporter
    from syncer.demo.story import Story

    started = time.monotonic()
    reporter = Reporter(quiet=as_json)
    with _ended_by_signals(), _folder(keep=keep) as folder:
        story = Story(folder, reporter)
        try:
            outcome = story.tell()
        except SyncerError as error:
            for node in (story.production, story.failover):
                reporter.failed(f"{node.name}'s last words: {node.last_words() or '(none)'}")
            # Always 1: whichever part failed, the demo did not show what it promises.
            raise SyncerError(f"the demo did not come to its end: {error}") from error
    if as_json:
        document = outcome._asdict() | {"steps": [step._asdict() for step in outcome.steps]}
        times = {"seconds": time.monotonic() - started, "folder": str(folder) if keep else None}
        print_json({**document, **times, "exit_code": 0 if outcome.is_equal else 1})
    elif outcome.is_equal:
        reporter.chapter(f"Equal, after {time.monotonic() - started:.0f} s.")
    return 0 if outcome.is_equal else 1


@contextlib.contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="syncer-demo-"))
    try:
        yield folder
    finally:
        if keep:
            note(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
            if folder.exists():
                note(f"not everything of {folder} could be removed; remove it by hand")


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM end the demo as Ctrl-C does, so that no agent outlives it."""

    def end(signum: int, _: object) -> NoReturn:
        sys.exit(128 + signum)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
