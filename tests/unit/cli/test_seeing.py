"""Previews at a terminal and on a pipe: what is binary garbles none, and no content steers one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from syncer.cli.render_substitution import file_lines
from tests.documented import deviations, examples

Run = Callable[..., tuple[int, str, str]]
RunJson = Callable[..., tuple[int, dict[str, Any]]]

TABLES = """
[domains.nginx]
path = "{root}"
exclude = ["*.bak"]

[domains.other]
path = "{other}"

[[failover]]
name = "dr-a"
address = "127.0.0.1:1"

[[failover.substitute]]
from = "10.0.1.10"
to = "10.0.2.10"

[[failover.substitute]]
from = "10.0.1.11"
to = "10.0.2.11"
paths = ["*.conf"]

[[failover]]
name = "dr-b"
address = "127.0.0.1:2"
domains = ["nginx"]

[[failover.substitute]]
from = "10.0.1.10"
to = "10.0.3.10"
"""


@pytest.fixture
def tree(config: Path, tmp_path: Path) -> Path:
    """The root of the domain nginx, in a configuration with two targets; no agent runs."""
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "other").mkdir()
    config.write_text(config.read_text() + TABLES.format(root=root, other=tmp_path / "other"))
    (root / "a.conf").write_bytes(b"listen 10.0.1.10;\nallow 10.0.1.11;\n")
    (root / "plain").write_bytes(b"nothing\n")
    (root / "binary").write_bytes(b"\0 10.0.1.10")
    return root


def test_each_target_with_another_result_is_shown(run_json: RunJson, tree: Path) -> None:
    code, found = run_json("substitute", str(tree / "a.conf"), str(tree / "plain"))
    assert code == 0
    assert deviations(examples()["substitute"], found) == []
    assert [(item["targets"], item["replacements_total"]) for item in found["files"]] == [
        (["dr-a"], 2), (["dr-b"], 1), (["dr-a", "dr-b"], 0)
    ]  # fmt: skip  # a table


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("root/a.conf", ["--target", "dr-a"], "2 replacements"),
        ("root/a.conf", ["--target", "dr-a"], "  line 2: 10.0.1.11 → 10.0.2.11\n"),
        ("root/a.conf", ["--target", "dr-b", "--diff"], "-listen 10.0.1.10;\n+listen 10.0.3.10;\n allow 10.0.1.11;\n"),
        ("root/a.conf", ["--target", "dr-a", "--reverse"], "nothing is replaced"),
        ("root/home.conf", ["--target", "dr-a", "--reverse"], "  line 1: 10.0.2.10 → 10.0.1.10"),
        ("root/binary", ["--target", "dr-a"], "left alone, since it is binary"),
        ("root/old.bak", ["--target", "dr-a"], "  it is not synchronized: the exclude pattern '*.bak' matches it"),
        ("root/link", ["--target", "dr-a"], "  it is a symbolic link"),
        ("outside.conf", ["--target", "dr-a"], "1 replacement"),
        ("outside.conf", ["--target", "dr-a"], "  it lies in no domain: rules that are limited"),
        ("root/begun", ["--target", "dr-a"], "a certificate or key from line 2 on, since a BEGIN there has no END"),
        ("root/later", ["--target", "dr-a"], "1 replacement; it is left alone from line 2 on, since a BEGIN there has"),
        ("root/key", ["--target", "dr-a"], "left alone, since what could be replaced stands in what begins as a cert"),
        ("root/both", ["--target", "dr-a"], "1 replacement; an undo record is needed to lead back"),
    ],
)  # fmt: skip  # a table
def test_what_becomes_of_a_file_is_said(run: Run, tree: Path, name: str, options: list[str], expected: str) -> None:
    (tree / "old.bak").write_bytes(b"10.0.1.10")
    (tree / "home.conf").write_bytes(b"10.0.2.10")
    (tree / "both").write_bytes(b"10.0.1.10 10.0.2.10")
    begin = b"# -----BEGIN A-----\n"
    (tree / "begun").write_bytes(b"#\n" + begin + begin + b"10.0.1.10\n")
    (tree / "later").write_bytes(b"10.0.1.10\n" + begin + b"10.0.1.10\n")
    (tree / "key").write_bytes(begin + b"10.0.1.10\n-----END A-----\n")
    (tree / "link").symlink_to("a.conf")
    (tree.parent / "outside.conf").write_bytes(b"10.0.1.10 10.0.1.11\n")
    code, out, _ = run("substitute", *options, str(tree.parent / name))
    assert code == 0
    assert expected in out


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("root/gone", [], "cannot be read: No such file or directory"),
        ("root", [], "is no file: only the bytes of files are substituted"),
        ("root/pipe", [], "is no file"),
        ("other/x", ["--target", "dr-b"], "lies in domain other, which dr-b does not receive"),
    ],
)
def test_what_cannot_be_previewed_is_said_and_the_others_are_shown(
    run: Run, tree: Path, name: str, options: list[str], expected: str
) -> None:
    os.mkfifo(tree / "pipe")
    (tree.parent / "other" / "x").write_bytes(b"x")
    code, out, _ = run("substitute", *options, str(tree.parent / name), str(tree / "plain"))
    assert code == 1
    assert expected in out
    assert "nothing is replaced" in out


@pytest.mark.parametrize(
    ("options", "code", "expected"),
    [
        (["--print", "--diff"], 2, "--print takes one FILE"),
        (["--print", "again"], 2, "--print takes one FILE"),
        (["--print"], 2, "choose one with --target"),
        (["--target", "dr-x"], 2, "there is no target 'dr-x' (configured: dr-a, dr-b)"),
    ],
)
def test_wrong_usage_is_refused(run: Run, tree: Path, options: list[str], code: int, expected: str) -> None:
    found, out, err = run("substitute", *options, str(tree / "a.conf"))
    assert (found, out) == (code, "")
    assert expected in err


def test_without_targets_it_says_where_to_ask(run: Run, tmp_path: Path) -> None:
    code, _, err = run("substitute", str(tmp_path / "x"))
    assert code == 2
    assert "on failover, ask with --reverse" in err


def test_bytes_are_printed_as_they_are(config: Path, tree: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    from syncer.cli.main import main

    for data, expected in (
        (b"\xff\xfe1\0", b"\xff\xfe1\0"),
        (b"\0 10.0.1.10", b"\0 10.0.1.10"),
        (b"\xf6 10.0.1.10\r\n", b"\xf6 10.0.2.10\r\n"),
    ):
        (tree / "x").write_bytes(data)
        assert main(["--config", str(config), "substitute", "--print", "--target", "dr-a", str(tree / "x")]) == 0
        assert capfdbinary.readouterr().out == expected


def test_a_terminal_gets_neither_binary_files_nor_what_steers_it(
    run: Run, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    code, out, err = run("substitute", "--print", "--target", "dr-a", str(tree / "binary"))
    assert (code, out) == (4, "")
    assert "redirect it to a file" in err
    (tree / "x").write_bytes(b"\x1b[2J\t10.0.1.10\r\n")
    assert run("substitute", "--print", "--target", "dr-a", str(tree / "x"))[1] == "\\x1b[2J\t10.0.2.10\n"
    assert "\x1b" not in run("substitute", "--diff", "--target", "dr-a", str(tree / "x"))[1]


def test_diff_prints_what_substitution_changes(agent: Any, run: Run, run_json: RunJson) -> None:
    agent.answer("diff", examples()["diff"])
    code, out, _ = run("diff", "--rendered", "--most", "1")
    assert code == 0
    assert agent.calls == [("diff", {"target": None, "domains": [], "rendered": True, "most": 1})]
    assert "  nginx nginx.conf: 3 replacements\n--- nginx/nginx.conf (production)\n" in out
    assert "substitution changes 16 more files: --most shows more" in out
    assert run_json("diff", "--rendered")[1] == examples()["diff"]


@pytest.mark.parametrize(("cut", "more"), [("", 451), ("\n… and 70 more changed lines", 521)])
def test_one_file_does_not_fill_the_screen(agent: Any, run: Run, cut: str, more: int) -> None:
    answer = examples()["diff"]
    [item] = answer["targets"][0]["rendered"]["files"]
    lines = [f"{sign}{number}" for number in range(500) for sign in "-+"]
    item["diff"] = "\n".join(["--- a", "+++ b", *lines]) + cut
    agent.answer("diff", answer)
    out = run("diff", "--rendered")[1].splitlines()
    assert sum(line[:1] in ("-", "+") for line in out) == 100
    assert f"{more} more changed lines: `syncer substitute --diff FILE`" in out


def test_what_is_home_already_needs_no_record() -> None:
    [item] = examples()["substitute"]["files"]
    item |= {"undo_record": True}
    assert "undo record" in next(file_lines(item, shows_diff=False))
    assert "undo record" not in next(file_lines(item | {"way": "restored"}, shows_diff=False))
