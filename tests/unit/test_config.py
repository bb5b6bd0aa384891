from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from syncer.config import (
    DomainSettings,
    FailoverSettings,
    NodeSettings,
    example,
    load,
    warnings_of,
)
from syncer.config.loader import state_directory
from syncer.config.tables import known_keys
from syncer.errors import ConfigurationError
from syncer.model import Mode, Patterns
from syncer.substitution.rules import Rule, RuleSet

NODE = '[node]\nname = "prod-a"\nmode = "production"\n'


DOMAIN = '[domains.nginx]\npath = "/etc/nginx"\n'


TARGET = '[[failover]]\nname = "dr-a"\naddress = "10.0.2.10:7443"\n'


def write(folder: Path, text: str | bytes) -> Path:
    file = folder / "syncer.toml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def errors_of(folder: Path, text: str | bytes) -> list[str]:
    """Return the errors without the name of the file, which each must begin with."""
    file = write(folder, text)
    with pytest.raises(ConfigurationError) as caught:
        load(file)
    assert caught.value.exit_code == 2
    assert all(error.startswith(str(file)) for error in caught.value.errors)
    return [error.removeprefix(str(file)).removeprefix(": ") for error in caught.value.errors]


def test_defaults_are_those_of_the_design(tmp_path: Path) -> None:
    settings = load(write(tmp_path, NODE + DOMAIN + TARGET))
    assert settings.node == NodeSettings(
        name="prod-a",
        mode=Mode.PRODUCTION,
        state=Path("/var/lib/syncer"),
        listen="0.0.0.0:7443",
        rescan=3600.0,
        peer_timeout=30.0,
        behind_after=30.0,
        http="127.0.0.1:7480",
    )
    assert settings.domains == (DomainSettings("nginx", Path("/etc/nginx"), Patterns(("**",), ()), 0.01, 0.5),)
    assert settings.failover == (FailoverSettings("dr-a", "10.0.2.10:7443", True, 10.0, ("nginx",), 1.0, 60.0),)
    assert settings.secret_files == ()


def test_every_key_reaches_the_settings(tmp_path: Path) -> None:
    text = """
    [node]
    name = "dr-a"
    mode = "failover"
    state = "/srv/syncer/"
    listen = "[::]:0"
    rescan = "2h"
    peer_timeout = "5s"
    behind_after = "1m"
    http = ""
    [domains.web]
    path = "/srv/web/"
    include = ["*.conf", "/certs/"]
    exclude = ["*~"]
    settle = 0
    settle_max = "1s"
    [domains.mail]
    path = "/srv/mail"
    [[failover]]
    name = "dr-b"
    address = "dr-b.example.com:7443"
    automatic = false
    timeout = "3s"
    domains = ["mail"]
    on_failure = { retry = "100ms..2s" }
    """
    settings = load(write(tmp_path, text))
    assert settings.node == NodeSettings("dr-a", Mode.FAILOVER, Path("/srv/syncer"), "[::]:0", 7200.0, 5.0, 60.0)
    web = DomainSettings("web", Path("/srv/web"), Patterns(("*.conf", "/certs/"), ("*~",)), 0.0, 1.0)
    assert settings.domains[0] == web
    assert settings.failover == (FailoverSettings("dr-b", "dr-b.example.com:7443", False, 3.0, ("mail",), 0.1, 2.0),)


@pytest.mark.parametrize(("written", "meant"), [("[::1]:0", "[::1]:0"), ("0.0.0.0:80", "0.0.0.0:80"), ("", "")])
def test_where_health_is_served(tmp_path: Path, written: str, meant: str) -> None:
    assert load(write(tmp_path, f'{NODE}http = "{written}"\n')).node.http == meant


def test_an_address_of_health_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r'node\.http: "localhost" has no port'):
        load(write(tmp_path, f'{NODE}http = "localhost"\n'))


def test_the_source_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, NODE)
    monkeypatch.chdir(tmp_path)
    assert load(Path("syncer.toml")).source == tmp_path / "syncer.toml"


def test_the_environment_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCER_CONFIG", str(write(tmp_path, NODE)))
    assert load(None).node.name == "prod-a"


def test_a_given_path_wins_over_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCER_CONFIG", str(tmp_path / "missing.toml"))
    assert load(write(tmp_path, NODE)).node.name == "prod-a"


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    assert load(write(tmp_path, b"\xef\xbb\xbf" + NODE.encode())).node.name == "prod-a"


def test_every_error_is_said_at_once(tmp_path: Path) -> None:
    text = """
    [node]
    name = "a b"
    mode = "fenced"
    listen = "7443"
    colour = 1
    [domains.nginx]
    settle = "10 parsecs"
    [domains.web]
    path = "/etc/web"
    [domains.sub]
    path = "/etc/web/sub"
    settle = "later"
    [[failover]]
    name = "dr"
    address = "10.0.2.10"
    [[failover]]
    name = "dr"
    address = "10.0.2.11:7443"
    automatic = "yes"
    [mails]
    """
    beginnings = [
        "mails: is an unknown table: ",
        'node.name: "a b" is not a name',
        'node.mode: is "fenced": write one of "production" or "failover"',
        'node.listen: "7443" does not start with a host name',
        "node.colour: is an unknown key",
        'domains.nginx.path: is missing: add a line such as path = "/etc/nginx"',
        'domains.nginx.settle: "10 parsecs" is not a duration: write for example "10ms"',
        'domains.sub.settle: "later" is not a duration',
        'failover[dr].address: "10.0.2.10" has no port: write for example "10.0.2.10:7443"',
        'failover[dr].automatic: is "yes": write true or false',
        'domains.sub.path: "/etc/web/sub" is inside that of domain web ("/etc/web")',
        'failover[2].name: "dr" is that of failover[1] too',
    ]
    errors = errors_of(tmp_path, text)
    assert len(errors) == len(beginnings)
    for error, beginning in zip(errors, beginnings, strict=True):
        assert error.startswith(beginning)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "node: is missing"),
        ("node = 3", "node: is 3: write it as a table"),
        (NODE + "domains = 3", "node.domains: is an unknown key"),
        ("domains = [1]\n" + NODE, "domains: is a list: write a table for each domain"),
        ("failover = {}\n" + NODE, "failover: is a table: write [[failover]]"),
        ("failover = [1]\n" + NODE, "failover[1]: is 1: write it as a table"),
        (NODE + "[domains]\nnginx = 1", "domains.nginx: is 1: write it as a table"),
        (NODE + "[domain.nginx]", "domain: is an unknown table: did you mean domains?"),
        (NODE + "settle = '1s'", "node.settle: is an unknown key here: it belongs into [domains.NAME]"),
        (NODE + "stat = '/x'", "node.stat: is an unknown key: did you mean state?"),
        (NODE + "rescan = 30", 'node.rescan: 30 is a number without a unit: write for example "30s"'),
        (NODE + "rescan = '0s'", 'node.rescan: "0s" must be longer than 0'),
        (NODE + "rescan = true", "node.rescan: true is not text: write it in quotes"),
        (NODE + "state = 'var/lib'", 'node.state: "var/lib" is not an absolute path'),
        (NODE + 'state = "/a\\u0000b"', 'node.state: "/a?b" contains a NUL byte'),
        (NODE + DOMAIN + "settle = '1s'", "domains.nginx.settle: is longer than settle_max (0.5s)"),
        (NODE + DOMAIN + "include = []", "domains.nginx.include: is empty"),
        (NODE + DOMAIN + "include = ['!']", 'domains.nginx.include[0]: "!" is not a pattern'),
        (NODE + DOMAIN + "include = '*'", 'domains.nginx.include: is "*": write a list'),
        (
            NODE + DOMAIN + "exclude = ['#a']",
            'domains.nginx.exclude[0]: "#a" is a comment in gitignore syntax',
        ),
        (NODE + DOMAIN + "exclude = ['a', '']", 'domains.nginx.exclude[1]: "" is an empty pattern'),
        (NODE + "[domains.a]\npath = '/'", 'domains.a.path: "/" is the whole file system'),
        (NODE + "[domains.a]\npath = '/a/../b'", 'domains.a.path: "/a/../b" contains ".."'),
        (NODE + "[domains.a]\npath = 7", "domains.a.path: 7 is not text: write it in quotes"),
        (NODE + "[domains.A]\npath = '/a'", "domains.A: is not a name for a domain"),
        (NODE + "[domains.'a.b']\npath = '/a'", 'domains."a.b": is not a name for a domain'),
        (
            NODE + TARGET + "domains = ['ngin']\n" + DOMAIN,
            'failover[dr-a].domains[0]: "ngin" is not a configured',
        ),
        (
            NODE + TARGET + "retry = '1s..2s'",
            "failover[dr-a].retry: is an unknown key here: it belongs into on_",
        ),
        (NODE + TARGET + "on_failure = 3", "failover[dr-a].on_failure: is 3: write a table"),
        (
            NODE + TARGET + "on_failure = { retry = '9s..1s' }",
            'failover[dr-a].on_failure.retry: "9s..1s" must go from a duration above 0 to a longer one',
        ),
        (
            NODE + TARGET + TARGET.replace("dr-a", "dr-b"),
            'failover[2].address: "10.0.2.10:7443" is that of failover[1] too',
        ),
    ],
)
def test_an_error_names_key_and_cure(tmp_path: Path, text: str, expected: str) -> None:
    errors = errors_of(tmp_path, text)
    assert len(errors) == 1
    assert errors[0].startswith(expected)
    assert ": " in errors[0].removeprefix(expected.partition(": ")[0] + ": ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[node\n", ", line 1, column 6: is not TOML (Expected ']' at the end of a table declaration)"),
        ('[node]\nname = "a', ", at its end: is not TOML (Unterminated string)"),
        ("[node]\n[node]\n", ", line 2, column 6: is not TOML (Cannot declare ('node',) twice)"),
        (b"[node]\n# \xff\n", ", line 2: is not UTF-8 text"),
    ],
)
def test_syntax_errors_name_the_line(tmp_path: Path, text: str | bytes, expected: str) -> None:
    (error,) = errors_of(tmp_path, text)
    assert error.startswith(expected)


def test_a_missing_file_names_the_cure(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no such file: write one with `syncer init`"):
        load(tmp_path / "none.toml")


def test_a_directory_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(tmp_path)


@pytest.mark.parametrize("mode", [Mode.PRODUCTION, Mode.FAILOVER])
def test_the_example_loads_as_it_is(tmp_path: Path, mode: Mode) -> None:
    text = example("node-1", mode, state='/srv/a "b"\\c\tü', listen="127.0.0.1:0")
    node = load(write(tmp_path, text)).node
    assert (node.name, node.mode, node.state) == ("node-1", mode, Path('/srv/a "b"\\c\tü'))
    assert node.listen == "127.0.0.1:0"


def test_the_example_loads_with_its_comments_taken_away_and_shows_every_key(tmp_path: Path) -> None:
    text = example("node-1", Mode.PRODUCTION)
    head, _, tables = text.partition("# [domains.nginx]")
    keys = [line.removeprefix("# ") for line in head.splitlines() if line.startswith("# ") and " = " in line]
    uncommented = "\n".join(
        line.removeprefix("# ")
        for line in tables.splitlines()
        if line.startswith("# [") or (line.startswith("# ") and line[2].islower())
    )
    document = head + "\n".join(keys) + "\n[domains.nginx]\n" + uncommented
    settings = load(write(tmp_path, document))
    assert [domain.name for domain in settings.domains] == ["nginx"]
    assert [target.name for target in settings.failover] == ["dr-a"]
    assert settings.failover[0].rules == RuleSet.of([Rule("10.0.1.10", "10.0.2.10")])
    missing = [key for key in known_keys() if key.rpartition(".")[2] not in text]
    assert missing == []


def test_warnings_name_what_is_probably_not_meant(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "there").mkdir()
    paths = {"gone": "gone", "file": "file", "there": "there"}
    domains = "".join(f"[domains.{name}]\npath = '{tmp_path}/{path}'\n" for name, path in paths.items())
    found = warnings_of(load(write(tmp_path, NODE + domains)))
    assert [warning.partition(": ")[2].partition(":")[0] for warning in found] == [
        "domains.gone.path",
        "domains.file.path",
        "failover",
    ]
    assert "nothing is synchronized" in warnings_of(load(write(tmp_path, NODE)))[0]


def test_commands_whose_program_is_not_there_are_warned_of(tmp_path: Path) -> None:
    (tmp_path / "not-executable").touch()
    (tmp_path / "program").touch(mode=0o755)
    keys = f"""
path = '{tmp_path}'
check = ["true", "-t"]
reload = ["no-such-program", "--password=hunter2"]
start = ["{tmp_path}/program"]
stop = ["{tmp_path}/not-executable"]
status = ["{str(tmp_path)[1:]}/program"]
"""
    found = warnings_of(load(write(tmp_path, f"{NODE}[domains.web]{keys}{TARGET}")))
    assert [warning.partition(": ")[2].partition(" ")[0] for warning in found] == [
        "domains.web.reload:",
        "domains.web.stop:",
    ]
    assert "no-such-program is not there" in found[0]
    assert "hunter2" not in found[0]


def test_importing_the_configuration_imports_nothing_heavy() -> None:
    program = (
        "import sys, syncer.config; "
        "sys.exit(', '.join({'pydantic', 'pathspec', 'difflib'} & sys.modules.keys()) or None)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("text", "state"),
    [
        (NODE, "/var/lib/syncer"),
        ('[node]\nstate = "/srv/s"\nnmae = 1\n', "/srv/s"),
        ('[node]\nstate = "/srv/s"\n[domains.x]\npath = \n', "/srv/s"),
        ('\ufeff[node]\nstate = "/srv/s"\n[domains.x]\n[[failover]\n', "/srv/s"),
        # What stands below the error in the same table is not known, so nothing is.
        ('[node]\nname = \nstate = "/srv/s"\n', None),
        ('[domains.x]\npath = \n[node]\nstate = "/srv/s"\n', None),
        ('[node]\nstate = "relative"\n', None),
        ("[node]\nstate = 7\n", None),
        ("node = 7\n", None),
        ('[node]\nstate = "/srv/s"\n[domains.x]\npath = "unfinished', "/srv/s"),
        (b"\xff\xfe", None),
    ],
)
def test_where_the_agent_of_a_file_with_errors_is_found(tmp_path: Path, text: str | bytes, state: str | None) -> None:
    assert state_directory(write(tmp_path, text)) == (Path(state) if state is not None else None)


def test_no_file_leads_to_no_agent(tmp_path: Path) -> None:
    assert state_directory(tmp_path / "none.toml") is None
