from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from syncer import __version__
from syncer.cli import lazy
from syncer.cli.invocation import GOES_ON, Invocation
from syncer.cli.main import COMMANDS, cli, main
from syncer.errors import ConfigurationError, RefusedError, UnreachableError
from tests.documented import examples

Run = Callable[..., tuple[int, str, str]]
HEAVY = ("grpc", "google.protobuf", "pydantic", "rich", "cryptography", "asyncio", "sqlite3", "watchdog")


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys, json\nfrom syncer.cli.main import main\nmain(['--help'])\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "snapshot" in done.stdout
    loaded = set(json.loads(done.stderr))
    assert loaded & set(HEAVY) == set()
    assert not any(name.startswith("syncer.cli.") and name.rpartition(".")[2] in COMMANDS for name in loaded)


def test_every_command_can_be_loaded_and_the_list_says_what_it_does() -> None:
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.help or isinstance(command, click.Group)
        assert COMMANDS[name].summary.endswith(".")


def test_every_command_that_does_something_takes_json() -> None:
    def walk(group: click.Group) -> list[click.Command]:
        context = click.Context(group)
        found = [group.get_command(context, name) for name in group.list_commands(context)]
        return [
            leaf
            for item in found
            if item is not None
            for leaf in (walk(item) if isinstance(item, click.Group) else [item])
        ]

    for command in walk(cli):
        assert "--json" in [option for parameter in command.params for option in parameter.opts], command.name


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"syncer {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["status", "--nonsense"], ["approve"], [], ["wait", "--timeout", "x"]]
)
def test_usage_errors_exit_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert "syncer" in captured.err


def test_a_usage_error_with_json_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["approve", "--json"]) == 2
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["exit_code"] == 2
    assert "Missing argument 'TARGET'" in document["error"]
    assert captured.err == f"syncer: {document['error']}\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [(RefusedError("refused"), 4), (UnreachableError("away"), 5), (ConfigurationError("a"), 2)],
)
def test_the_agents_failures_keep_their_exit_codes(agent: Any, run: Run, error: Exception, code: int) -> None:
    agent.answer("status", error)
    assert run("status") == (code, "", f"syncer: {error}\n")


def test_several_configuration_errors_are_a_line_each(agent: Any, run: Run) -> None:
    agent.answer("snapshot", ConfigurationError("one", "two"))
    code, out, err = run("snapshot", "--json")
    assert (code, err) == (2, "syncer: one\nsyncer: two\n")
    assert json.loads(out) == {"error": "one\ntwo", "exit_code": 2}


def test_a_message_cannot_steer_the_terminal(agent: Any, run: Run) -> None:
    agent.answer("status", RefusedError("bad name \x1b[2J"))
    assert run("status")[2] == "syncer: bad name \\x1b[2J\n"


def test_a_fault_in_syncer_is_one_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Invocation) -> None:
        raise ZeroDivisionError("oh\nno")

    monkeypatch.setattr(Invocation, "settings", broken)
    code, out, err = run("diff", "--json")
    assert code == 1
    assert err.startswith("syncer: internal error: ZeroDivisionError: oh no (this is a fault in syncer;")
    assert len(err.splitlines()) == 1
    assert json.loads(out)["exit_code"] == 1
    monkeypatch.setenv("SYNCER_DEBUG", "1")
    assert "Traceback" in run("diff")[2]


def test_interrupted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: Invocation) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Invocation, "settings", interrupted)
    code, out, err = run("diff")
    assert (code, out, err.strip()) == (1, "", "syncer: interrupted")


def test_a_missing_configuration_says_how_to_write_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(tmp_path / "none.toml"), "status"]) == 2
    assert "syncer init" in capsys.readouterr().err


def test_a_reader_that_leaves_early_is_no_fault(agent: Any, config: Path) -> None:
    agent.answer("diff", {"targets": [], "exit_code": 0, "padding": "x" * 1_000_000})
    command = [sys.executable, "-m", "syncer", "--config", str(config), "diff", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait(30) == 1


def test_a_deferred_command_that_is_none_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    group = lazy.LazyGroup("x", {}, callback=lambda: None, params=[], doc="")
    assert group.get_command(click.Context(group), "missing") is None


def test_a_file_with_errors_is_told_once_and_the_running_agent_is_asked(agent: Any, run: Run, config: Path) -> None:
    config.write_text(config.read_text("utf-8") + "[domains.x]\npath = 7\n", "utf-8")
    assert run("resume", "dr-a", "--yes")[2].count(GOES_ON) == 1
    assert run("events")[0] == 0
    # Not yet seen by the agent: said here. Seen: in the text of the status, and there alone.
    assert "domains.x.path" in run("status")[2]
    document = examples()["status"]
    with pytest.raises(ConfigurationError) as caught:
        Invocation(config).settings()
    document["configuration"]["error"] = "\n".join(caught.value.errors)
    agent.answer("status", document)
    _, out, err = run("status")
    assert ("domains.x.path" in out, "domains.x.path" in err) == (True, False)
    asked = [command for command, _ in agent.calls]
    assert run("join", "10.0.0.1:7443", "token")[0] == 2
    assert run("substitute", "/etc/hosts")[0] == 2
    assert [command for command, _ in agent.calls] == asked


def test_a_file_with_errors_refuses_without_an_agent(run: Run, config: Path) -> None:
    config.write_text(config.read_text("utf-8") + "[domains.x]\npath = 7\n", "utf-8")
    for command in ("status", "events", "wait"):
        code, _, err = run(command)
        assert (code, "domains.x.path" in err, GOES_ON in err) == (2, True, False)
