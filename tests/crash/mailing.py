"""A process that turns events into mail as the agent does, and ends itself, as kill -9 does, at one durable step."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from syncer.state.store import StateStore
from syncer.state.triggers import read_cursor
from tests.mail_pipeline import Pipeline, smtp_settings, sync, until
from tests.servers import Certificate

EVENTS = (sync(1), sync(0, success=True))
"""An outage and its end: an alarm, and a recovery notice."""
NEVER = 1_000_000


class EndingStore(StateStore):
    """A store that counts the beginnings, the last statements and the ends of transactions, and ends at one."""

    left = NEVER

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run the body as one durable transaction, or die on the way."""
        is_outermost = not self._depth
        if is_outermost:
            self._step()
        with super().transaction() as writer:
            yield writer
            if is_outermost:
                # Everything is written, nothing is committed.
                self._step()
        if is_outermost:
            self._step()

    def _step(self) -> None:
        EndingStore.left -= 1
        if EndingStore.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path, port: int, certificate: Certificate, point: int) -> None:
    """Raise what has not been raised yet, mail all of it, and print how many steps there were."""
    store = StateStore.open(folder / "state", create=True)
    store.__class__ = EndingStore
    smtp = smtp_settings(folder, port, certificate)
    EndingStore.left = point
    pipeline = Pipeline(folder / "state", smtp, time.time, store, throttle=0.0)

    def is_done() -> bool:
        return read_cursor(store) == pipeline.journal.last_id() and not pipeline.rows(waiting_only=True)

    for number, found in enumerate(EVENTS):
        # What was durable before a kill is not raised again: the triggers must find it in the journal.
        if len(pipeline.events("sync")) <= number:
            pipeline.happen(found)
        until(is_done, "it was mailed")
    steps = point - EndingStore.left
    pipeline.close()
    sys.stdout.write(f"{steps}\n")


if __name__ == "__main__":
    place, number, pem, key, last = sys.argv[1:]
    main(Path(place), int(number), Certificate(Path(pem), Path(key)), int(last))
