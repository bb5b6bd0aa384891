"""The thread that turns events into actions: matches what the journal has written, and works off the outbox.

Nothing of this is ever waited for by capture or replication: they raise events into a bounded queue, and that is all.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from syncer.errors import StateError
from syncer.events.journal import EventJournal
from syncer.events.matching import Matcher
from syncer.events.outbox import Duty, Outbox
from syncer.events.triggers import Rule
from syncer.state.store import StateStore

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
"""Pause after a turn that failed, for example on a full disk."""
LONGEST_SLEEP = 60.0
"""Seconds after which the clock is looked at again: it may have been set."""
LAST_SECONDS = 0.5
"""What is under way at the end gets so long to be done."""


class Alarms:
    """The triggers of a node at work, between `start` and `close`."""

    def __init__(
        self,
        store: StateStore,
        journal: EventJournal,
        rules: Sequence[Rule],
        duties: Mapping[str, Duty],
        node: str,
        *,
        clock: Callable[[], float] = time.time,
        exposure: Callable[[], str] = lambda: "",
    ) -> None:
        """Take up what node.db remembers; nothing runs yet. `exposure`: what failing over now would lose.

        Raises StateError.
        """
        self._clock = clock
        self._news = threading.Condition()
        self._is_new = True
        self._closing = False
        self._changed: tuple[Sequence[Rule], Mapping[str, Duty]] | None = None
        self._is_stale = False
        self._matcher = Matcher(store, journal, rules, node, exposure)
        self._matcher.start(clock())
        self._outbox = Outbox(store, journal, duties, self.wake)
        self._thread = threading.Thread(target=self._run, name="alarms", daemon=True)
        self._stop_listening = journal.listen(self.wake)

    @property
    def lost(self) -> int:
        """Return how many actions were never kept, since the start or the last `take_note`; for any thread."""
        return self._outbox.lost

    def take_note(self) -> None:
        """A person has seen that actions were lost; for any thread."""
        self._outbox.lost = 0

    def start(self) -> None:
        """Begin, with what was left undone before."""
        self._thread.start()

    def change(self, rules: Sequence[Rule], duties: Mapping[str, Duty]) -> None:
        """Go on with other triggers soon; for any thread. What is under way goes on, and is not done twice."""
        with self._news:
            self._changed = (rules, duties)
            self._is_new = True
            self._news.notify()

    def wake(self) -> None:
        """Look for something to do; for any thread, never blocks."""
        with self._news:
            self._is_new = True
            self._news.notify()

    def close(self) -> None:
        """End within about a second; what is not done by then is done at the next start."""
        self._stop_listening()
        with self._news:
            self._closing = True
            self._news.notify()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        trouble = ""
        while not self._closing:
            try:
                self._turn()
            except Exception as error:
                # A fault here must neither end the alarms nor anything else; it is told, and tried again.
                if str(error) != trouble:
                    if isinstance(error, StateError):
                        log.error("the triggers cannot work, and wait: %s", error)  # noqa: TRY400  # a sentence
                    else:
                        log.exception("the triggers failed by a fault in syncer, and try again")
                trouble = str(error)
                self._pause()
            else:
                trouble = ""
        self._finish()

    def _turn(self) -> None:
        # RACE: taken before the look, so that what comes during it leads to another look.
        with self._news:
            self._is_new = False
            changed = self._changed
        now = self._clock()
        if self._is_stale:
            self._matcher.reload()
            self._is_stale = False
        if changed is not None:
            self._take_over(*changed)
        self._outbox.settle(now)
        while self._matcher.match(now, lambda notices: self._outbox.add(notices, now)):
            if self._closing:
                return
        self._outbox.begin(now)
        due = [at for at in (self._matcher.due(now), self._outbox.due(now)) if at is not None]
        self._sleep(min([*(max(0.0, at - self._clock()) for at in due), LONGEST_SLEEP]))

    def _take_over(self, rules: Sequence[Rule], duties: Mapping[str, Duty]) -> None:
        self._matcher.change(rules)
        self._outbox.change(duties)
        with self._news:
            # RACE: another change may have come meanwhile.
            if self._changed == (rules, duties):
                self._changed = None
            else:
                self._is_new = True

    def _sleep(self, seconds: float) -> None:
        with self._news:
            if not self._is_new and not self._closing:
                self._news.wait(seconds)

    def _pause(self) -> None:
        """The turn that failed has not happened: wait a moment, then take up again what node.db remembers."""
        self._is_stale = True
        with self._news:
            if not self._closing:
                self._news.wait(RETRY_SECONDS)

    def _finish(self) -> None:
        self._outbox.wait(LAST_SECONDS)
        try:
            self._outbox.settle(self._clock())
        except StateError as error:
            log.warning("what the triggers did last could not be recorded, and is done again: %s", error)
