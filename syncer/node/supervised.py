"""Tasks of one task group, by name: each may be ended, and another begun under its name, while the others go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Hashable
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Supervised(Generic[Key]):
    """The tasks of a part that runs for as long as its group; a task that fails ends the group, as in any other."""

    def __init__(self) -> None:
        self._group: asyncio.TaskGroup | None = None
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._stopped = False

    def open(self, group: asyncio.TaskGroup) -> None:
        """Begin tasks in `group` from now on."""
        self._group = group

    def begin(self, key: Key, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin a task; without a group nothing runs, and its owner begins all when there is one."""
        if self._group is None or self._stopped:
            return
        assert key not in self._tasks or self._tasks[key].done(), f"{key!r} runs already"
        running = work()
        try:
            self._tasks[key] = self._group.create_task(running)
        except RuntimeError:
            # RACE: a part has failed, or the node stops, and the group takes no more: nothing is to run then.
            running.close()

    async def end(self, keys: Collection[Key]) -> None:
        """Cancel tasks and return when they have ended."""
        ending = [task for key in keys if (task := self._tasks.pop(key, None)) is not None]
        for task in ending:
            task.cancel()
        # What a task fails with is its group's affair.
        await asyncio.gather(*ending, return_exceptions=True)

    def stop(self) -> None:
        """Cancel every task, and begin none any more; returns at once."""
        self._stopped = True
        for task in self._tasks.values():
            task.cancel()

    async def stopped(self) -> None:
        """Return when every task has ended that `stop` has cancelled."""
        await self.end(list(self._tasks))
