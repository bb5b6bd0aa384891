"""Cures: each names what helps, with a command that exists, as it is to be typed."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from syncer.cli.main import cli
from syncer.events.catalogue import CATALOGUE
from syncer.events.cures import cure_of
from syncer.events.notice import RECOVERY
from syncer.events.samples import sample_variables
from syncer.events.states import STATES
from tests.unit.events.conftest import FAILED, notice

NOTHING_TO_DO = {
    *("promoted", "demoted", "reversed", "thawed", "procedure.started", "procedure.finished"),
    *("target.resumed", "target.caught_up", "peer.heard", "clock.agreed", "problem.cleared", "watch.restored"),
    *("pairing.joined", "peer.introduced", "peer.retired", "config.reloaded", "service.started", "service.stopped"),
}
CLASSES = ["unreachable", "refused", "waiting", "disk full", "check failed", "protocol", "internal", "of the future"]


def commands_of(cure: str) -> list[str]:
    return [command for command in re.findall(r"`([^`]*)`", cure) if command.startswith("syncer ")]


def require_that_it_can_be_typed(command: str) -> None:
    """Let click take the words apart: it refuses commands, arguments and options that there are none of."""
    words = shlex.split(command)[1:]
    if words == ["--version"]:
        return
    found: click.Command = cli
    while isinstance(found, click.Group):
        inner = found.get_command(click.Context(found), words[0])
        assert inner is not None, f"{command}: there is no such command"
        found, words = inner, words[1:]
    found.make_context(command, words)


@pytest.mark.parametrize("event", CATALOGUE)
def test_every_event_that_needs_somebody_has_a_cure_whose_commands_exist(event: str) -> None:
    variables = sample_variables(event, "prod-a")
    cure = cure_of(event, variables)
    assert bool(cure) != (event in NOTHING_TO_DO), cure
    assert "{" not in cure
    for command in commands_of(cure):
        require_that_it_can_be_typed(command)
        if " --domain" in command:
            assert f"--domain {variables['domain']}" in command
    if "target" in variables and event in STATES and event != "problem":
        assert str(variables["target"]) in cure or event == "check.failed"


@pytest.mark.parametrize("error_class", CLASSES)
def test_a_failure_is_cured_by_what_it_is(error_class: str) -> None:
    variables = {**FAILED, "error_class": error_class}
    cure = cure_of("sync", variables)
    assert cure
    for command in commands_of(cure):
        require_that_it_can_be_typed(command)
    if error_class in ("disk full", "protocol", "internal"):
        assert "`syncer resume dr-a --domain nginx` on prod-a" in cure
    assert cure_of("sync", {**FAILED, "success": True, "error_class": ""}) == ""


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("unreachable", "look whether the agent of dr-a runs, with `syncer status` there"),
        ("suspended", "`syncer resume dr-a --domain nginx` on prod-a"),
        ("streaming", "`syncer wait dr-a` on prod-a"),
        ("full", "`syncer wait dr-a` on prod-a"),
    ],
)
def test_a_target_that_is_behind_is_cured_by_its_state(state: str, said: str) -> None:
    variables = {**sample_variables("target.behind", "prod-a"), "state": state}
    assert said in cure_of("target.behind", variables)


def test_a_cure_is_meant_to_be_typed() -> None:
    cure = cure_of("brake.engaged", {"target": "a b; rm -rf", "domain": "", "node": "{target} `x`"})
    assert "`syncer diff 'a b; rm -rf'` on {target} `x`" in cure
    assert "`syncer drift` on" in cure_of("drift.detected", {"node": "n", "domain": ""})


def test_an_end_has_no_cure() -> None:
    assert notice().document()["cure"]
    assert notice(kind=RECOVERY).document()["cure"] == ""
