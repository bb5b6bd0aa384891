"""The outbox: actions that are durable before they are tried, tried again until done, or given up for all to see."""

from __future__ import annotations

import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from syncer.events.delivery import Answer, Deliver, Outcome, Parcel, Verdict, judge
from syncer.events.heard import alarm_before, receivers_to_tell
from syncer.events.journal import EventJournal
from syncer.events.notice import RECOVERY, Notice
from syncer.events.pace import Pace
from syncer.state.outbox import (
    ActionRow,
    Delivered,
    add_actions,
    change_action,
    count_actions,
    drop_actions,
    hasten_actions,
    next_actions,
    read_delivered,
    read_outbox,
    write_delivered,
)
from syncer.state.store import StateStore

log = logging.getLogger(__name__)

WORKERS = 4
"""Actions that are done at once."""
AT_ONCE = 8
A_SECOND = 20.0
"""Actions that are begun after a quiet time, and in the long run: a thousand that fail at once must not take a core."""
MOST_WAITING = 1000
ORDER_SECONDS = 1.0
"""How long the notice of an end waits at least for the alarm that is to come before it."""
OVERFLOW_SECONDS = 60.0
"""Over which actions that were not kept are summed up."""
OWN_EVENTS = frozenset({"action.failed", "actions.overflowed", "condition.failed"})
"""Events of triggers themselves: what fails for one of them raises no further one, or it would never end."""


class Act(NamedTuple):
    """One action of a trigger."""

    deliver: Deliver
    receivers: tuple[str, ...]
    shown: str
    """Where it goes, without what may be secret."""


class Duty(NamedTuple):
    """What a trigger has to do when it speaks."""

    acts: Mapping[str, Act]
    """By kind: email, exec, webhook, notify."""
    give_up: float
    """Seconds after which an action is tried no more."""


class Outbox:
    """The actions of one node; used by one thread, but for the workers that it starts."""

    def __init__(
        self, store: StateStore, journal: EventJournal, duties: Mapping[str, Duty], wake: Callable[[], None]
    ) -> None:
        """Do the actions of `duties`, which are by trigger; `wake` is called when a worker is done."""
        self._store = store
        self._journal = journal
        self._duties = duties
        self._wake = wake
        self._busy: dict[int, threading.Thread] = {}
        self._answers: deque[tuple[ActionRow, Answer]] = deque()
        self._overflowed = 0
        self._overflow_told = float("-inf")
        self.lost = 0
        """Actions that were never kept, since the start or since a person has taken note; for any thread."""
        self._pace = Pace(AT_ONCE, A_SECOND)

    def change(self, duties: Mapping[str, Duty]) -> None:
        """Do the actions of other triggers from now on; what is under way goes on."""
        self._duties = duties

    def add(self, notices: list[Notice], now: float) -> None:
        """Make what these notices ask for durable; within the caller's transaction."""
        rows = []
        for notice in notices:
            for action, act in self._duties[notice.trigger].acts.items():
                key = uuid.uuid4().hex
                rows.append(
                    ActionRow(0, key, notice.trigger, action, act.receivers, notice.dumped(), now, 0, now, None, "")
                )
        room = max(0, MOST_WAITING - count_actions(self._store)[0])
        lost = [row for row in rows[room:] if Notice.loaded(row.notice).event not in OWN_EVENTS]
        self._overflowed += len(lost)
        self.lost += len(rows[room:])
        add_actions(self._store, rows[:room])

    def begin(self, now: float) -> None:
        """Start what is due, as far as there are workers."""
        if self._overflowed and now - self._overflow_told >= OVERFLOW_SECONDS:
            self._journal.raise_event("actions.overflowed", {"count": self._overflowed})
            self._overflowed, self._overflow_told = 0, now
        for row in next_actions(self._store, 2 * WORKERS):
            if row.due > now or len(self._busy) >= WORKERS:
                return
            if row.id in self._busy:
                continue
            act = self._act(row)
            if act is None:
                self._settle(row, Answer(Outcome.REFUSED, "it is not configured any more"), now)
                continue
            # Only the notice of an end asks for what else there is: others need no look at the whole outbox.
            others = read_outbox(self._store) if Notice.loaded(row.notice).kind == RECOVERY else ()
            first = alarm_before(row, others, act.receivers)
            if first is not None:
                # Later than now, so that nobody turns in circles while the alarm is under way.
                change_action(self._store, row._replace(due=max(first.due, now + ORDER_SECONDS)))
                continue
            receivers = self._receivers(row, others)
            if receivers is None:
                log.info("trigger %s, %s: no alarm of it was delivered, so its end is not told", row.name, row.action)
                drop_actions(self._store, [row.id])
                continue
            if not self._pace.take():
                return
            self._start(row._replace(receivers=receivers), act.deliver)

    def due(self, now: float) -> float | None:
        """Return when something is to be started; None: not before news come."""
        earliest = now + self._pace.wait()
        rows = next_actions(self._store, 2 * WORKERS)
        times = [max(row.due, earliest) for row in rows if row.id not in self._busy]
        if self._overflowed:
            times.append(self._overflow_told + OVERFLOW_SECONDS)
        return None if len(self._busy) >= WORKERS else min(times, default=None)

    def settle(self, now: float) -> None:
        """Record what came of the attempts that have ended. Raises StateError; then it is recorded next time."""
        while self._answers:
            row, answer = self._answers[0]
            self._settle(row, answer, now)
            self._answers.popleft()
            del self._busy[row.id]

    def wait(self, seconds: float) -> None:
        """Give what is under way so much time in all to end."""
        for worker in list(self._busy.values()):
            worker.join(seconds / len(self._busy))

    def _act(self, row: ActionRow) -> Act | None:
        duty = self._duties.get(row.name)
        return duty.acts.get(row.action) if duty is not None else None

    def _receivers(self, row: ActionRow, others: Sequence[ActionRow]) -> tuple[str, ...] | None:
        """Return to whom an action goes; None where it tells the end of what nobody was told."""
        if row.attempts or not others:
            return row.receivers
        done = [
            found.at for found in read_delivered(self._store) if (found.name, found.action) == (row.name, row.action)
        ]
        return receivers_to_tell(row, others, max(done, default=None))

    def _start(self, row: ActionRow, deliver: Deliver) -> None:
        # Daemons: what hangs at a server must not hold up the end of the agent; it is tried again.
        worker = threading.Thread(target=self._work, args=(row, deliver), name=f"action-{row.id}", daemon=True)
        self._busy[row.id] = worker
        worker.start()

    def _work(self, row: ActionRow, deliver: Deliver) -> None:
        try:
            answer = deliver(Parcel(row.key, Notice.loaded(row.notice), row.receivers))
        except Exception as error:
            # Whatever an action does wrong, it must not take the others with it.
            log.exception("the action %s of trigger %s failed by a fault in syncer", row.action, row.name)
            answer = Answer(Outcome.LATER, f"a fault in syncer, please report it: {type(error).__name__}")
        self._answers.append((row, answer))
        self._wake()

    def _settle(self, row: ActionRow, answer: Answer, now: float) -> None:
        duty = self._duties.get(row.name)
        attempts = row.attempts + 1
        verdict = judge(answer, row.receivers, attempts, row.since, now, duty.give_up if duty else 0.0)
        said = answer.words
        # CRASH: between the server's answer and this commit the action is done, and is done again at the next start.
        with self._store.transaction():
            if answer.outcome is Outcome.DONE:
                write_delivered(self._store, Delivered(row.name, row.action, now, said))
                hasten_actions(self._store, row, now)
            if verdict.due is not None:
                change_action(
                    self._store,
                    row._replace(receivers=verdict.receivers, attempts=attempts, due=verdict.due, answer=said),
                )
            elif verdict.failed:
                left = verdict.given_up
                change_action(self._store, row._replace(receivers=left, attempts=attempts, given_up=now, answer=said))
            else:
                drop_actions(self._store, [row.id])
            if verdict.failed and Notice.loaded(row.notice).event not in OWN_EVENTS:
                self._tell(row, verdict, said, attempts, now)
        level = logging.INFO if answer.outcome is Outcome.DONE and not verdict.failed else logging.WARNING
        log.log(level, "trigger %s, %s: %s", row.name, row.action, said)

    def _tell(self, row: ActionRow, verdict: Verdict, said: str, attempts: int, now: float) -> None:
        act = self._act(row)
        self._journal.raise_within(
            "action.failed",
            {
                "failed_trigger": row.name,
                "action": row.action,
                "receiver": ", ".join(verdict.given_up) or (act.shown if act else ""),
                "error": said,
                "attempts": attempts,
                "seconds": max(0.0, now - row.since),
            },
        )
