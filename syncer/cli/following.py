"""Shows a procedure while it goes on: each step as a line, and on a terminal what is being done below them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Protocol, Self

from syncer.cli.invocation import Invocation
from syncer.cli.output import note, print_json, printable, say
from syncer.cli.render_procedures import procedure_lines

_ENDED = ("done", "failed", "undone")


class FollowingDisplay(Protocol):
    """Takes the progress of a procedure, within a `with` block."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the screen as it was found."""

    def __call__(self, event: dict[str, Any], /) -> None:
        """Show one event."""


def followed(invocation: Invocation, command: str, arguments: dict[str, Any], *, as_json: bool) -> dict[str, Any]:
    """Run a command that begins a procedure and follows it; returns its result. Ctrl-C leaves the procedure going."""
    began = False
    with following_display(as_json=as_json) as show:

        def shown(event: dict[str, Any]) -> None:
            nonlocal began
            began = True
            show(event)

        try:
            return invocation.call(command, arguments, shown)
        except KeyboardInterrupt:
            if began:
                note("the procedure goes on in the agent: `syncer procedure` shows it, with how to undo it")
            raise


def say_result(result: dict[str, Any], *, as_json: bool) -> int:
    """Print what a followed procedure came to; returns the exit code."""
    if as_json:
        print_json(result)
        return int(result["exit_code"])
    for line in result_lines(result["procedure"]):
        say(printable(line))
    return int(result["exit_code"])


def result_lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield how a procedure ended; all of it where it waits for a person."""
    name = f"{found['kind']} ({found['id'][:8]}) with {found['peer']}"
    if found["outcome"] == "finished":
        yield f"{name}: done in {found['seconds']:.1f} s"
    elif found["outcome"] == "aborted":
        yield f"{name}: {found['reason'] if found['past_return'] else 'undone: ' + found['reason']}"
    else:
        if found["without_peer"] and not found["needs_person"]:
            yield f"{name}: {found['peer']} is away, and the procedure waits for it"
        yield from procedure_lines(found)


def following_display(*, as_json: bool) -> FollowingDisplay:
    """Return the display that fits where this command's messages go."""
    if as_json:
        return _Silence()
    return _Screen() if sys.stderr.isatty() else _Lines(note)


class _Silence:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def __call__(self, event: dict[str, Any], /) -> None:
        return


class _Lines(_Silence):
    """A line for each step that ended, and for whatever holds one up."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._last = ""

    def __call__(self, event: dict[str, Any], /) -> None:
        ended = event["state"] in _ENDED
        if not ended and (not event["text"] or event["total"]):
            return
        line = sentence_of(event)
        if line != self._last:
            self._last = line
            self._write(line)


class _Screen:
    """Steps that ended as lines, and one bar for the one that is being done."""

    def __init__(self) -> None:
        # Late: a terminal is where a bar is needed, and rich takes a while to import.
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task: Any = None
        self._step = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, event: dict[str, Any], /) -> None:
        if event["state"] in _ENDED:
            self._progress.console.print(sentence_of(event), markup=False, highlight=False)
            return
        if self._task is None or self._step != event["step"]:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task, self._step = self._progress.add_task("", total=None), event["step"]
        self._progress.update(
            self._task, description=sentence_of(event), completed=event["done"], total=event["total"] or None
        )


def sentence_of(event: dict[str, Any]) -> str:
    """Return one event as a line."""
    of = f" ({event['done']:,} of {event['total']:,})" if event["total"] else ""
    said = f": {event['text']}" if event["text"] else ""
    state = event["state"] if event["state"] != "pending" else "waiting"
    return printable(f"{state:8} {event['title']} (on {event['on']}){said}{of}")
