from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from syncer.cli.logs import log_as_agent, log_as_command

log = logging.getLogger("syncer.test")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Put back what the tests change in the process's logging."""
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    yield
    for handler in list(root.handlers):
        root.removeHandler(handler)
    for handler in before[1]:
        root.addHandler(handler)
    root.setLevel(before[0])
    for name in ("syncer", "watchdog"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def test_a_command_says_faults_in_a_sentence_and_leaves_warnings_to_its_result(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log_as_command()
    log.warning("refused")
    log.error("a part \x1b failed", exc_info=ZeroDivisionError("oh"))
    assert capsys.readouterr().err == "syncer: a part \\x1b failed (ZeroDivisionError('oh'))\n"


def test_an_agent_logs_lines_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    log_as_agent(verbose=False, as_json=False)
    log.debug("a step")
    log.info("it serves")
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith(" INFO it serves")


def test_an_agent_logs_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    log_as_agent(verbose=True, as_json=True)
    log.debug("a step \udcff")
    [line] = capsys.readouterr().err.splitlines()
    document = json.loads(line)
    assert document.pop("time").endswith("+00:00")
    assert document == {"level": "debug", "part": "syncer.test", "message": "a step \udcff"}
