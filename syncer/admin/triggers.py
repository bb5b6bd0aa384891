"""`syncer trigger` and `syncer outbox`: what the triggers are, whether they work, and what waits to be done."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from syncer.config.alarm_settings import TriggerSettings
from syncer.errors import ConfigurationError
from syncer.events.delivery import Outcome
from syncer.events.matching import memories_of
from syncer.events.memory import Memory
from syncer.events.states import subject_in_words
from syncer.state.outbox import ActionRow, Delivered, drop_actions, read_delivered, read_outbox, retry_actions

if TYPE_CHECKING:
    from syncer.node.agent import Node

STATES_LISTED = 20


def trigger_list(node: Node) -> dict[str, Any]:
    """Return every trigger with its state, without secrets, as docs/json.md describes it; blocking."""
    memories = memories_of(node.store)
    rows = read_outbox(node.store)
    delivered = {(found.name, found.action): found for found in read_delivered(node.store)}
    now = time.time()
    found = []
    for trigger in node.settings.alarms.triggers:
        event, memory = memories.get(trigger.name, (trigger.event, Memory()))
        # What is remembered of another event is forgotten as soon as the agent starts.
        known = memory if event == trigger.event else Memory()
        found.append(
            {**_rule(trigger), **_state(trigger, known, now), "actions": _actions(node, trigger, rows, delivered)}
        )
    failing = any(action["given_up"] for trigger in found for action in trigger["actions"])
    return {"triggers": found, "exit_code": 3 if failing else 0}


async def trigger_test(node: Node, name: str) -> dict[str, Any]:
    """Do every action of one trigger now, and return what was answered. Raises ConfigurationError."""
    names = [trigger.name for trigger in node.settings.alarms.triggers]
    if name not in names:
        raise ConfigurationError(
            f"there is no trigger {name!a} in the configuration (configured: {', '.join(names) or 'none'})"
        )
    answers = await asyncio.to_thread(node.alarms.test, name)
    actions = [
        {
            "action": action,
            "receiver": node.alarms.duties[name].acts[action].shown,
            "done": answer.outcome is Outcome.DONE and not answer.left and not answer.refused,
            "answer": answer.words,
        }
        for action, answer in answers.items()
    ]
    return {"trigger": name, "actions": actions, "exit_code": 0 if all(found["done"] for found in actions) else 1}


def outbox(node: Node) -> dict[str, Any]:
    """Return the actions that wait, and those that were given up; blocking."""
    rows = read_outbox(node.store)
    waiting = [_row(node, row) for row in rows if row.given_up is None]
    given_up = [_row(node, row) for row in rows if row.given_up is not None]
    lost = node.alarms.lost
    return {"waiting": waiting, "given_up": given_up, "lost": lost, "exit_code": 3 if given_up or lost else 0}


def outbox_change(node: Node, arguments: dict[str, Any]) -> dict[str, Any]:
    """Retry or drop the actions with the given ids, all, or those given up; blocking. Raises ConfigurationError."""
    rows = read_outbox(node.store)
    known = {row.id for row in rows}
    ids = {int(number) for number in arguments.get("ids") or []}
    if arguments.get("all"):
        ids = known
    elif arguments.get("given_up"):
        ids = {row.id for row in rows if row.given_up is not None}
    missing = sorted(ids - known)
    if missing:
        raise ConfigurationError(
            f"there is no action {', '.join(map(str, missing))} in the outbox: `syncer outbox` lists them"
        )
    if arguments.get("change") == "retry":
        changed = retry_actions(node.store, ids, time.time())
        node.alarms.wake()
    else:
        changed = drop_actions(node.store, ids)
        if not arguments.get("ids"):
            node.alarms.take_note()
    return {"changed": changed, "exit_code": 0}


def _rule(trigger: TriggerSettings) -> dict[str, Any]:
    return {
        "name": trigger.name,
        "event": trigger.event,
        "when": trigger.when,
        "throttle_seconds": trigger.throttle,
        "after_seconds": trigger.after,
        "notify_recovery": trigger.notify_recovery,
    }


def _state(trigger: TriggerSettings, memory: Memory, now: float) -> dict[str, Any]:
    until = None if memory.alarmed is None else memory.alarmed + trigger.throttle
    is_throttled = until is not None and until > now
    return {
        "state": "throttled" if is_throttled else "armed",
        "throttled_until": _moment(until) if is_throttled else None,
        "held": memory.times_held(),
        "lasting": [
            {"subject": subject_in_words(subject), "since": _moment(state.since), "told": state.told}
            for subject, state in list(memory.lasting.items())[:STATES_LISTED]
        ],
        "lasting_count": len(memory.lasting),
        "last_alarm": _moment(memory.alarmed),
        "last_recovery": _moment(memory.recovered),
    }


def _actions(
    node: Node, trigger: TriggerSettings, rows: list[ActionRow], delivered: dict[tuple[str, str], Delivered]
) -> list[dict[str, Any]]:
    found = []
    for action, act in node.alarms.duties[trigger.name].acts.items():
        own = [row for row in rows if (row.name, row.action) == (trigger.name, action)]
        done = delivered.get((trigger.name, action))
        tried = [row for row in own if row.attempts]
        found.append(
            {
                "action": action,
                "receiver": act.shown,
                "waiting": sum(row.given_up is None for row in own),
                "given_up": sum(row.given_up is not None for row in own),
                "last_done": _moment(done.at) if done else None,
                "last_answer": done.answer if done else "",
                "last_error": tried[-1].answer if tried else "",
            }
        )
    return found


def _row(node: Node, row: ActionRow) -> dict[str, Any]:
    duty = node.alarms.duties.get(row.name)
    act = duty.acts.get(row.action) if duty else None
    return {
        "id": row.id,
        "trigger": row.name,
        "action": row.action,
        "receiver": ", ".join(row.receivers) or (act.shown if act else ""),
        "since": _moment(row.since),
        "attempts": row.attempts,
        "next_try": _moment(row.due) if row.given_up is None else None,
        "given_up": _moment(row.given_up),
        "answer": row.answer,
    }


def _moment(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
