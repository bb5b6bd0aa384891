"""Frozen domains, as lines of a status."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.text import Text

from syncer.cli.exposure import Severity
from syncer.cli.output import printable
from syncer.cli.wording import counted, moment_in_words

SHOWN = 3
"""Paths that a line names."""


def frozen_lines(domains: list[dict[str, Any]]) -> Iterator[Text]:
    """Yield who has frozen what, until when, and what has changed all the same."""
    for domain in domains:
        frozen = domain.get("frozen")
        if not frozen:
            continue
        who = " and ".join(frozen["by"]) or "nobody any more"
        reason = f": {frozen['reason']}" if frozen["reason"] else ""
        until = f", until {moment_in_words(frozen['until'])} at the latest" if frozen["until"] else ""
        how = " (read-only)" if frozen["read_only"] else ""
        what = f"frozen: {domain['name']} by {who}{how} since {moment_in_words(frozen['since'])}{until}{reason}"
        yield Text(printable(what), style=f"bold {Severity.LATE.value}")
        if not frozen["complete"]:
            yield Text("  the freeze is not complete yet", style=Severity.LATE.value)
        if frozen["changed"]:
            named = ", ".join(frozen["sample"][:SHOWN])
            more = " and more" if frozen["changed"] > SHOWN else ""
            changed = f"  {counted(frozen['changed'], 'path')} changed since: {named}{more}"
            yield Text(printable(changed), style=Severity.BAD.value)
        elif frozen["changed"] is None:
            yield Text("  what has changed since is not known", style=Severity.LATE.value)
        if frozen["trouble"]:
            yield Text(printable(f"  {frozen['trouble']}"), style=Severity.BAD.value)
