"""Who has heard an alarm, and so is told its end, and when: decided by what was really delivered (pure)."""

from __future__ import annotations

from collections.abc import Iterable

from syncer.events.notice import ALARM, RECOVERY, SUBJECTS_LISTED, Notice
from syncer.state.outbox import ActionRow


def receivers_to_tell(
    row: ActionRow, others: Iterable[ActionRow], delivered_at: float | None
) -> tuple[str, ...] | None:
    """Return to whom an action that was not tried yet goes, None: it is not done.

    Only the end of what nobody has heard of is held back: none of the trigger's notices was delivered by this action
    since the first of the states began (`delivered_at`: when one was last, in Unix seconds), and no alarm waits among
    `others`. A receiver whose alarm was given up is left out.
    """
    notice = Notice.loaded(row.notice)
    if notice.kind != RECOVERY:
        return row.receivers
    alarms = [other for other in others if _is_alarm_of(other, row, notice.since)]
    if any(alarm.given_up is None for alarm in alarms):
        # It may be delivered still: then its end is wanted, too.
        return row.receivers
    if delivered_at is None or delivered_at < notice.since:
        return None
    unheard = {receiver for alarm in alarms for receiver in alarm.receivers}
    left = tuple(receiver for receiver in row.receivers if receiver not in unheard)
    return None if row.receivers and not left else left


def alarm_before(row: ActionRow, others: Iterable[ActionRow], receivers: tuple[str, ...]) -> ActionRow | None:
    """Return the alarm that is to come before the end that `row` tells of; None: nothing is to come before it.

    It waits among `others`, nobody of its `receivers` (all that the action has) was told, and it is of the same states,
    as far as both name all of theirs: an alarm that never goes out must not hold back the end of another state.
    """
    notice = Notice.loaded(row.notice)
    if notice.kind != RECOVERY:
        return None
    for other in others:
        is_older = other.id < row.id and (other.name, other.action) == (row.name, row.action)
        if is_older and other.given_up is None and other.receivers == receivers:
            before = Notice.loaded(other.notice)
            if before.kind == ALARM and _share_states(before, notice):
                return other
    return None


def _share_states(first: Notice, second: Notice) -> bool:
    named_all = max(len(first.subjects), len(second.subjects)) < SUBJECTS_LISTED
    return not named_all or not set(first.subjects).isdisjoint(second.subjects)


def _is_alarm_of(other: ActionRow, row: ActionRow, since: float) -> bool:
    same = (other.name, other.action) == (row.name, row.action)
    return same and other.since >= since and Notice.loaded(other.notice).kind == ALARM
