"""What each command does on a node: the same with the agent running and without."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from syncer.admin import drift, explain, substitute, triggers
from syncer.admin import history as admin_history
from syncer.admin.drill import drill as admin_drill
from syncer.admin.events import show_events
from syncer.admin.freeze import freeze, thaw
from syncer.admin.history_save import history_release, history_save
from syncer.admin.hold import hold_begin, hold_end, resume, suspend
from syncer.admin.leftovers import leftovers
from syncer.admin.pairing import invite, join, target_forget
from syncer.admin.procedures import procedure
from syncer.admin.promote import promote
from syncer.admin.rendered_diff import with_renderings
from syncer.admin.retire import retire
from syncer.admin.reverse import home_plan, rejoin, reverse
from syncer.admin.services import service
from syncer.admin.snapshot import synchronize
from syncer.admin.verify import run_verification
from syncer.errors import ConfigurationError, RefusedError
from syncer.model import Mode
from syncer.status import node_status
from syncer.status.exit_code import gravest

if TYPE_CHECKING:
    from syncer.node.agent import Node
    from syncer.node.production import ProductionSide

Event = tuple[Literal["progress", "result"], dict[str, Any]]
Answer = AsyncIterator[Event]


class Commands:
    """Runs commands by name; arguments and results are those of docs/json.md."""

    NEEDS_SENDERS: ClassVar[frozenset[str]] = frozenset({"snapshot", "diff", "verify", "verify_repair"})
    """Commands that talk to targets, so that without an agent the senders must be started for them."""
    NEEDS_CAPTURE: ClassVar[frozenset[str]] = frozenset({"leftovers"})
    """Commands that read what production has now, so that without an agent it must be scanned for them."""

    def __init__(self, node: Node) -> None:
        """Work on `node`."""
        self._node = node
        self._commands: dict[str, Callable[[dict[str, Any]], Answer]] = {
            "status": self._status,
            "snapshot": self._snapshot,
            "diff": self._diff,
            "approve": self._approve,
            "wait": self._wait,
            "explain": self._explain,
            "leftovers": self._leftovers,
            "substitute": self._substitute,
            "drift": self._drift,
            "verify": self._verify,
            "verify_repair": self._verify_repair,
            "target_forget": self._target_forget,
            "invite": self._invite,
            "join": self._join,
            "history": self._history,
            "history_save": self._history_save,
            "history_release": self._history_release,
            "rollback": self._rollback,
            "service": self._service,
            "events": self._events,
            "suspend": self._suspend,
            "resume": self._resume,
            "freeze": self._freeze,
            "thaw": self._thaw,
            "hold_begin": self._hold_begin,
            "hold_end": self._hold_end,
            "trigger_list": self._trigger_list,
            "trigger_test": self._trigger_test,
            "outbox": self._outbox,
            "outbox_change": self._outbox_change,
            "procedure": self._procedure,
            "retire": self._retire,
            "drill": self._drill,
            "promote": self._promote,
            "home_plan": self._home_plan,
            "rejoin": self._rejoin,
            "reverse": self._reverse,
        }

    async def run(self, command: str, arguments: dict[str, Any]) -> Answer:
        """Yield ("progress", …) any number of times, then one ("result", …); raises SyncerError."""
        found = self._commands.get(command)
        if found is None:
            raise ConfigurationError(f"the agent does not know the command {command!a}: update it")
        async for event in found(arguments):
            yield event

    async def _status(self, _: dict[str, Any]) -> Answer:
        yield "result", await asyncio.to_thread(node_status, self._node)

    async def _snapshot(self, arguments: dict[str, Any]) -> Answer:
        production = self._production("snapshot")
        async for event in synchronize(
            self._node, production, arguments, dry_run=bool(arguments.get("dry_run")), against_base=False
        ):
            yield event

    async def _diff(self, arguments: dict[str, Any]) -> Answer:
        production = self._production("diff")
        async for kind, body in synchronize(self._node, production, arguments, dry_run=True, against_base=True):
            if kind == "result" and arguments.get("rendered"):
                await with_renderings(self._node, production, arguments, body)
            yield kind, body

    async def _approve(self, arguments: dict[str, Any]) -> Answer:
        production = self._production("approve")
        target = str(arguments["target"])
        chosen = arguments.get("domain")
        # What waits may be another plan by now than the one that the person saw: only that one passes.
        seen = arguments.get("ids")
        if target not in {settings.name for settings in self._node.settings.failover}:
            raise ConfigurationError(f"there is no target {target!a} in the configuration")
        approved = []
        for (name, domain), sender in production.senders.items():
            if name != target or chosen not in (None, domain):
                continue
            waiting = await asyncio.to_thread(sender.waiting_approval)
            if waiting is None or (seen is not None and waiting.id not in seen):
                continue
            reason = sender.view().decision.reason
            if not arguments.get("plan_only"):
                sender.approve(waiting.id)
            approved.append(
                {
                    "target": name,
                    "domain": domain,
                    "id": waiting.id,
                    "deletions": waiting.deletions,
                    "overwrites": waiting.overwrites,
                    "reason": reason,
                }
            )
        if not approved:
            raise RefusedError(f"nothing of {target} waits for an approval: see `syncer status`")
        yield "result", {"approved": approved, "exit_code": 0}

    async def _wait(self, arguments: dict[str, Any]) -> Answer:
        started = time.monotonic()
        timeout = float(arguments.get("timeout", 30.0))
        code = 0
        if arguments.get("mode") != "ready":
            try:
                async with asyncio.timeout(timeout):
                    await self._until_synchronized(arguments.get("target"))
            except TimeoutError:
                code = 1
        status = await asyncio.to_thread(node_status, self._node)
        targets = [target for target in status["targets"] if arguments.get("target") in (None, target["name"])]
        if code:
            code = gravest([1, *(4 for t in targets if t["state"] == "suspended")])
        result = {
            "waited_seconds": time.monotonic() - started,
            "exit_code": code,
            "mode": status["mode"],
            "targets": targets,
        }
        yield "result", result

    async def _until_synchronized(self, target: str | None) -> None:
        production = self._production("wait --synced")
        if target is not None:
            _require_target(self._node, target)
        await production.flush()
        heads = production.heads()
        waits = [
            production.wait_acknowledged(name, domain, heads[domain])
            for name, domain in production.senders
            if target in (None, name) and domain in heads
        ]
        await asyncio.gather(*waits)

    async def _explain(self, arguments: dict[str, Any]) -> Answer:
        yield "result", await asyncio.to_thread(explain.explain, self._node, str(arguments["path"]))

    async def _leftovers(self, arguments: dict[str, Any]) -> Answer:
        async for event in leftovers(self._node, arguments):
            yield event

    async def _substitute(self, arguments: dict[str, Any]) -> Answer:
        yield "result", await asyncio.to_thread(substitute.homeward, self._node, arguments)

    async def _drift(self, arguments: dict[str, Any]) -> Answer:
        yield "result", await asyncio.to_thread(drift.drift, self._node, arguments.get("domain"))

    async def _verify(self, arguments: dict[str, Any], *, repair: bool = False) -> Answer:
        async for event in run_verification(self._node, self._production("verify"), arguments, repair=repair):
            yield event

    async def _verify_repair(self, arguments: dict[str, Any]) -> Answer:
        async for event in self._verify(arguments, repair=True):
            yield event

    async def _target_forget(self, arguments: dict[str, Any]) -> Answer:
        name = str(arguments["name"])
        yield "result", await target_forget(self._node, name, dry_run=bool(arguments.get("dry_run")))

    async def _service(self, arguments: dict[str, Any]) -> Answer:
        yield "result", await service(self._node, arguments)

    async def _events(self, arguments: dict[str, Any]) -> Answer:
        async for event in show_events(self._node, arguments):
            yield event

    async def _suspend(self, arguments: dict[str, Any]) -> Answer:
        yield "result", await suspend(self._node, self._production("suspend"), arguments)

    async def _resume(self, arguments: dict[str, Any]) -> Answer:
        async for event in resume(self._node, self._production("resume"), arguments):
            yield event

    async def _freeze(self, arguments: dict[str, Any]) -> Answer:
        yield "result", await freeze(self._node, self._production("freeze"), arguments)

    async def _thaw(self, arguments: dict[str, Any]) -> Answer:
        yield "result", await thaw(self._node, arguments)

    async def _hold_begin(self, arguments: dict[str, Any]) -> Answer:
        yield "result", await hold_begin(self._node, self._production("hold"), arguments)

    async def _hold_end(self, arguments: dict[str, Any]) -> Answer:
        yield "result", await hold_end(self._node, self._production("hold"), arguments)

    async def _invite(self, arguments: dict[str, Any]) -> Answer:
        yield "result", await invite(self._node, float(arguments.get("ttl_seconds") or 3600.0))

    async def _join(self, arguments: dict[str, Any]) -> Answer:
        yield "result", await join(self._node, str(arguments["address"]), str(arguments["token"]))

    async def _history(self, arguments: dict[str, Any]) -> Answer:
        yield "result", await asyncio.to_thread(admin_history.history, self._node, arguments)

    async def _history_save(self, arguments: dict[str, Any]) -> Answer:
        async for event in history_save(self._node, arguments):
            yield event

    async def _history_release(self, arguments: dict[str, Any]) -> Answer:
        yield "result", await history_release(self._node, arguments)

    async def _rollback(self, arguments: dict[str, Any]) -> Answer:
        yield "result", await admin_history.rollback(self._node, arguments)

    async def _trigger_list(self, _: dict[str, Any]) -> Answer:
        yield "result", await asyncio.to_thread(triggers.trigger_list, self._node)

    async def _trigger_test(self, arguments: dict[str, Any]) -> Answer:
        yield "result", await triggers.trigger_test(self._node, str(arguments["name"]))

    async def _outbox(self, _: dict[str, Any]) -> Answer:
        yield "result", await asyncio.to_thread(triggers.outbox, self._node)

    async def _outbox_change(self, arguments: dict[str, Any]) -> Answer:
        yield "result", await asyncio.to_thread(triggers.outbox_change, self._node, arguments)

    async def _procedure(self, arguments: dict[str, Any]) -> Answer:
        yield "result", await procedure(self._node, arguments)

    async def _retire(self, arguments: dict[str, Any]) -> Answer:
        self._production("retire")
        yield "result", await retire(self._node, str(arguments["name"]), dry_run=bool(arguments.get("dry_run")))

    async def _drill(self, arguments: dict[str, Any]) -> Answer:
        async for event in admin_drill(self._node, arguments):
            yield event

    async def _home_plan(self, arguments: dict[str, Any]) -> Answer:
        async for event in home_plan(self._node, arguments):
            yield event

    async def _rejoin(self, arguments: dict[str, Any]) -> Answer:
        async for event in rejoin(self._node, arguments):
            yield event

    async def _reverse(self, arguments: dict[str, Any]) -> Answer:
        async for event in reverse(self._node, arguments):
            yield event

    async def _promote(self, arguments: dict[str, Any]) -> Answer:
        async for event in promote(self._node, arguments):
            yield event

    def _production(self, command: str) -> ProductionSide:
        production = self._node.production
        if production is None or production.refusal or self._node.mode is not Mode.PRODUCTION:
            raise RefusedError(_elsewhere(self._node, command))
        return production


def _elsewhere(node: Node, command: str) -> str:
    name, mode = node.settings.node.name, node.mode
    if mode is Mode.FENCED:
        return (
            f"{name} is fenced, since another node was promoted: it sends nothing, so `syncer {command}` is refused; "
            f"run `syncer rejoin` on {name} to make it failover, and `syncer {command}` on the production node"
        )
    if mode is Mode.PRODUCTION:
        return f"{name} is just becoming production: run `syncer {command}` again"
    return (
        f"{name} is in mode {mode.value}, and `syncer {command}` works on the production node: run it there, or "
        f"`syncer promote` where {name} is to take over"
    )


def _require_target(node: Node, target: str) -> None:
    names = [settings.name for settings in node.settings.failover]
    if target not in names:
        known = ", ".join(names) or "none"
        raise ConfigurationError(f"there is no target {target!a} in the configuration (configured: {known})")
