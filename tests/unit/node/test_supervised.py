"""Tasks that are ended and begun anew by name: the others of the group neither stop nor hear of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from syncer.node.supervised import Supervised


class Works:
    """Counts what runs."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []

    def of(self, name: str) -> Callable[[], Coroutine[Any, Any, None]]:
        async def run() -> None:
            self.begun.append(name)
            try:
                await asyncio.Event().wait()
            finally:
                self.ended.append(name)

        return run


@pytest.mark.asyncio
async def test_one_ends_and_begins_anew_beside_the_others() -> None:
    works, supervised = Works(), Supervised[str]()

    async def swap(group: asyncio.TaskGroup) -> None:
        await asyncio.sleep(0)
        await supervised.end(["one", "unknown"])
        assert works.ended == ["one"]
        supervised.begin("one", works.of("one again"))
        await asyncio.sleep(0)
        assert works.begun == ["one", "two", "one again"]
        assert works.ended == ["one"]
        await supervised.end(["one", "two"])

    async with asyncio.TaskGroup() as group:
        supervised.open(group)
        for name in ("one", "two"):
            supervised.begin(name, works.of(name))
        group.create_task(swap(group))
    assert works.ended == ["one", "one again", "two"]


@pytest.mark.asyncio
async def test_one_that_fails_ends_the_group() -> None:
    works, supervised = Works(), Supervised[str]()

    async def fail() -> None:
        raise ValueError("broken")

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            supervised.open(group)
            supervised.begin("one", works.of("one"))
            supervised.begin("two", fail)

    with pytest.raises(ExceptionGroup) as caught:
        await run()
    assert caught.group_contains(ValueError, match="broken")
    assert works.ended == ["one"]


@pytest.mark.asyncio
async def test_nothing_begins_before_the_group_nor_after_it() -> None:
    works, supervised = Works(), Supervised[str]()
    supervised.begin("early", works.of("early"))
    async with asyncio.TaskGroup() as group:
        supervised.open(group)
    supervised.begin("late", works.of("late"))
    await asyncio.sleep(0)
    assert works.begun == []
