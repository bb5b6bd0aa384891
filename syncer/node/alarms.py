"""Builds the triggers of a node from its configuration, and starts and ends them with it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from syncer.config import Settings
from syncer.config.alarm_settings import AlarmSettings, TriggerSettings
from syncer.errors import SyncerError
from syncer.events.alarms import Alarms
from syncer.events.catalogue import CATALOGUE
from syncer.events.conditions import Condition, EvaluationError
from syncer.events.delivery import Answer, Parcel
from syncer.events.journal import EventJournal
from syncer.events.mail import Mailer
from syncer.events.matching import forget_triggers
from syncer.events.memory import Variables
from syncer.events.notify import Notifier
from syncer.events.outbox import OWN_EVENTS, Act, Duty
from syncer.events.samples import sample_notice
from syncer.events.triggers import Rule
from syncer.events.webhook import Webhook
from syncer.model import EventValue, RecordEvent
from syncer.services.action import CommandAction
from syncer.services.command import CommandRunner
from syncer.state.store import StateStore

log = logging.getLogger(__name__)

TOLD_SECONDS = 60.0
"""How often at most a condition that cannot be evaluated is told."""


class NodeAlarms:
    """The triggers of one node; without any, nothing runs."""

    def __init__(self, settings: Settings, store: StateStore, journal: EventJournal) -> None:
        """Make them from the configuration; nothing runs yet."""
        self._node = settings.node.name
        self._settings = settings.alarms
        self._store = store
        self._journal = journal
        self._runner = CommandRunner()
        self._alarms: Alarms | None = None
        self.exposure: Callable[[], str] = lambda: ""
        """What failing over now would lose, for what is told; may block, and raise anything."""
        self.duties = self._duties()

    def start(self) -> None:
        """Match and act from now on, beginning with what was left undone. Raises StateError."""
        if not self._settings.triggers:
            forget_triggers(self._store)
            return
        self._alarms = Alarms(
            self._store, self._journal, self._rules(), self.duties, self._node, exposure=self._exposure
        )
        self._alarms.start()

    def change(self, settings: Settings) -> None:
        """Go on with the triggers of a configuration that was reloaded; blocking. Raises StateError."""
        if settings.alarms == self._settings:
            return
        self._settings = settings.alarms
        self.duties = self._duties()
        if self._alarms is None:
            self.start()
        elif self._settings.triggers:
            self._alarms.change(self._rules(), self.duties)
        else:
            self._alarms.close()
            self._alarms = None
            forget_triggers(self._store)

    def wake(self) -> None:
        """The outbox was changed by a command."""
        if self._alarms is not None:
            self._alarms.wake()

    @property
    def lost(self) -> int:
        """Return how many actions were never kept, since too many waited."""
        return self._alarms.lost if self._alarms is not None else 0

    def take_note(self) -> None:
        """A person has seen that actions were lost."""
        if self._alarms is not None:
            self._alarms.take_note()

    def close(self) -> None:
        """End within about a second; before the journal is closed."""
        self._runner.cancel()
        if self._alarms is not None:
            self._alarms.close()

    def test(self, name: str) -> dict[str, Answer]:
        """Do every action of a trigger once, now, marked as a test; returns what was answered. Blocking."""
        [trigger] = [found for found in self._settings.triggers if found.name == name]
        now = time.time()
        notice = sample_notice(name, trigger.event, self._node, now)._replace(exposure=self._exposure())
        acts = self.duties[name].acts
        return {action: act.deliver(Parcel(f"test-{now:.6f}", notice, act.receivers)) for action, act in acts.items()}

    def _exposure(self) -> str:
        try:
            return self.exposure()
        except Exception as error:
            # An alarm without it is better than none.
            log.warning(
                "what failing over would lose cannot be told: %s", error, exc_info=not isinstance(error, SyncerError)
            )
            return ""

    def _rules(self) -> list[Rule]:
        record = self._journal.raise_event
        return [rule_of(trigger, self._settings, record) for trigger in self._settings.triggers]

    def _duties(self) -> Mapping[str, Duty]:
        return {trigger.name: Duty(self._acts(trigger), trigger.give_up) for trigger in self._settings.triggers}

    def _acts(self, trigger: TriggerSettings) -> Mapping[str, Act]:
        constants = dict(self._settings.variables)
        acts = {}
        if trigger.email is not None:
            assert self._settings.smtp is not None, "the configuration was checked"
            mailer = Mailer(self._settings.smtp, trigger.email, constants)
            acts["email"] = Act(mailer.deliver, trigger.email.to, ", ".join(trigger.email.to))
        if trigger.exec:
            action = CommandAction(trigger.exec, trigger.exec_timeout, constants, self._runner)
            acts["exec"] = Act(action.deliver, (), action.shown)
        if trigger.webhook is not None:
            webhook = Webhook(trigger.webhook, constants)
            acts["webhook"] = Act(webhook.deliver, (), webhook.shown)
        if trigger.notify:
            notifier = Notifier(trigger.notify, constants)
            acts["notify"] = Act(notifier.deliver, notifier.receivers, ", ".join(notifier.receivers))
        return acts


def rule_of(trigger: TriggerSettings, settings: AlarmSettings, record: RecordEvent) -> Rule:
    """Return a trigger as the state machine sees it; its condition is compiled here."""
    return Rule(
        trigger.name,
        trigger.event,
        _holds(trigger, dict(settings.variables), record),
        trigger.throttle,
        trigger.after,
        trigger.notify_recovery,
    )


def _holds(
    trigger: TriggerSettings, constants: Mapping[str, EventValue], record: RecordEvent
) -> Callable[[Variables], bool]:
    if not trigger.when:
        return lambda _: True
    types = {name: type(value) for name, value in constants.items()}
    types.update({name: variable.kind for name, variable in CATALOGUE[trigger.event].variables.items()})
    condition = Condition(trigger.when, types)
    told = float("-inf")

    def holds(variables: Variables) -> bool:
        nonlocal told
        try:
            return condition.holds({**constants, **variables})
        except EvaluationError as error:
            # Not fulfilled: a command must not be run on a guess. But somebody must hear of it.
            if trigger.event not in OWN_EVENTS and time.monotonic() - told >= TOLD_SECONDS:
                told = time.monotonic()
                reason = f"{error}, for the event {trigger.event}"
                record("condition.failed", {"failed_trigger": trigger.name, "reason": reason})
            return False

    return holds
