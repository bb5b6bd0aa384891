"""[smtp], [variables] and [[triggers]]: what they become, and that every error is said when the file loads."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from syncer.config import load, warnings_of
from syncer.config.alarm_settings import EmailSettings, SmtpSettings, TriggerSettings, WebhookSettings
from syncer.config.secret import LONGEST, SecretError, read_secret
from syncer.config.tables import TABLES, keys_of
from syncer.config.wording import worded
from syncer.errors import ConfigurationError
from syncer.node.protected import protected_paths
from tests.servers import make_certificate

NODE = '[node]\nname = "prod-a"\nmode = "production"\n'
SMTP = '[smtp]\nhost = "mail.example.com"\nfrom = "syncer@example.com"\n'
MAIL = 'email = { to = ["ops@example.com"] }\n'
TRIGGER = '[[triggers]]\nname = "t"\nevent = "sync"\n'


def write(folder: Path, text: str) -> Path:
    file = folder / "syncer.toml"
    file.write_text(NODE + text, "utf-8")
    return file


def errors_of(folder: Path, text: str) -> list[str]:
    file = write(folder, text)
    with pytest.raises(ConfigurationError) as caught:
        load(file)
    return [error.removeprefix(f"{file}: ") for error in caught.value.errors]


def test_defaults(tmp_path: Path) -> None:
    alarms = load(write(tmp_path, SMTP + TRIGGER + MAIL)).alarms
    assert alarms.smtp == SmtpSettings("mail.example.com", 587, True, False, "", None, "syncer@example.com", 30.0, None)
    email = EmailSettings(("ops@example.com",), None, None, None)
    assert alarms.triggers == (TriggerSettings("t", "sync", "", 900.0, 0.0, True, 86400.0, email),)
    assert load(write(tmp_path, "")).alarms.triggers == ()


def test_every_key_reaches_the_settings(tmp_path: Path) -> None:
    text = """
    [smtp]
    host = "10.0.0.1"
    tls = true
    username = "u"
    password_file = "/etc/secrets/smtp"
    from = "a@b.c"
    timeout = "5s"
    ca_file = "/etc/ca.pem"
    [variables]
    site = "north"
    rack = 7
    limit = 0.5
    night = true
    [[triggers]]
    name = "a name with spaces → and more"
    event = "sync"
    when = "!success && site == 'north' && rack > 3 && double(bytes) > limit && !night"
    throttle = 0
    after = "5m"
    notify_recovery = false
    give_up = "2h"
    email = { to = ["a@b.c", "d@e.f"], subject = "{{ site }}", body = "{{ error }}", html = "<b>{{ rack }}</b>" }
    exec = ["/bin/true", "x"]
    exec_timeout = "7s"
    webhook = { url = "https://h.example/x?y=z", secret_file = "/etc/secrets/hook", timeout = "3s", ca_file = "/ca" }
    notify = ["json://localhost/x"]
    """
    settings = load(write(tmp_path, text))
    alarms = settings.alarms
    assert alarms.smtp == SmtpSettings(
        "10.0.0.1", 465, False, True, "u", Path("/etc/secrets/smtp"), "a@b.c", 5.0, Path("/etc/ca.pem")
    )
    assert dict(alarms.variables) == {"site": "north", "rack": 7, "limit": 0.5, "night": True}
    [found] = alarms.triggers
    assert (found.throttle, found.after, found.give_up, found.notify_recovery) == (0.0, 300.0, 7200.0, False)
    assert found.email == EmailSettings(("a@b.c", "d@e.f"), "{{ site }}", "{{ error }}", "<b>{{ rack }}</b>")
    assert (found.exec, found.exec_timeout, found.notify) == (("/bin/true", "x"), 7.0, ("json://localhost/x",))
    assert found.webhook == WebhookSettings("https://h.example/x?y=z", Path("/etc/secrets/hook"), 3.0, Path("/ca"))
    # What holds a secret is never captured nor accepted.
    assert settings.secret_files == (Path("/etc/secrets/smtp"), Path("/etc/secrets/hook"))
    protected = protected_paths(settings, Path("/etc"))
    assert {b"secrets/smtp", b"secrets/hook"} <= set(protected)


def test_every_error_is_said_at_once(tmp_path: Path) -> None:
    text = """
    [smtp]
    host = "mail example"
    from = "Syncer <a@b.c>"
    password = "secret"
    [variables]
    1x = "a"
    target = "a"
    list = [1]
    [[triggers]]
    name = "a"
    event = "sync"
    when = "!sucess"
    email = { to = ["ops@example.com"], subject = "{{ targt }}" }
    [[triggers]]
    name = "a"
    event = "synch"
    exec = ["true"]
    [[triggers]]
    event = "sync"
    throttle = "often"
    [[triggers]]
    name = "b"
    event = "service.failed"
    after = "5m"
    notify_recovery = true
    """
    beginnings = [
        'smtp.host: "mail example" is not a host name',
        'smtp.from: "Syncer <a@b.c>" is not a mail address',
        "smtp.password: is an unknown key",
        "variables.1x: is not a name for a variable",
        "variables.target: is the name of a variable that",
        "variables.list: is a list",
        "triggers[a].when: \"!sucess\" is not a condition in CEL (line 1, column 2: undeclared reference to 'sucess')",
        "triggers[a].email.subject: names unknown variables (targt)",
        'triggers[a].event: "synch" is not an event: did you mean sync?',
        'triggers[3].name: is missing: add a line such as name = "sync failed"',
        'triggers[3].throttle: "often" is not a duration',
        "triggers[3]: does nothing: add email, exec, webhook or notify",
        "triggers[b]: does nothing: add email, exec, webhook or notify",
        "triggers[b].after: the event service.failed begins no state",
        "triggers[b].notify_recovery: nothing ends what the event service.failed tells",
        'triggers[a].name: "a" is that of 2 triggers',
    ]
    found = errors_of(tmp_path, text)
    assert len(found) == len(beginnings), found
    for error, beginning in zip(found, beginnings, strict=True):
        assert error.startswith(beginning)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TRIGGER + MAIL, "triggers[t].email: there is no table [smtp]"),
        (SMTP + 'username = "u"\n', "smtp.password_file: is missing"),
        (SMTP + 'password_file = "/x"\n', "smtp.username: is missing"),
        (SMTP + 'username = "u"\npassword_file = "/x"\nstarttls = false\n', "would be sent unencrypted"),
        (SMTP + 'username = "us\u00e9r"\npassword_file = "/x"\n', "smtp.username: has letters beyond ASCII"),
        (SMTP + "starttls = true\ntls = true\n", "smtp.starttls: is true, and so is tls"),
        (SMTP + "port = 0\n", "smtp.port: is 0"),
        (SMTP + 'password_file = "secret"\n', "is not an absolute path"),
        ("smtp = 3\n", "smtp: is 3: write it as a table"),
        (SMTP + TRIGGER + "email = { to = [] }\n", "triggers[t].email.to: is an empty list: write at least one item"),
        (SMTP + TRIGGER + 'email = { to = ["x@y.z\\r\\nBcc: a@b.c"] }\n', "is not a mail address"),
        (SMTP + TRIGGER + 'email = { to = ["x@y.z"], bcc = [] }\n', "triggers[t].email.bcc: is an unknown key"),
        (
            SMTP + TRIGGER + 'email = { to = ["x@y.z"], body = "{% for %}" }\n',
            "triggers[t].email.body: is not a template",
        ),
        (TRIGGER + "exec = []\n", "triggers[t]: does nothing"),
        (TRIGGER + 'exec = "rm -rf"\n', "is not a command"),
        (TRIGGER + 'exec = ["x"]\nwhen = "1 + 1"\n', "is a value of type int, not a condition"),
        ('[[triggers]]\nname = "a\\nb"\nevent = "sync"\nexec = ["x"]\n', "is not a name for a trigger"),
        ('[triggers]\nname = "a"\n', "triggers: is a table: write [[triggers]]"),
        ("variables = 3\n", "variables: is 3"),
        (SMTP + TRIGGER + 'email = { to = [""] }\n', 'triggers[t].email.to[0]: "" is not a mail address'),
        (SMTP + TRIGGER + "email = {}\n", 'email.to: is missing: add a line such as to = ["ops@example.com"]'),
        (
            SMTP + TRIGGER + 'email = { to = ["x@y.z"], subject = " " }\n',
            'email.subject: " " is empty: write a template',
        ),
        (SMTP + TRIGGER + 'email = { to = ["x@y.z"], body = "" }\n', 'email.body: "" is empty: write a template'),
        (TRIGGER + 'exec = [""]\n', "begins with an empty word"),
        (TRIGGER + 'notify = [""]\n', "is not an address in Apprise's form"),
        (SMTP + TRIGGER.replace('"sync"', '""') + MAIL, 'triggers[t].event: "" is not an event: known here are'),
        (SMTP.replace("[smtp]", "[smtp]\nport = true"), "smtp.port: is true: write a whole number"),
        (SMTP + "port = 70000\n", "smtp.port: is 70000: write at most 65535"),
        (TRIGGER + 'exec = ["./on-failure"]\n', 'triggers[t].exec: "./on-failure" is a relative path'),
        (TRIGGER + 'exec = ["x"]\nwhen = "success || error.matches(\'(\')"\n', "is no pattern (invalid regular"),
        (
            SMTP + TRIGGER + 'email = { to = ["x@y.z"], subject = "{{ 1 / 0 }}" }\n',
            "email.subject: divides by zero (line 1)",
        ),
        ("[variables]\nconfig = 1\n", "variables.config: is a name that a command would misunderstand"),
        ("[variables]\nID = 1\n", "variables.ID: is a name that a command would misunderstand"),
        ("[variables]\nsite = 1\nSite = 2\n", "variables.Site: differs from site by capitals only"),
        ("[variables]\nNode = 1\n", "variables.Node: is the name of a variable that"),
    ],
)
def test_what_is_wrong_is_said_with_the_cure(tmp_path: Path, text: str, said: str) -> None:
    # A key outside any table must stand before the first one.
    file = tmp_path / "syncer.toml"
    file.write_text(text + NODE if text.startswith(("smtp =", "variables =")) else NODE + text, "utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load(file)
    assert said in str(caught.value)


def test_a_wrong_shape_hides_no_other_error_of_its_trigger(tmp_path: Path) -> None:
    text = (
        SMTP
        + """
    username = 3
    [[triggers]]
    name = "a"
    event = "sync"
    throttle = "often"
    emial = 3
    when = "!sucess"
    exec = ["bin/x"]
    email = { to = [], subject = "{{ targt }}", body = 7, html = "{% if %}" }
    [[triggers]]
    name = "a"
    event = "synch"
    after = 5
    when = "success &&"
    email = { to = ["ops@example.com"], body = "{{ 'x'.ljust(10) }}" }
    [[triggers]]
    when = "((("
    webhook = { url = 3 }
    """
    )
    beginnings = [
        "smtp.username: is 3: write text in quotes",
        "triggers[a].throttle: ",
        "triggers[a].email.to: is an empty list",
        "triggers[a].email.body: 7 is not text",
        "triggers[a].emial: is an unknown key: did you mean email?",
        "triggers[a].exec: ",
        'triggers[a].when: "!sucess" is not a condition in CEL (line 1, column 2: undeclared',
        "triggers[a].email.subject: names unknown variables (targt)",
        "triggers[a].email.html: is not a template",
        "triggers[a].after: 5 is a number without a unit",
        'triggers[a].event: "synch" is not an event',
        'triggers[a].when: "success &&" is not a condition in CEL',
        "triggers[a].email.body: does what the sandbox refuses",
        "triggers[3].name: is missing",
        "triggers[3].event: is missing",
        "triggers[3].webhook.url: ",
        'triggers[3].when: "(((" is not a condition',
        'triggers[a].name: "a" is that of 2 triggers',
    ]
    found = errors_of(tmp_path, text)
    for beginning in beginnings:
        assert any(error.startswith(beginning) for error in found), (beginning, found)
    assert len(found) == len(beginnings), found


VALUES = ["", [], {}, 0, -1, 10**18, 1.5, True, "x", [""], [1], [[]], {"a": 1}, "\0", 70000]


@pytest.mark.parametrize("table", sorted(TABLES))
def test_no_error_is_in_the_words_of_the_library(table: str) -> None:
    """Whatever a key holds, what is wrong with it is said in our words."""
    for key in keys_of(TABLES[table]):
        for value in VALUES:
            try:
                TABLES[table].model_validate({key: value})
            except ValidationError as error:
                said = "\n".join(worded(error, (table,), table))
                for words in ("Input should", "should have", "Field required", "alue error", "validation"):
                    assert words not in said, said


@pytest.mark.parametrize(
    "table",
    [
        'webhook = { url = "ftp://h/hunter2hunter2" }',
        'webhook = { url = "https://u:hunter2hunter2@h/x" }',
        'notify = ["hunter2hunter2"]',
        'notify = [3, "slack://hunter2hunter2\\n"]',
    ],
)
def test_an_address_that_may_hold_a_secret_is_not_repeated(tmp_path: Path, table: str) -> None:
    errors = errors_of(tmp_path, f"{TRIGGER}{table}\n")
    assert errors
    assert "hunter2" not in "".join(errors)


def test_secrets_that_cannot_be_used_are_warnings(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    open_to_others = warnings_of(load(write(tmp_path, f'{TRIGGER}notify = ["json://x"]\n')))
    assert any("can be read by other users" in warning for warning in open_to_others)
    (tmp_path / "syncer.toml").chmod(0o600)
    assert not any("other users" in warning for warning in warnings_of(load(tmp_path / "syncer.toml")))
    hook = f'webhook = {{ url = "https://h/", secret_file = "{secret}" }}\n'
    settings = load(write(tmp_path, TRIGGER + hook))
    assert any("No such file" in warning for warning in warnings_of(settings))
    secret.write_text("x\n")
    secret.chmod(0o644)
    assert any("chmod 600" in warning for warning in warnings_of(settings))
    secret.chmod(0o600)
    assert not any(str(secret) in warning for warning in warnings_of(settings))
    mail = SMTP + f'username = "u"\npassword_file = "{secret}"\n'
    assert not any(str(secret) in warning for warning in warnings_of(load(write(tmp_path, mail))))
    secret.write_text("geh\u00e4im\n")
    [found] = [warning for warning in warnings_of(load(write(tmp_path, mail))) if str(secret) in warning]
    assert "letters beyond ASCII" in found
    assert "geh" not in found


def trigger_warnings(folder: Path, text: str) -> list[str]:
    file = write(folder, text)
    file.chmod(0o600)
    found = [warning.removeprefix(f"{file}: ") for warning in warnings_of(load(file))]
    return [warning for warning in found if not warning.startswith(("domains", "failover"))]


def test_a_program_that_is_missing_now_is_a_warning(tmp_path: Path) -> None:
    program = tmp_path / "on-failure"
    text = f'{TRIGGER}exec = ["{program}"]\n'
    [missing] = trigger_warnings(tmp_path, text)
    assert missing.startswith(f"triggers[t].exec: {program} is not there, or cannot be run")
    program.write_text("#!/bin/sh\n")
    assert len(trigger_warnings(tmp_path, text)) == 1
    program.chmod(0o755)
    assert trigger_warnings(tmp_path, text) == []
    assert len(trigger_warnings(tmp_path, f'{TRIGGER}exec = ["no-such-program"]\n')) == 1
    assert trigger_warnings(tmp_path, f'{TRIGGER}exec = ["sh"]\n') == []


def test_certificates_that_cannot_be_read_now_are_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    text = f'{SMTP}ca_file = "{file}"\n{TRIGGER}webhook = {{ url = "https://h/", ca_file = "{file}" }}\n'
    missing = trigger_warnings(tmp_path, text)
    assert [warning.partition(":")[0] for warning in missing] == ["smtp.ca_file", "triggers[t].webhook.ca_file"]
    assert "No such file" in missing[0]
    file.write_text("nothing of the kind")
    assert "holds no certificates" in trigger_warnings(tmp_path, text)[0]
    file.write_bytes(make_certificate(tmp_path).file.read_bytes())
    assert trigger_warnings(tmp_path, text) == []


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ('email = { to = ["a@b.c"], subject = "{{ bytes / seconds }}" }', "email.subject: cannot be rendered (ZeroDiv"),
        ('email = { to = ["a@b.c"], body = "{{ error.split(\':\')[7] }}" }', "for a made-up event: the default text"),
        ('email = { to = ["a@b.c"], html = "{{ 1 // (changes - 3) }}" }', "email.html: cannot be rendered"),
        (
            'exec = ["sh"]\nwhen = "100 / changes > 3"',
            "when: has no answer for an event whose numbers are 0 (divide by",
        ),
        ('exec = ["sh"]\nwhen = "error.matches(\'[\' + target)"', "when: has no answer for a made-up event (invalid"),
    ],
)
def test_what_fails_for_made_up_events_is_a_warning(tmp_path: Path, key: str, said: str) -> None:
    [warning] = trigger_warnings(tmp_path, f"{SMTP}{TRIGGER}{key}\n")
    assert said in warning


def test_notify_without_apprise_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What Python itself does with a module that is not there.
    monkeypatch.setitem(sys.modules, "apprise", None)
    [error] = errors_of(tmp_path, f'{TRIGGER}notify = ["json://x"]\n')
    assert error == 'triggers[t].notify: needs Apprise, which is not installed: pip install "syncer-failover[notify]"'


def test_who_is_named_twice_is_mailed_once(tmp_path: Path) -> None:
    alarms = load(write(tmp_path, f'{SMTP}{TRIGGER}email = {{ to = ["a@b.c", "d@e.f", "a@b.c"] }}\n')).alarms
    assert alarms.triggers[0].email is not None
    assert alarms.triggers[0].email.to == ("a@b.c", "d@e.f")


def test_a_secret_is_the_first_line_of_a_file_that_is_ours_alone(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    for data, expected in ((b"abc\n", "abc"), (b"a b \r\nmore", "a b "), ("ü".encode(), "ü")):
        secret.write_bytes(data)
        secret.chmod(0o600)
        assert read_secret(secret) == expected
    for data in (b"", b"\nabc", b"\xff\n", b"x" * (LONGEST + 1)):
        secret.write_bytes(data)
        with pytest.raises(SecretError) as caught:
            read_secret(secret)
        assert "abc" not in str(caught.value)
    for mode in (0o640, 0o604, 0o620):
        secret.chmod(mode)
        with pytest.raises(SecretError, match="chmod 600"):
            read_secret(secret)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(SecretError, match="is not a file"):
        read_secret(tmp_path / "pipe")
