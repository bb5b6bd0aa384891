"""Reloads the configuration of a running agent: reads it, checks it wholly, decides what changes, and does that."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from syncer.config import Settings, load, warnings_of
from syncer.errors import ConfigurationError
from syncer.health.notifier import Notifier
from syncer.node.reload_plan import Plan, plan
from syncer.node.way_home import with_way_home, without_way_home

if TYPE_CHECKING:
    from syncer.node.agent import Node

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Loaded:
    """What became of the configuration file when it was last read; `at` is in Unix seconds."""

    at: float
    """When what is in force was read."""
    error: str = ""
    """Why what was read last is not in force, a line for each error; "" where it is."""
    waiting: tuple[str, ...] = ()
    """Keys of the file that need a restart of the agent to take effect."""


class Reloading:
    """Takes a changed configuration file over when it is told to; two orders at once are one."""

    def __init__(self, node: Node, notifier: Notifier) -> None:
        """Reload `node`; `notifier` tells systemd of it."""
        self._node = node
        self._notifier = notifier
        self._ordered = asyncio.Event()
        self._only_targets = True

    def look_for_targets(self) -> None:
        """Derive the targets anew that no table names, since another node was paired; on the event loop."""
        self._ordered.set()

    def order(self) -> None:
        """Have the file read again, now or once the agent serves; for a signal's callback on the event loop."""
        self._only_targets = False
        self._ordered.set()

    async def run(self) -> None:
        """Do what is ordered; ends only by cancellation, and then never half-way through a reload."""
        while True:
            await self._ordered.wait()
            # RACE: cleared before the file is read, so that what is written later is read again.
            self._ordered.clear()
            only_targets, self._only_targets = self._only_targets, True
            if only_targets:
                await self._whole(None)
                continue
            self._notifier.reloading()
            found = await asyncio.to_thread(_read, self._node.settings.source)
            if isinstance(found, ConfigurationError):
                self._refuse(found)
            else:
                await self._whole(found)
            self._notifier.ready()
            # What was replaced lies in cycles and holds descriptors; what an idle agent allocates would not bring the
            # collector for hours. It takes milliseconds, since what was there at the start is frozen.
            gc.collect()

    def _refuse(self, error: ConfigurationError) -> None:
        self._node.loaded.error = "\n".join(error.errors)
        for line in error.errors:
            log.error("the configuration was not reloaded: %s", line)
        self._node.events.record("config.refused", error="; ".join(error.errors))

    async def _whole(self, found: Settings | None) -> None:
        doing = asyncio.create_task(self._do(found))
        try:
            await asyncio.shield(doing)
        except asyncio.CancelledError:
            # What is built half-way could not be closed. A service's reload must not hold up the end of the agent.
            if self._node.failover is not None:
                self._node.failover.end_commands()
            await asyncio.wait({doing})
            failure = doing.exception()
            if failure is not None:
                log.error("the agent ends with its configuration half reloaded: %s", failure)  # noqa: TRY400
            raise

    async def _do(self, read: Settings | None) -> None:
        """Put in force what was read; None: what is in force, with targets that are derived anew."""
        async with self._node.modes.changing:
            found = read or without_way_home(self._node.settings)
            # RACE: what is a target depends on the mode, which stands still only now.
            if self._node.production is not None:
                found = await asyncio.to_thread(with_way_home, found, self._node.store)
            production = self._node.production
            homeward = production.homeward() if production is not None else ()
            chosen = plan(self._node.settings, found, homeward)
            await self._take_over(chosen)
            if read is not None:
                self._tell(chosen)

    async def _take_over(self, chosen: Plan) -> None:
        node = self._node
        if node.production is not None:
            await node.production.reload(chosen)
        if node.failover is not None:
            await node.failover.reload(chosen)
        await asyncio.to_thread(node.alarms.change, chosen.settings)
        node.settings = chosen.settings
        node.introducing.look()

    def _tell(self, chosen: Plan) -> None:
        """Say what was read, and what of it takes effect."""
        node = self._node
        node.loaded = Loaded(time.time(), waiting=chosen.waiting)
        what = ", ".join(chosen.changed)
        log.info("the configuration was reloaded: %s", f"{what} changed" if what else "nothing changed")
        if node.production is not None and not node.production.refusal:
            for target, domain in chosen.resynchronized:
                log.warning("%s", full_sentence(target, domain))
        if chosen.waiting:
            log.warning("%s", restart_sentence(chosen.waiting))
        node.events.record("config.reloaded", changed=what, restart_needed=", ".join(chosen.waiting))


def full_sentence(target: str, domain: str) -> str:
    """Say what changed rules or patterns mean for what was edited on failover."""
    return (
        f"domain {domain} is synchronized fully with {target}, because its rules or patterns changed: "
        "what was edited or created there goes to the history"
    )


def restart_sentence(waiting: tuple[str, ...]) -> str:
    """Say which keys wait for a restart of the agent, and what to do."""
    return f"restart the agent for {', '.join(waiting)} to take effect"


def _read(file: Path) -> Settings | ConfigurationError:
    """Read the file, log what it leaves to worry about; blocking."""
    try:
        settings = load(file)
    except ConfigurationError as error:
        return error
    for warning in warnings_of(settings):
        log.warning("%s", warning)
    return settings
