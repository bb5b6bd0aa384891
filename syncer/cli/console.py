"""Where tables are printed: as wide as the terminal, or as wide as they are where there is none."""

from __future__ import annotations

import sys

from rich.console import Console

PLAIN_WIDTH = 400
"""Columns where no terminal sets them: a pipe must get whole lines."""


def console() -> Console:
    """Return the console on stdout; colours only on a terminal, and not with NO_COLOR."""
    terminal = sys.stdout.isatty()
    return Console(file=sys.stdout, width=None if terminal else PLAIN_WIDTH, highlight=False, markup=False)
