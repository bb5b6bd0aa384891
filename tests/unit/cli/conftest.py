"""A fake agent that speaks the real admin protocol on a real socket, and who sits before the command line."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from syncer.admin.server import serve_admin
from syncer.cli.main import main
from syncer.errors import SyncerError
from tests.documented import examples

Answer = dict[str, Any] | SyncerError | Exception


class Typed(io.StringIO):
    """Standard input from a terminal."""

    def isatty(self) -> bool:
        return True


class FakeAgent:
    """Answers each command with the next of the answers set for it, and with the last one again and again."""

    def __init__(self, state: Path) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.progress: list[dict[str, Any]] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._state = state

    def answer(self, command: str, *answers: Answer) -> None:
        self.answers[command] = list(answers)

    async def run(self, command: str, arguments: dict[str, Any]) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        self.calls.append((command, arguments))
        answers = self.answers[command]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        for event in self.progress:
            yield "progress", event
        if isinstance(answer, Exception):
            raise answer
        yield "result", answer

    async def serve(self, started: Future[asyncio.Event]) -> None:
        stop = asyncio.Event()
        async with serve_admin(self._state, self.run):
            started.set_result(stop)
            await stop.wait()


@contextlib.contextmanager
def served(agent: FakeAgent) -> Iterator[None]:
    """Run the fake agent in a thread of its own, as another process would."""
    started: Future[asyncio.Event] = Future()
    loops: list[asyncio.AbstractEventLoop] = []

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        await agent.serve(started)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    stop = started.result(60)
    try:
        yield
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(60)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A valid configuration with a state directory in which nothing runs."""
    (tmp_path / "state").mkdir(mode=0o700)
    file = tmp_path / "syncer.toml"
    file.write_text(
        f'[node]\nname = "prod-a"\nmode = "production"\nstate = "{tmp_path / "state"}"\nlisten = "127.0.0.1:0"\n'
    )
    return file


@pytest.fixture
def agent(config: Path) -> Iterator[FakeAgent]:
    """A running fake agent of `config`'s node, which answers with the examples of docs/json.md."""
    fake = FakeAgent(config.parent / "state")
    documented = examples()
    for command in (
        "status",
        "snapshot",
        "approve",
        "wait",
        "explain",
        "invite",
        "join",
        "events",
        "suspend",
        "resume",
    ):
        fake.answer(command, documented[command])
    for command in ("history", "rollback"):
        fake.answer(command, documented[command])
    fake.answer("diff", documented["snapshot"])
    fake.answer("leftovers", documented["leftovers"])
    fake.answer("substitute", documented["substitute"] | {"mode": "failover"})
    fake.answer("verify", documented["verify"])
    fake.answer("verify_repair", documented["verify"])
    fake.answer("drift", documented["drift"])
    fake.answer("service", documented["service"])
    fake.answer("trigger_list", documented["trigger-list"])
    fake.answer("trigger_test", documented["trigger-test"])
    fake.answer("outbox", documented["outbox"])
    fake.answer("outbox_change", documented["outbox-change"])
    fake.answer("target_forget", documented["target-forget"])
    with served(fake):
        yield fake


@pytest.fixture
def run(config: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command line on `config`; returns exit code, stdout and stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(["--config", str(config), *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def run_json(run: Callable[..., tuple[int, str, str]]) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Run a command line with --json; returns exit code and document."""

    def call(*arguments: str) -> tuple[int, dict[str, Any]]:
        code, out, _ = run(*arguments, "--json")
        return code, json.loads(out)

    return call


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put this text on standard input, through a pipe."""
    return lambda text: monkeypatch.setattr(sys, "stdin", io.StringIO(text))


@pytest.fixture
def person(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sit somebody at a terminal, who gives this answer; what is shown there is captured as ever."""

    def sit(answer: str) -> None:
        monkeypatch.setattr(sys, "stdin", Typed(f"{answer}\n"))
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    return sit
