"""Shows how far long work is: a bar on a terminal, a line a second elsewhere, nothing beside JSON."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

from syncer.cli.output import note, printable
from syncer.cli.wording import bytes_in_words

LINE_SECONDS = 1.0
"""Seconds between two lines at least, where there is no terminal."""


class ProgressDisplay(Protocol):
    """Takes the progress events of docs/json.md, within a `with` block."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the screen as it was found."""

    def __call__(self, event: dict[str, Any], /) -> None:
        """Show one event."""


def progress_display(*, as_json: bool) -> ProgressDisplay:
    """Return the display that fits where this command's messages go."""
    if as_json:
        return _Silence()
    return _Bars() if sys.stderr.isatty() else _Lines(note, time.monotonic)


class _Silence:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def __call__(self, event: dict[str, Any], /) -> None:
        return


class _Lines(_Silence):
    """At most a line a second; work that is done sooner prints none."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._write = write
        self._clock = clock
        self._written = clock()

    def __call__(self, event: dict[str, Any], /) -> None:
        now = self._clock()
        if now - self._written >= LINE_SECONDS:
            self._written = now
            self._write(sentence_of(event))


class _Bars:
    """One bar for each target and domain."""

    def __init__(self) -> None:
        # Late: a terminal is where a bar is needed, and rich takes a while to import.
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[amount]}", markup=False),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._tasks: dict[tuple[str, str], Any] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, event: dict[str, Any], /) -> None:
        key = (str(event.get("target", "")), str(event.get("domain", "")))
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task("", total=None, amount="")
        self._progress.update(
            self._tasks[key],
            description=printable(" ".join((*key, str(event["phase"])))),
            completed=event["done"],
            total=event["total"] or None,
            amount=amount_of(event),
        )


def amount_of(event: dict[str, Any]) -> str:
    """Return how much is done: "17 of 200, 3.4 KiB"."""
    total = f" of {event['total']:,}" if event["total"] else ""
    size = f", {bytes_in_words(event['bytes'])}" if event["bytes"] else ""
    return f"{event['done']:,}{total}{size}"


def sentence_of(event: dict[str, Any]) -> str:
    """Return one event as a line."""
    where = printable(" ".join(str(event[key]) for key in ("target", "domain") if event.get(key)))
    return f"{where}: {event['phase']} {amount_of(event)}"
