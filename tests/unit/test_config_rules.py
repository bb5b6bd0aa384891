from __future__ import annotations

from pathlib import Path

import pytest

from syncer.config import load, warnings_of
from syncer.errors import ConfigurationError
from syncer.substitution.rules import EMPTY, Rule, RuleSet

HEAD = """
[node]
name = "prod-a"
mode = "production"
[domains.nginx]
path = "{0}"
[domains.mail]
path = "{0}/mail"
[[failover]]
name = "dr-a"
address = "10.0.2.10:7443"
domains = ["nginx"]
""".replace("/mail", "-mail")
RULE = "[[failover.substitute]]\nfrom = '10.0.1.10'\nto = '10.0.2.10'\n"


def write(folder: Path, text: str) -> Path:
    for name in ("root", "root-mail"):
        (folder / name).mkdir(exist_ok=True)
    file = folder / "syncer.toml"
    file.write_text(HEAD.format(folder / "root") + text)
    return file


def errors_of(folder: Path, text: str) -> list[str]:
    file = write(folder, text)
    with pytest.raises(ConfigurationError) as caught:
        load(file)
    return [error.removeprefix(f"{file}: failover[dr-a].") for error in caught.value.errors]


def test_every_key_reaches_the_rules(tmp_path: Path) -> None:
    text = """
    [[failover.substitute]]
    from = "10.0.1.10"
    to = "10.0.2.10"
    swap = true
    domains = ["nginx"]
    paths = ["*.conf", "/sites/"]
    except_paths = ["/sites/old"]
    [[failover.substitute]]
    from = "Prod.example.com"
    to = "dr.example.com"
    except_domains = ["mail"]
    [[failover]]
    name = "dr-b"
    address = "10.0.3.10:7443"
    [[failover.substitute]]
    from = "10.0.1.0/24"
    to = "10.0.3.0/24"
    [[failover]]
    name = "dr-c"
    address = "10.0.4.10:7443"
    """
    first, second, third = load(write(tmp_path, text)).failover
    assert first.rules == RuleSet.of(
        [
            Rule("10.0.1.10", "10.0.2.10", True, ("nginx",), (), ("*.conf", "/sites/"), ("/sites/old",)),
            Rule("prod.example.com", "dr.example.com", except_domains=("mail",)),
        ]
    )
    assert second.rules == RuleSet.of([Rule("10.0.1.0/24", "10.0.3.0/24")])
    assert third.rules == EMPTY


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("substitute = 3", "substitute: is 3: write a list"),
        ("substitute = [3]", "substitute[1]: is 3: write a table"),
        (
            "[[failover.substitute]]\nto = 'a.b'",
            'substitute[1].from: is missing: add a line such as from = "10.0.1.10"',
        ),
        ("[[failover.substitute]]\nfrom = 'a.b'", 'substitute[1].to: is missing: add a line such as to = "10.0.2.10"'),
        (RULE + "form = 'x'", "substitute[1].form: is an unknown key: did you mean from?"),
        (RULE + "source = 'x'", "substitute[1].source: is an unknown key: "),
        (RULE + "settle = '1s'", "substitute[1].settle: is an unknown key here: it belongs into [domains.NAME]"),
        ("except_paths = []", "except_paths: is an unknown key here: it belongs into [[failover.substitute]]"),
        (RULE + "swap = 1", "substitute[1].swap: is 1: write true or false"),
        (RULE + "domains = 'nginx'", 'substitute[1].domains: is "nginx": write a list'),
        (
            RULE + "domains = ['ngin']",
            'substitute[1].domains[0]: "ngin" is not a configured domain: did you mean nginx',
        ),
        (RULE + "except_domains = ['x']", 'substitute[1].except_domains[0]: "x" is not a configured domain: known'),
        (RULE + "domains = ['mail', 'mail']", 'substitute[1].domains: "mail" is named 2 times'),
        (RULE + "paths = []", "substitute[1].paths: is empty, so the rule would apply nowhere"),
        (RULE + "paths = ['*', '#x']", 'substitute[1].paths[1]: "#x" is a comment'),
        (RULE.replace("10.0.1.10", "10.0.1.300"), 'substitute[1].from: "10.0.1.300" is not an IPv4 address: write'),
        (RULE.replace("'10.0.2.10'", "10.2"), "substitute[1].to: 10.2 is not text: write it in quotes"),
        (RULE.replace("10.0.2.10", "10.0.2.0/24"), 'substitute[1].to: "10.0.2.0/24" has a prefix of 24 bits'),
        (
            RULE + RULE.replace("10.0.2.10", "10.0.2.11"),
            "substitute[2].from: the rule 10.0.1.10 → 10.0.2.10 gives 10.0.1.10 another target: remove",
        ),
        (
            RULE + RULE.replace("10.0.1.10", "10.0.1.11") + "swap = true",
            "substitute[2].to: the rule 10.0.1.10 → 10.0.2.10 leads there too, so that 10.0.1.11 and 10.0.1.10",
        ),
    ],
)
def test_an_error_names_the_table_the_key_and_the_cure(tmp_path: Path, text: str, expected: str) -> None:
    (error,) = errors_of(tmp_path, text)
    assert error.startswith(expected)


def test_every_error_is_said_at_once_and_no_other_hides_it(tmp_path: Path) -> None:
    wrong = RULE.replace("10.0.1.10", "10.0.1.300").replace("10.0.2.10", "x y") + "paths = ['']\nswap = 1\n"
    text = "timeout = 3\n" + wrong + RULE + RULE.replace("2.10", "2.11") + RULE.replace("1.10", "1.11") + "paths = []\n"
    assert [error.partition(": ")[0] for error in errors_of(tmp_path, text)] == [
        "timeout",
        "substitute[1].from",
        "substitute[1].to",
        "substitute[1].swap",
        "substitute[1].paths[0]",
        "substitute[3].from",
        "substitute[4].paths",
        "substitute[4].to",
    ]


def test_warnings_name_rules_that_are_probably_not_meant(tmp_path: Path) -> None:
    def found(*rules: str) -> list[str]:
        text = "".join(f"[[failover.substitute]]\n{rule}\n" for rule in rules)
        return [line.partition("].substitute: ")[2] for line in warnings_of(load(write(tmp_path, text)))]

    assert found("from = '10.0.1.10'\nto = '10.0.2.10'\nswap = true") == []
    assert found("from = '10.0.1.10'\nto = '10.0.2.10'", "from = '10.0.2.10'\nto = '10.0.1.10'") == []
    (warning,) = found("from = '10.0.1.10'\nto = '10.0.2.10'\ndomains = ['mail']")
    assert "for none of the domains that dr-a receives" in warning
    (warning,) = found("from = 'prod'\nto = 'dr.example.com'")
    assert "finds the word prod wherever it stands alone" in warning
    (warning,) = found("from = '10.0.1.10'\nto = '10.0.2.10'", "from = '10.0.2.0/24'\nto = '10.0.3.0/24'")
    assert warning.startswith("the rules 10.0.1.10 → 10.0.2.10 and 10.0.2.0/24 → 10.0.3.0/24 do not cascade")
    (warning,) = found("from = 'a.b'\nto = 'c.D'", "from = 'c.d'\nto = 'e.f'")
    assert warning.startswith("the rules a.b → c.D and c.d → e.f do not cascade")
    apart = "paths = ['/a/**']", "paths = ['/b/**']"
    assert found(f"from = 'a.b'\nto = 'c.d'\n{apart[0]}", f"from = 'c.d'\nto = 'e.f'\n{apart[1]}") == []


def test_an_unknown_key_hides_no_flaw_of_its_rule_and_proves_nothing_beside_others(tmp_path: Path) -> None:
    text = RULE + RULE.replace("to = '10.0.2.10'", "to = '10.0.1.10'\nfrm = 'x'")
    assert [error.partition(": ")[0] for error in errors_of(tmp_path, text)] == [
        "substitute[2].frm",
        "substitute[2].to",
    ]
    limited = RULE + RULE.replace("10.0.2.10", "10.0.2.11") + "path = ['/b']\n"
    assert [error.partition(": ")[0] for error in errors_of(tmp_path, limited)] == ["substitute[2].path"]


def test_a_final_dot_is_not_repeated_in_what_contradicts(tmp_path: Path) -> None:
    text = RULE.replace("10.0.1.10", "Prod.example.com.").replace("10.0.2.10", "dr.example.com")
    [error] = errors_of(tmp_path, text + text.replace("dr.", "dr2."))
    assert "the rule Prod.example.com → dr.example.com gives" in error
