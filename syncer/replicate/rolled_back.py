"""That a person rolled a domain back: kept with the transaction that did it, so that nothing undoes it silently."""

from __future__ import annotations

import sqlite3
import time
from datetime import UTC, datetime

from syncer.apply.journal import Promise
from syncer.state.cursors import Standing
from syncer.state.rolled_back import RolledBack, forget_rolled_back, read_rolled_back, record_rolled_back
from syncer.state.store import StateStore


class RolledBackHold:
    """One domain's word that nothing of production is applied until production resumes."""

    def __init__(self, domain: str, store: StateStore) -> None:
        """Read what an earlier life has recorded."""
        self._domain = domain
        self._store = store
        self.done = read_rolled_back(store, domain)
        """The rollback that production has not resumed from, or None; for any thread."""

    def sentence(self) -> str:
        """Say that a person rolled the domain back, and how to go on; "" where nobody did."""
        return rolled_back_sentence(self._domain, self.done)

    def promise(self, target: int, person: str) -> Promise:
        """Return what records the rollback to generation `target` in the commit that makes it certain."""

        def record(writer: sqlite3.Connection, after: Standing, /, *, changed: bool) -> None:
            assert after.generation or not changed, "a rollback displaces something, so it makes a generation"
            record_rolled_back(writer, self._domain, RolledBack(after.generation, target, time.time(), person))

        return record

    def withdraw(self) -> None:
        """The rollback was given up, with everything visible taken back: what held before holds."""
        before = self.done
        with self._store.transaction() as writer:
            if before is None:
                forget_rolled_back(writer, self._domain)
            else:
                record_rolled_back(writer, self._domain, before)

    def release(self, writer: sqlite3.Connection) -> None:
        """Forget it, within the commit of the synchronization that a person resumed with."""
        forget_rolled_back(writer, self._domain)

    def refresh(self) -> None:
        """Take note of what was committed."""
        self.done = read_rolled_back(self._store, self._domain)


def rolled_back_sentence(domain: str, done: RolledBack | None) -> str:
    """Say who rolled a domain back and how to go on; "" where nobody did."""
    if done is None:
        return ""
    when = datetime.fromtimestamp(done.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return (
        f"domain {domain} was rolled back to generation {done.target} by {done.person} at {when}: nothing is applied "
        "until `syncer resume TARGET` on production, which compares everything"
    )
