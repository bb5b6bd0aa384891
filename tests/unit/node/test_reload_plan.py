"""What a new configuration changes in a running node, as a table: one changed key a row, and nothing but its parts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from syncer.config import load
from syncer.config.programs import HOOKS
from syncer.config.settings import Settings
from syncer.config.tables import known_keys
from syncer.node.reload_plan import NEEDS_RESTART, Plan, Turnover, plan

BASE = """
[node]
name = "n"
mode = "production"
state = "/var/lib/n"

[domains.one]
path = "/srv/one"

[domains.two]
path = "/srv/two"

[[failover]]
name = "dr-a"
address = "10.0.0.1:7443"

[[failover]]
name = "dr-b"
address = "10.0.0.2:7443"
domains = ["two"]
"""

NOTHING: Turnover[Any] = Turnover(frozenset(), frozenset())
ALL_OF_ONE = [("dr-a", "one")]
ALL_OF_DR_A = [("dr-a", "one"), ("dr-a", "two")]


@pytest.fixture
def settings(tmp_path: Path) -> Any:
    def write(text: str) -> Settings:
        file = tmp_path / "syncer.toml"
        file.write_text(text, "utf-8")
        return load(file)

    return write


def anew(*keys: Any) -> Turnover[Any]:
    return Turnover(frozenset(keys), frozenset(keys))


def differing(found: Plan) -> dict[str, Any]:
    """Return what the plan names, by kind, without what is empty."""
    kinds = ("captures", "streams", "destinations", "monitors")
    parts = {kind: getattr(found, kind) for kind in kinds if getattr(found, kind) != NOTHING}
    return parts | ({"retimed": found.retimed} if found.retimed else {})


ONE = "[domains.one]\n"
LAST = 'domains = ["two"]'
DR_A = '[[failover]]\nname = "dr-a"\n'
APPLIED: dict[str, Any] = {"destinations": anew("one"), "monitors": anew("one")}
SENT: dict[str, Any] = {"streams": anew(*ALL_OF_ONE)}
CAPTURED: dict[str, Any] = {"captures": anew("one")}

ROWS = {
    "node.rescan": ("[node]\n", 'rescan = "5m"', {"retimed": {"one", "two"}, "monitors": anew("one", "two")}),
    "node.peer_timeout": ("[node]\n", 'peer_timeout = "5s"', {}),
    "node.behind_after": ("[node]\n", 'behind_after = "5s"', {}),
    "node.stop_services_when_fenced": ("[node]\n", "stop_services_when_fenced = true", {}),
    "node.freeze_max": ("[node]\n", 'freeze_max = "5m"', {}),
    "domains.one.path": ('path = "/srv/one"', 'path = "/srv/1"', {**CAPTURED, **SENT, **APPLIED}),
    "domains.one.include": (ONE, 'include = ["*.conf"]', {**CAPTURED, **SENT, **APPLIED}),
    "domains.one.exclude": (ONE, 'exclude = ["*.swp"]', {**CAPTURED, **SENT, **APPLIED}),
    "domains.one.settle": (ONE, 'settle = "20ms"', {"retimed": {"one"}}),
    "domains.one.settle_max": (ONE, 'settle_max = "2s"', {"retimed": {"one"}}),
    "domains.one.keep_local": (ONE, 'keep_local = ["x"]', APPLIED),
    "domains.one.max_delete": (ONE, "max_delete = 7", {**SENT, **APPLIED}),
    "domains.one.max_delete_min": (ONE, "max_delete_min = 7", {**SENT, **APPLIED}),
    "domains.one.max_delete_window": (ONE, 'max_delete_window = "7m"', {**SENT, **APPLIED}),
    "domains.one.drift": (ONE, 'drift = "restore"', {"monitors": anew("one")}),
    "domains.one.verify": (ONE, 'verify = "1d"', {}),
    "domains.one.verify_rate": (ONE, 'verify_rate = "1MiB"', APPLIED),
    "domains.one.check": (ONE, 'check = ["true"]', APPLIED),
    "domains.one.reload": (ONE, 'reload = ["true"]', APPLIED),
    "domains.one.start": (ONE, 'start = ["true"]', APPLIED),
    "domains.one.stop": (ONE, 'stop = ["true"]', APPLIED),
    "domains.one.status": (ONE, 'status = ["true"]', APPLIED),
    "domains.one.freeze": (ONE, 'freeze = ["true"]', APPLIED),
    "domains.one.command_timeout": (ONE, 'command_timeout = "1s"', APPLIED),
    "domains.one.owners": (ONE, 'owners = { a = "b" }', APPLIED),
    "domains.one.history.generations": (ONE, "history = { generations = 3 }", APPLIED),
    "domains.one.history.size": (ONE, 'history = { size = "1MiB" }', APPLIED),
    "failover[dr-a].address": ("10.0.0.1:7443", "10.0.0.9:7443", {"streams": anew(*ALL_OF_DR_A)}),
    "failover[dr-a].automatic": (DR_A, "automatic = false", {"streams": anew(*ALL_OF_DR_A)}),
    "failover[dr-a].timeout": (DR_A, 'timeout = "1s"', {"streams": anew(*ALL_OF_DR_A)}),
    "failover[dr-a].start_services": (DR_A, "start_services = true", {"streams": anew(*ALL_OF_DR_A)}),
    "failover[dr-a].on_failure.retry": (
        DR_A,
        'on_failure = { retry = "2s..9s" }',
        {"streams": anew(*ALL_OF_DR_A)},
    ),
    "failover[dr-a].on_failure.suspend_after": (
        DR_A,
        "on_failure = { suspend_after = 9 }",
        {"streams": anew(*ALL_OF_DR_A)},
    ),
    "failover[dr-a].on_failure.probe": (DR_A, "on_failure = { probe = false }", {"streams": anew(*ALL_OF_DR_A)}),
    "failover[dr-a].domains": (DR_A, 'domains = ["two"]', {"streams": Turnover(frozenset(ALL_OF_ONE), frozenset())}),
    **{f"hooks.{hook}": (LAST, f'{LAST}\n[hooks]\n{hook} = ["true"]', {}) for hook in HOOKS},
    "hooks.timeout": (LAST, f'{LAST}\n[hooks]\ntimeout = "5s"', {}),
}


@pytest.mark.parametrize("key", ROWS)
def test_one_changed_key_disturbs_its_own_parts_alone(settings: Any, key: str) -> None:
    before, line, expected = ROWS[key]
    changed = BASE.replace(before, f"{before}{line}\n" if before.endswith("\n") else line, 1)
    old, new = settings(BASE), settings(changed)
    found = plan(old, new)
    assert found.changed == (key,)
    assert not found.waiting
    assert found.settings == new
    assert differing(found) == expected
    assert plan(new, new).changed == ()
    assert differing(plan(new, new)) == {}


SMTP = '[smtp]\nhost = "mail"\nfrom = "a@example.com"\n'
TRIGGER = '[[triggers]]\nname = "t"\nevent = "sync"\n'
EMAIL = 'email.to = ["a@example.com"]\n'
WEBHOOK = 'webhook.url = "https://a.example"\n'
ALARMS = f"{BASE}{SMTP}{TRIGGER}{EMAIL}{WEBHOOK}"
ALARM_ROWS = {
    "smtp.host": ('"mail"', '"other"'),
    "smtp.port": (SMTP, f"{SMTP}port = 26\n"),
    "smtp.starttls": (SMTP, f"{SMTP}starttls = false\n"),
    "smtp.tls": (SMTP, f"{SMTP}tls = true\nport = 587\n"),
    "smtp.username": (SMTP, f'{SMTP}username = "u"\npassword_file = "/secret"\n'),
    "smtp.password_file": (SMTP, f'{SMTP}username = "u"\npassword_file = "/secret"\n'),
    "smtp.from": ('from = "a@', 'from = "b@'),
    "smtp.timeout": (SMTP, f'{SMTP}timeout = "9s"\n'),
    "smtp.ca_file": (SMTP, f'{SMTP}ca_file = "/ca.pem"\n'),
    "triggers.event": ('event = "sync"', 'event = "drift.detected"'),
    "triggers.when": (TRIGGER, f'{TRIGGER}when = "!success"\n'),
    "triggers.throttle": (TRIGGER, f'{TRIGGER}throttle = "1s"\n'),
    "triggers.after": (TRIGGER, f'{TRIGGER}after = "1s"\n'),
    "triggers.notify_recovery": (TRIGGER, f"{TRIGGER}notify_recovery = false\n"),
    "triggers.give_up": (TRIGGER, f'{TRIGGER}give_up = "1s"\n'),
    "triggers.exec": (TRIGGER, f'{TRIGGER}exec = ["true"]\n'),
    "triggers.exec_timeout": (TRIGGER, f'{TRIGGER}exec_timeout = "1s"\n'),
    "triggers.notify": (TRIGGER, f'{TRIGGER}notify = ["json://a"]\n'),
    "triggers.email.to": (EMAIL, 'email.to = ["b@example.com"]\n'),
    "triggers.email.subject": (EMAIL, f'{EMAIL}email.subject = "s"\n'),
    "triggers.email.body": (EMAIL, f'{EMAIL}email.body = "b"\n'),
    "triggers.email.html": (EMAIL, f'{EMAIL}email.html = "h"\n'),
    "triggers.webhook.url": ("https://a", "https://b"),
    "triggers.webhook.secret_file": (WEBHOOK, f'{WEBHOOK}webhook.secret_file = "/secret"\n'),
    "triggers.webhook.timeout": (WEBHOOK, f'{WEBHOOK}webhook.timeout = "1s"\n'),
    "triggers.webhook.ca_file": (WEBHOOK, f'{WEBHOOK}webhook.ca_file = "/ca.pem"\n'),
}


@pytest.mark.parametrize("key", ALARM_ROWS)
def test_what_is_mailed_or_run_disturbs_nothing_that_is_captured_sent_or_applied(settings: Any, key: str) -> None:
    before, after = ALARM_ROWS[key]
    old, new = settings(ALARMS), settings(ALARMS.replace(before, after, 1))
    found = plan(old, new)
    assert key.replace("triggers.", "triggers[t].") in found.changed
    assert found.settings == new
    if "files with secrets" in found.changed:
        # What is never synchronized is another now.
        assert old.secret_files != new.secret_files
    else:
        assert differing(found) == {}
    gone = plan(new, old)
    assert set(gone.changed) == set(found.changed)


def test_alarm_tables_that_come_and_go_are_named_alone(settings: Any) -> None:
    with_variables = f'{ALARMS}[variables]\nsite = "n"\n'
    assert plan(settings(BASE), settings(with_variables)).changed == ("smtp", "variables", "triggers[t]")
    assert plan(settings(with_variables), settings(BASE)).changed == ("smtp", "variables", "triggers[t]")
    other = with_variables.replace('site = "n"', "floor = 1")
    assert plan(settings(with_variables), settings(other)).changed == ("variables.floor", "variables.site")


def test_rules_disturb_only_the_streams_that_they_can_apply_to(settings: Any) -> None:
    table = '[[failover.substitute]]\nfrom = "10.9.0.1"\nto = "10.9.0.2"\n'
    address = 'address = "10.0.0.1:7443"\n'
    everywhere = BASE.replace(address, f"{address}{table}", 1)
    assert differing(plan(settings(BASE), settings(everywhere))) == {"streams": anew(*ALL_OF_DR_A)}
    one = BASE.replace(address, f'{address}{table}domains = ["one"]\n', 1)
    assert differing(plan(settings(BASE), settings(one))) == {"streams": anew(*ALL_OF_ONE)}


def test_the_table_has_a_row_for_every_key_of_the_configuration() -> None:
    """A key that is added must say what it disturbs."""
    named = {re.sub(r"^(domains)\.one|^(failover)\[dr-a\]", r"\1\2", key) for key in ROWS}
    # A target or domain of another name is another one; substitution has a table of its own.
    others = {"failover.name", "triggers.name", *ALARM_ROWS, *(f"node.{key}" for key in NEEDS_RESTART)}
    missing = {key for key in known_keys() if not key.startswith("failover.substitute")} - named - others
    assert missing == set()


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ('name = "n"', 'name = "m"', "node.name"),
        ('mode = "production"', 'mode = "failover"', "node.mode"),
        ('state = "/var/lib/n"', 'state = "/var/lib/m"', "node.state"),
        ("[node]\n", '[node]\nlisten = "0.0.0.0:1"\n', "node.listen"),
        ("[node]\n", '[node]\nhttp = ""\n', "node.http"),
    ],
)
def test_what_needs_a_restart_is_not_applied_and_the_rest_is(settings: Any, before: str, after: str, key: str) -> None:
    old = settings(BASE)
    new = settings(BASE.replace(before, after, 1).replace(ONE, f'{ONE}settle = "30ms"\n'))
    found = plan(old, new)
    assert found.waiting == (key,)
    assert found.changed == ("domains.one.settle",)
    assert found.settings.node == old.node
    assert found.settings.domains == new.domains
    assert differing(found) == {"retimed": {"one"}}
    # It waits for as long as the file says so.
    assert plan(found.settings, new).waiting == (key,)


def test_domains_and_targets_that_come_and_go(settings: Any) -> None:
    three = f'{BASE}\n[domains.three]\npath = "/srv/three"\n'
    old, new = settings(BASE), settings(three)
    found = plan(old, new)
    assert found.changed == ("domains.three", "failover[dr-a].domains")
    begun = Turnover(frozenset(), frozenset({"three"}))
    streams = Turnover(frozenset(), frozenset({("dr-a", "three")}))
    assert differing(found) == {"captures": begun, "streams": streams, "destinations": begun, "monitors": begun}
    back = plan(new, old)
    ended = Turnover(frozenset({"three"}), frozenset())
    streams = Turnover(frozenset({("dr-a", "three")}), frozenset())
    assert differing(back) == {"captures": ended, "streams": streams, "destinations": ended, "monitors": ended}
    without = settings(BASE.partition('[[failover]]\nname = "dr-b"')[0])
    gone = plan(old, without)
    assert gone.changed == ("failover[dr-b]",)
    assert differing(gone) == {"streams": Turnover(frozenset({("dr-b", "two")}), frozenset())}


def test_another_order_in_the_file_disturbs_nothing(settings: Any) -> None:
    first, middle, last = BASE.partition('[[failover]]\nname = "dr-b"')
    first, head, target = first.partition('[[failover]]\nname = "dr-a"')
    found = plan(settings(BASE), settings(f"{first}{middle}{last}\n{head}{target}"))
    assert (found.changed, differing(found)) == ((), {})


def test_a_full_synchronization_is_told_where_rules_or_patterns_of_a_kept_stream_change(settings: Any) -> None:
    old = settings(BASE)
    rule = f'{DR_A}[[failover.substitute]]\nfrom = "10.1.0.1"\nto = "10.2.0.1"\ndomains = ["two"]\n'
    # The table of the rule stands behind the target's own keys.
    ruled = BASE.replace(f'{DR_A}address = "10.0.0.1:7443"\n', rule.replace(DR_A, f'{DR_A}address = "10.0.0.1:7443"\n'))
    assert plan(old, settings(ruled)).resynchronized == (("dr-a", "two"),)
    patterns = BASE.replace("[domains.two]\n", '[domains.two]\nexclude = ["*.tmp"]\n')
    assert plan(old, settings(patterns)).resynchronized == (("dr-a", "two"), ("dr-b", "two"))
    others = BASE.replace(DR_A, f'{DR_A}timeout = "3s"\n').replace(ONE, f'{ONE}settle = "1ms"\n')
    assert plan(old, settings(f'{others}[domains.three]\npath = "/srv/three"\n')).resynchronized == ()
