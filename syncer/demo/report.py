"""What the demo prints: one line a step, the same on a terminal (with colour) and on a pipe."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from syncer.cli.output import printable
from syncer.cli.wording import counted, seconds_in_words
from syncer.demo.steps import Step

LAG_COLUMN = 58
DIFFERENCES_SHOWN = 20


class Reporter:
    """Tells a person what happens; with `quiet` (JSON) nobody is told."""

    def __init__(self, *, quiet: bool) -> None:
        """Print to stdout."""
        terminal = sys.stdout.isatty()
        self._console = Console(
            file=sys.stdout, quiet=quiet, highlight=False, markup=False, width=None if terminal else 200
        )

    def chapter(self, title: str) -> None:
        """Begin a part of the story."""
        self._console.print()
        self._line(title, "bold")

    def say(self, text: str, style: str = "dim") -> None:
        """Print a line of explanation."""
        self._line(f"  {text}", style)

    @contextlib.contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Show on a terminal that something is going on."""
        if self._console.is_terminal and not self._console.quiet:
            with self._console.status(Text(printable(what))):
                yield
        else:
            yield

    def step(self, step: Step) -> None:
        """Print a step with its lag, and how many paths arrived."""
        start = f"  {step.name} "
        dots = "." * max(LAG_COLUMN - len(start), 2)
        line = Text(start)
        line.append(dots, "dim")
        line.append(f" {seconds_in_words(step.lag_seconds):>8}", "bold green")
        line.append(f"  {counted(step.paths, 'path')}", "dim")
        self._console.print(line, soft_wrap=True)

    def failed(self, what: str) -> None:
        """Print what did not happen."""
        for line in what.splitlines():
            self._line(f"  {line}", "bold red")

    def verdict(self, title: str, found: list[str]) -> None:
        """Print the outcome of a comparison."""
        if not found:
            self._line(f"  ✓ {title}: no difference", "bold green")
            return
        self._line(f"  ✗ {title}: {counted(len(found), 'difference')}", "bold red")
        for line in found[:DIFFERENCES_SHOWN]:
            self._line(f"      {line}", "red")

    def _line(self, text: str, style: str) -> None:
        self._console.print(Text(printable(text), style=style), soft_wrap=True)
