"""Commands always come to an end: with an agent that is frozen or starting, and with a node that was never made."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from syncer.admin.client import SILENT_SECONDS, agent_answers
from syncer.state.lock import holder_of
from tests.e2e.harness import Node, free_port, wait_until

QUESTIONS = (("trigger", "list"), ("events", "--follow"), ("outbox",), ("snapshot",))
MORE = (
    ("status",),
    ("status", "--watch"),
    ("trigger", "test", "nothing"),
    ("events",),
    ("outbox", "--retry", "--all"),
    ("explain", "/"),
    ("verify",),
    ("wait",),
    ("resume", "dr-a"),
    ("hold", "tree", "--", "true"),
)


@pytest.fixture
def alone(tmp_path: Path) -> Node:
    """A production node without targets, initialised, whose agent does not run."""
    node = Node(tmp_path / "production", "prod-a", "production", free_port())
    node.init(f'[domains.tree]\npath = "{node.root}"\n')
    return node


def asked(node: Node, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(node._line(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("questions", [QUESTIONS, pytest.param(MORE, marks=pytest.mark.soak)], ids=["some", "more"])
def test_guarantee_11_a_frozen_agent_hangs_no_command(alone: Node, questions: tuple[tuple[str, ...], ...]) -> None:
    alone.start()
    try:
        alone.pause()
        asking = {question: asked(alone, *question) for question in questions}
        try:
            for question, process in asking.items():
                _, said = process.communicate(timeout=SILENT_SECONDS + 60)
                assert process.returncode == 5, (question, said)
                assert f"for {SILENT_SECONDS:g} s: it is blocked, or the machine is; see its log" in said, question
        finally:
            for process in asking.values():
                process.kill()
                process.wait()
        alone.resume()
        wait_until(lambda: alone.cli("trigger", "list", check=False).returncode == 0, 30, "it answered again")
    finally:
        alone.end()


@pytest.mark.soak
def test_guarantee_11_whoever_follows_a_quiet_agent_is_not_ended(alone: Node) -> None:
    """Nothing happens for longer than an agent may say nothing; then something does."""
    alone.start()
    following = asked(alone, "events", "--follow", "--event", "config.reloaded")
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            following.wait(SILENT_SECONDS + 2)
    finally:
        following.kill()
        _, said = following.communicate()
        alone.end()
    assert said == ""


def test_a_status_while_the_agent_starts_waits_for_it_and_keeps_it_from_nothing(alone: Node) -> None:
    # It may come before the agent has taken the state, between that and its socket, or after both.
    moments = (lambda: True, lambda: holder_of(alone.state) is not None, lambda: agent_answers(alone.state))
    for has_come in moments:
        with alone.log.open("ab") as log:
            alone.process = subprocess.Popen(alone._line("agent"), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_until(has_come, 30, "the moment had come")
            done = [asked(alone, "status", "--json") for _ in range(2)]
            for process in done:
                _, said = process.communicate(timeout=60)
                # 5: it had ended before the agent began.
                assert process.returncode in (3, 5), said
                assert "is used by" not in said
            assert alone.process.poll() is None, alone.last_words()
        finally:
            alone.kill()


def test_a_node_that_was_never_made_is_a_step_that_was_left_out(tmp_path: Path) -> None:
    node = Node(tmp_path / "production", "prod-a", "production", free_port())
    node.write_configuration(f'[domains.tree]\npath = "{node.root}"\n')
    node.root.mkdir()
    for made in (False, True):
        if made:
            # As a package does it.
            node.state.mkdir()
        for command in ("status", "snapshot", "events", "agent"):
            said = node.cli(command, check=2).stderr
            assert said == f"syncer: {node.state}: there is no node yet; make one with `syncer init`\n"
    assert list(node.state.iterdir()) == []


def test_a_production_that_protects_nothing_is_not_green(alone: Node) -> None:
    alone.start()
    try:
        wait_until(lambda: alone.status()["domains"][0]["state"] == "watching", 20, "the tree was scanned")
        assert "there is nothing to fail over to" in alone.cli("status", check=3).stdout
    finally:
        alone.end()
