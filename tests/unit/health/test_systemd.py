"""What systemd is told, over real datagram sockets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from syncer.errors import StateError
from syncer.health import systemd
from syncer.health.notifier import LONGEST_STATUS, Notifier
from syncer.health.systemd import Systemd


@pytest.fixture(params=["file", "abstract"])
def channel(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """Return what NOTIFY_SOCKET says, and the end that systemd has."""
    name = f"@syncer-test-{secrets.token_hex(8)}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("\0" + name[1:] if name.startswith("@") else name)
        receiver.settimeout(20)
        yield name, receiver


def test_what_is_said(channel: tuple[str, socket.socket]) -> None:
    name, receiver = channel
    notifier = Notifier.of_environment({"NOTIFY_SOCKET": name})
    notifier.ready()
    assert receiver.recv(4096) == b"READY=1"
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.reloading()
    kind, moment = receiver.recv(4096).split(b"\n")
    assert kind == b"RELOADING=1"
    assert moment.startswith(b"MONOTONIC_USEC=")
    assert before <= int(moment.partition(b"=")[2]) <= before + 20e6
    notifier.stopping()
    assert receiver.recv(4096) == b"STOPPING=1"
    notifier.moves()
    assert receiver.recv(4096) == b"WATCHDOG=1"


def test_a_status_is_one_bounded_line(channel: tuple[str, socket.socket]) -> None:
    name, receiver = channel
    Notifier(name).status("dr-a lacks 3 changes\nREADY=1\x1b[31m in café" + "x" * 2000)
    said = receiver.recv(65536).decode()
    assert said.startswith("STATUS=dr-a lacks 3 changes?READY=1?[31m in café")
    assert len(said) == len("STATUS=") + LONGEST_STATUS


@pytest.mark.parametrize(
    ("environment", "watchdog"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({"WATCHDOG_USEC": "-5"}, 0.0),
    ],
)
def test_the_watchdog_that_is_asked_for(environment: dict[str, str], watchdog: float) -> None:
    assert Notifier.of_environment({"NOTIFY_SOCKET": "/run/x"} | environment).watchdog == watchdog


def test_without_systemd_nothing_is_sent() -> None:
    notifier = Notifier.of_environment({"WATCHDOG_USEC": "1000000"})
    assert (notifier.address, notifier.watchdog) == ("", 0.0)
    notifier.ready()


def test_a_socket_that_is_none_is_said_and_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    assert Notifier.of_environment({"NOTIFY_SOCKET": "vsock:2:1234"}).address == ""
    assert "NOTIFY_SOCKET is no Unix socket" in caplog.text


def test_a_listener_that_is_gone_ends_nothing_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notifier = Notifier(str(tmp_path / "nobody"))
    for _ in range(3):
        notifier.moves()
    assert [record.levelno for record in caplog.records if record.levelno >= logging.WARNING] == [logging.WARNING]


def test_a_full_queue_blocks_nobody(tmp_path: Path) -> None:
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(name)
        notifier = Notifier(name)
        began = time.monotonic()
        for _ in range(2000):
            notifier.moves()
        assert time.monotonic() - began < 60


class Heard(Notifier):
    """Keeps what would be sent."""

    def __init__(self, watchdog: float) -> None:
        super().__init__("@nobody", watchdog)
        self.messages: list[str] = []
        self.news = asyncio.Event()

    def send(self, message: str, patience: float = 0.0) -> None:
        self.messages.append(message)
        self.news.set()

    async def until(self, condition: Callable[[list[str]], object]) -> None:
        async with asyncio.timeout(20):
            while not condition(self.messages):
                self.news.clear()
                await self.news.wait()


@contextlib.asynccontextmanager
async def running(part: Systemd) -> AsyncIterator[None]:
    task = asyncio.create_task(part.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_the_watchdog_is_fed_only_while_everything_moves(caplog: pytest.LogCaptureFixture) -> None:
    stalled: list[str] = []
    asked = 0
    heard = Heard(0.02)

    def reasons() -> list[str]:
        nonlocal asked
        asked += 1
        heard.news.set()
        return list(stalled)

    async def sentence() -> str:
        return "nothing would be lost"

    async def scenario() -> None:
        async with running(Systemd(heard, reasons, sentence)):
            await heard.until(lambda said: said.count("WATCHDOG=1") >= 3)
            stalled.append("capture of domain nginx has ended")
            fed, seen = heard.messages.count("WATCHDOG=1"), asked
            await heard.until(lambda _: asked >= seen + 10)
            assert heard.messages.count("WATCHDOG=1") == fed
            stalled.clear()
            await heard.until(lambda said: said.count("WATCHDOG=1") > fed)

    asyncio.run(scenario())
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert told == ["systemd's watchdog is not fed any more: capture of domain nginx has ended"]


def test_no_watchdog_is_fed_where_systemd_asks_for_none() -> None:
    async def sentence() -> str:
        return "nothing would be lost"

    async def scenario() -> None:
        heard = Heard(0.0)
        async with running(Systemd(heard, list, sentence)):
            await heard.until(lambda said: said)
        assert heard.messages == ["STATUS=nothing would be lost"]

    asyncio.run(scenario())


def test_the_line_follows_the_status_and_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "STATUS_EVERY", 0.005)
    lines = iter(["one", "one", "two"])
    looks = 0
    heard = Heard(0.0)

    async def sentence() -> str:
        nonlocal looks
        looks += 1
        heard.news.set()
        line = next(lines, None)
        if line is None:
            raise StateError("node.db: is damaged")
        return line

    async def scenario() -> None:
        async with running(Systemd(heard, list, sentence)):
            await heard.until(lambda said: len(said) == 3)
            seen = looks
            await heard.until(lambda _: looks >= seen + 3)
        assert heard.messages == ["STATUS=one", "STATUS=two", "STATUS=node.db: is damaged"]

    asyncio.run(scenario())


def test_what_has_changed_is_told_at_once() -> None:
    heard = Heard(0.0)
    mode = ["production"]

    async def sentence() -> str:
        return mode[0]

    async def scenario() -> None:
        part = Systemd(heard, list, sentence)
        async with running(part):
            await heard.until(lambda said: said == ["STATUS=production"])
            mode[0] = "fenced"
            began = time.monotonic()
            part.look()
            await heard.until(lambda said: said == ["STATUS=production", "STATUS=fenced"])
            assert time.monotonic() - began < systemd.STATUS_EVERY / 2

    asyncio.run(scenario())
