"""kill -9 between an event and its mail, at every durable step and at every word of the server's: none is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from syncer.demo.node import environment
from tests.crash.mailing import NEVER
from tests.mail_pipeline import FAILED
from tests.ports import free_port
from tests.servers import Certificate, MailBox, mail_server, make_certificate

RUN_SECONDS = 60
EXPECTED = {FAILED, f"Over: {FAILED}"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


class Killing(MailBox):
    """A mail server that kills its client before it answers."""

    def __init__(self) -> None:
        super().__init__()
        self.pid = 0
        self.point = NEVER

    def _step(self) -> None:
        self.point -= 1
        if self.point == -1:
            os.kill(self.pid, signal.SIGKILL)

    def next_answer(self, what: str) -> str:
        self._step()
        return super().next_answer(what)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        answer = await super().handle_DATA(server, session, envelope)
        # The mail is taken, and the client never hears of it.
        self._step()
        return answer


class Case:
    """One outage and its end, in a folder of its own, with processes that are killed on the way."""

    def __init__(self, folder: Path, certificate: Certificate, port: int) -> None:
        self.box = Killing()
        self._folder, self._certificate, self._port = folder, certificate, port
        folder.mkdir()

    def run(self, *, step: int = NEVER, word: int = NEVER) -> tuple[int, str]:
        """Run the process, killed at a durable step or at a word of the server's; returns its exit code and output."""
        line = [sys.executable, "-m", "tests.crash.mailing", str(self._folder), str(self._port)]
        line += [str(self._certificate.file), str(self._certificate.key), str(step)]
        with mail_server(self.box, self._port, self._certificate):
            running = subprocess.Popen(
                line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
            )
            self.box.pid, self.box.point = running.pid, word
            said, error = running.communicate(timeout=RUN_SECONDS)
        assert running.returncode in (0, -signal.SIGKILL), error
        return running.returncode, said

    def require_both_told(self, kills: int) -> None:
        """Each notice went out, and no more often than kills came: then under the same Message-ID."""
        by_id: Counter[tuple[str, str]] = Counter(
            (str(mail["Message-ID"]), str(mail["Subject"])) for mail in self.box.mails
        )
        assert {subject for _, subject in by_id} == EXPECTED, self.box.subjects
        assert len(by_id) == len(EXPECTED), f"one notice under two ids: {sorted(by_id)}"
        assert sum(by_id.values()) <= len(EXPECTED) + kills


def kill_and_finish(case: Case, **point: int) -> bool:
    """Kill at a point, let another process finish; tells whether the kill came."""
    code, _ = case.run(**point)
    was_killed = code == -signal.SIGKILL
    if was_killed:
        code, _ = case.run()
        assert code == 0
    case.require_both_told(int(was_killed))
    return was_killed


@pytest.fixture
def make_case(tmp_path: Path, certificate: Certificate) -> Callable[[str], Case]:
    return lambda name: Case(tmp_path / name, certificate, free_port())


def test_guarantee_11_a_kill_after_the_event_and_one_after_the_mail_was_taken_lose_nothing(
    make_case: Callable[[str], Case],
) -> None:
    whole = make_case("whole")
    code, said = whole.run()
    whole.require_both_told(0)
    assert code == 0
    steps = int(said)
    # Each event, each matching, each record of a mail is a transaction of three steps.
    assert steps >= 3 * 6
    taken = make_case("taken")
    # MAIL, RCPT, DATA, taken: the process dies before it hears of the last.
    assert kill_and_finish(taken, word=3)
    assert len(taken.box.mails) == len(EXPECTED) + 1
    assert kill_and_finish(make_case("middle"), step=steps // 2)


@pytest.mark.soak
def test_guarantee_11_a_kill_at_any_durable_step_or_word_loses_no_mail(make_case: Callable[[str], Case]) -> None:
    """Every step until a run reaches its end unkilled: one more than there are."""
    steps = words = 0
    while kill_and_finish(make_case(f"step-{steps}"), step=steps):
        steps += 1
    while kill_and_finish(make_case(f"word-{words}"), word=words):
        words += 1
    assert steps >= 3 * 6
    assert words == 4 * len(EXPECTED)


@pytest.mark.soak
def test_guarantee_11_a_kill_in_every_life_loses_no_mail(make_case: Callable[[str], Case]) -> None:
    """One process after another, each killed a step later than the one before, over the same state."""
    case = make_case("lives")
    kills = 0
    while case.run(step=kills)[0] == -signal.SIGKILL:
        kills += 1
    case.require_both_told(kills)
    assert kills >= 5
