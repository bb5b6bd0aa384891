from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from syncer.cli.main import main
from tests.documented import deviations, examples

Run = Callable[..., tuple[int, str, str]]
RunJson = Callable[..., tuple[int, dict[str, Any]]]

EQUAL = {
    "name": "nginx", "outcome": "equal", "changes": 0, "bytes": 0, "seconds": 0.03, "error": "",
    "exit_code": 0, "approval": None, "plan": [], "plan_total": 0, "unsent": [],
}  # fmt: skip  # a table


@pytest.mark.parametrize(
    ("arguments", "command", "sent"),
    [
        (["status"], "status", {}),
        (
            ["diff", "dr-a", "--domain", "a", "--domain", "b"],
            "diff",
            {"target": "dr-a", "domains": ["a", "b"]},
        ),
        (["snapshot", "--dry-run"], "snapshot", {"target": None, "domains": [], "dry_run": True}),
        (["history"], "history", {"domain": None, "generation": None}),
        (["history", "nginx", "89"], "history", {"domain": "nginx", "generation": 89}),
        (["verify", "dr-a", "--domain", "a"], "verify", {"target": "dr-a", "domains": ["a"]}),
        (["drift", "a"], "drift", {"domain": "a"}),
        (
            ["leftovers", "dr-a", "--address", "10.0.1.10", "--address", "web01", "--domain", "a"],
            "leftovers",
            {"target": "dr-a", "addresses": ["10.0.1.10", "web01"], "domains": ["a"]},
        ),
        (
            ["substitute", "--reverse", "/etc/x"],
            "substitute",
            {"paths": ["/etc/x"], "target": None, "reverse": True, "diff": False, "contents": False},
        ),
        (["explain", "/etc/x"], "explain", {"path": "/etc/x"}),
        (["invite", "--ttl", "90s"], "invite", {"ttl_seconds": 90.0}),
        (["join", "h:1", "t"], "join", {"address": "h:1", "token": "t"}),
        (
            ["events", "--since", "2026-01-31T12:00:00+00:00", "--event", "sync", "--limit", "5"],
            "events",
            {"follow": False, "since": 1769860800.0, "names": ["sync"], "limit": 5},
        ),
    ],
)
def test_each_command_sends_what_was_asked_and_prints_what_came(
    agent: Any, run_json: RunJson, arguments: list[str], command: str, sent: dict[str, Any]
) -> None:
    answer = agent.answers[command][0]
    assert run_json(*arguments) == (answer.get("exit_code", 0), answer)
    assert agent.calls == [(command, sent)]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["status"], "failing over to dr-a now would lose 3 changes in nginx, the oldest 41 s old"),
        (["snapshot", "--dry-run"], "2 addresses of production still stand on dr-a in 3 files: see `syncer leftovers"),
        (["leftovers"], "dr-a: 1 address of production in 1 file (312 files searched)"),
        (["leftovers"], "  10.0.1.11: no rule names it\n    nginx conf.d/api.conf:7\n"),
        (["leftovers"], '  [[failover.substitute]]\n  from = "10.0.1.11"\n'),
        (["leftovers"], "  nginx conf.d/secret: not searched: Permission denied"),
        (["substitute", "--reverse", "/x"], "/etc/nginx/nginx.conf → dr-a: 1 replacement\n"),
        (["substitute", "--reverse", "/x"], "  line 12: 10.1.2.3 → 10.2.2.3, by 10.1.0.0/16 → 10.2.0.0/16"),
        (["explain", "/x"], "  rendered for dr-a by 1 rule (1 replacement)\n"),
        (["explain", "/x"], "rendered by production's substitution rules from other bytes (1.4 KiB there)\n"),
        (["diff"], "dr-a nginx: refused: the synchronization would delete 2 and overwrite 1 paths on dr-a"),
        (["snapshot", "--dry-run"], "  update   file      nginx.conf (1.4 KiB)"),
        (["explain", "/x"], "dr-a: acknowledged (target at seq 1210)"),
        (["invite"], "syncer join 10.0.2.10:7443 syncer1-…"),
        (["join", "h:1", "t"], "paired with dr-a as target dr-a"),
        (["history"], "nginx: at generation 89, 471 KiB of 1.0 GiB kept"),
        (["history"], "can go back to 69 up to 88"),
        (["history"], "  rolled back to 87 by alice at "),
        (["history", "nginx", "89"], "  nginx.conf was a file, 0644 root:root, 1.4 KiB"),
        (["rollback", "nginx", "87", "--yes"], "nginx is back at generation 87: 1 path changed"),
        (["events"], "watch.degraded node=prod-a domain=nginx reason=…"),
        (["suspend", "dr-a"], "dr-a nginx: suspended by a person since"),
        (["resume", "dr-a"], "dr-a haproxy is still suspended: held since"),
        (["status"], "hold: nginx since 12 s by `make install`, process 4712"),
        (["wait"], "everything captured so far has arrived"),
        (["target", "forget", "dr-b", "--yes"], "dr-b is forgotten"),
        (["approve", "dr-a", "--yes"], "dr-a nginx: approved 2 deletions and 1 overwrite"),
    ],
)
def test_each_command_says_it_in_words(agent: Any, run: Run, arguments: list[str], expected: str) -> None:
    assert expected in run(*arguments)[1]
    assert agent.calls


def test_names_that_are_not_utf8_are_shown_with_escapes(agent: Any, run: Run) -> None:
    result = examples()["explain"]
    result["path"] = "/etc/\udcff"
    agent.answer("explain", result)
    code, out, _ = run("explain", os.fsdecode(b"/etc/\xff"))
    assert code == 0
    assert "/etc/\\xff is synchronized" in out
    assert agent.calls == [("explain", {"path": "/etc/\udcff"})]


def test_explain_takes_relative_paths_from_where_the_operator_stands(
    agent: Any, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run("explain", "conf/../x")
    assert agent.calls == [("explain", {"path": str(tmp_path / "x")})]


def test_join_reads_the_token_from_standard_input(agent: Any, run: Run, piped: Callable[[str], None]) -> None:
    piped("secret\n")
    assert run("join", "h:1", "-")[0] == 0
    assert agent.calls == [("join", {"address": "h:1", "token": "secret"})]
    piped("")
    assert run("join", "h:1", "-")[0] == 2


@pytest.mark.parametrize(("flags", "mode"), [([], "synced"), (["--synced"], "synced"), (["--ready"], "ready")])
def test_wait_asks_for_what_is_left_of_the_time(agent: Any, run: Run, flags: list[str], mode: str) -> None:
    assert run("wait", "dr-a", *flags, "--timeout", "5s")[0] == 0
    [(name, sent)] = agent.calls
    assert (name, sent["mode"], sent["target"]) == ("wait", mode, "dr-a")
    assert 0 < sent["timeout"] <= 5


def test_wait_past_its_time_says_what_is_behind(agent: Any, run: Run) -> None:
    agent.answer("wait", {**examples()["wait"], "exit_code": 1, "targets": examples()["status"]["targets"]})
    code, out, err = run("wait", "--timeout", "1s")
    assert (code, out) == (1, "")
    assert "not everything has arrived within 1.0 s" in err
    assert "dr-a nginx: 3 changes behind, streaming" in err


def test_wait_without_an_agent_is_unreachable(run: Run) -> None:
    code, _, err = run("wait", "--ready", "--timeout", "10ms")
    assert code == 5
    assert "start it with `syncer agent`" in err


def test_progress_is_nowhere_in_json_and_rare_on_pipes(agent: Any, run: Run) -> None:
    agent.progress = [examples()["progress"]] * 100
    assert run("diff", "--json")[2] == ""
    assert len(run("diff")[2].splitlines()) <= 1


def test_init_writes_once_and_keeps_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, state = tmp_path / "new" / "syncer.toml", tmp_path / "state"
    start = ["--config", str(file), "init", "--json"]
    options = ["--name", "a", "--mode", "failover", "--state", str(state), "--listen", "127.0.0.1:0"]
    assert main([*start, *options]) == 0
    first = json.loads(capsys.readouterr().out)
    assert deviations(examples()["init"], first) == []
    assert first["config_written"]
    text = file.read_text()
    assert 'listen = "127.0.0.1:0"' in text
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert stat.S_IMODE((state / "identity.key").stat().st_mode) == 0o600
    assert main(start) == 0
    assert json.loads(capsys.readouterr().out) == first | {"config_written": False}
    assert main([*start, "--mode", "production", "--name", "b"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert "leave --name out" in errors[0]
    assert file.read_text() == text


def test_init_wants_to_know_the_mode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(tmp_path / "c.toml"), "init"]) == 2
    assert "--mode" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_config_check(config: Path, run: Run, run_json: RunJson) -> None:
    code, document = run_json("config", "check")
    assert code == 0
    assert deviations(examples()["config-check"], document) == []
    assert document["warnings"]
    config.write_text('[node]\nname = "a"\nmode = "x"\nnonsense = 1\nlisten = "nowhere"\n')
    code, out, err = run("config", "check")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 3
    code, document = run_json("config", "check")
    assert (code, len(document["errors"])) == (2, 3)


def test_followed_events_are_a_line_each(agent: Any, run: Run) -> None:
    event = examples()["events"]["events"][0]
    agent.progress = [event, event | {"id": 4712}]
    agent.answer("events", {"exit_code": 0})
    code, out, _ = run("events", "--follow", "--json")
    assert (code, [json.loads(line)["id"] for line in out.splitlines()]) == (0, [4711, 4712])
    assert agent.calls == [("events", {"follow": True, "since": None, "names": [], "limit": 10})]
    assert len(run("events", "--follow")[1].splitlines()) == 2


def test_a_moment_that_is_none_is_a_usage_error(run: Run) -> None:
    code, _, error = run("events", "--since", "yesterday")
    assert code == 2
    assert "neither a duration" in error


def test_drift_says_who_wins(agent: Any, run: Run) -> None:
    code, out, _ = run("drift")
    assert code == 3
    assert "1 path edited here: each stays until production changes its path" in out
    assert "edited     nginx.conf" in out
    assert "overwritten by the next full synchronization" in out


def test_the_doctor_uses_signs_on_a_terminal_and_words_elsewhere(run: Run, config: Path) -> None:
    from syncer.cli.doctor import lines_of

    lines = list(lines_of(examples()["doctor"], signs=True))
    assert lines[0] == "files that nobody synchronizes"
    assert click.unstyle(lines[1]).startswith("  ! /etc/ssl/private/x.key: read by ")
    assert lines[2] == "0 errors, 1 warning"
    code, out, _ = run("doctor")
    assert code == 1
    assert "  error   " in out
    assert "there is none, so nothing is synchronized" in out
    assert all(sign not in out for sign in "✓·✗")


@pytest.mark.parametrize(
    ("action", "ended", "code", "said"),
    [
        ("status", "0", 0, "nginx: status: running"),
        ("status", "3", 3, "nginx: status: stopped"),
        ("stop", "time limit", 1, "nginx: stop: failed (systemctl start nginx: time limit"),
        ("check", "1", 1, "nginx: check: failed"),
    ],
)
def test_an_action_says_how_it_ended(agent: Any, run: Run, action: str, ended: str, code: int, said: str) -> None:
    answer = {"action": action, "exit": ended, "exit_code": code, "output": "line 1\nline\x1b 2"}
    agent.answer("service", examples()["service"] | answer)
    found, out, err = run("service", action, "nginx")
    assert (found, said in out) == (code, True)
    assert "line 1\nline" in err
    assert "\x1b" not in err
    assert len(agent.calls) == 1
    assert run("service", "destroy", "nginx")[0] == 2


def test_a_wrong_address_is_refused_before_anything_is_asked(agent: Any, run: Run) -> None:
    code, out, err = run("leftovers", "--address", "10.0.0")
    assert (code, out, agent.calls) == (2, "", [])
    assert "--address '10.0.0'" in err
    assert err.count("\n") == 1


def test_leftovers_are_grouped_by_address_and_reason(agent: Any, run: Run, run_json: RunJson) -> None:
    answer = examples()["leftovers"]
    [place] = answer["targets"][0]["found"]
    places = [place | {"line": line, "text": "10.0.1.11" if line > 1 else "10.0.1.011"} for line in range(1, 1006)]
    other = place | {"line": 0, "why": "the file is binary, which is left alone"}
    answer["targets"][0] |= {"found": [*places, other], "total": 1006}
    agent.answer("leftovers", answer)
    said = run("leftovers")[1]
    assert (
        """
  10.0.1.11: no rule names it
    nginx conf.d/api.conf:1: 10.0.1.011
    nginx conf.d/api.conf:2
    nginx conf.d/api.conf:3
    and 1,002 more (--json lists all)
  10.0.1.11: the file is binary, which is left alone
    nginx conf.d/api.conf
  nginx conf.d/secret: not"""
        in said
    )
    assert len(run_json("leftovers")[1]["targets"][0]["found"]) == 1006
