from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from syncer.cli.exposure import Severity, sentences, stream_severity, target_severity
from syncer.cli.output import printable
from syncer.cli.progress import _Lines, sentence_of
from syncer.cli.render_status import render_status
from syncer.cli.render_synchronization import lines_of
from syncer.cli.wording import bytes_in_words, counted, moment_in_words, seconds_in_words
from tests.documented import deviations, examples


def status(**domain: Any) -> dict[str, Any]:
    found = examples()["status"]
    found["targets"][0]["domains"][0].update(domain)
    found["targets"][0].update({key: domain[key] for key in ("state", "reason") if key in domain})
    return found


def read_wholly(document: dict[str, Any]) -> dict[str, Any]:
    for domain in document["domains"]:
        domain["problems"] = []
    return document


def rendered(document: dict[str, Any]) -> str:
    out = io.StringIO()
    Console(file=out, width=400).print(render_status(document))
    return out.getvalue()


@pytest.mark.parametrize(
    ("domain", "text", "severity"),
    [
        ({}, "failing over to dr-a now would lose 3 changes in nginx, the oldest 41 s old", Severity.LATE),
        ({"changes_behind": 0, "problems": []}, "failing over to dr-a now would lose nothing", Severity.GOOD),
        (
            {"changes_behind": 0, "problems": [], "state": "unreachable", "reason": "it does not answer"},
            "failing over to dr-a now would lose nothing (unreachable: it does not answer)",
            Severity.BAD,
        ),
        (
            {"changes_behind": 0},
            "failing over to dr-a now would lose 1 path that could not be handled (see problems)",
            Severity.LATE,
        ),
        (
            {"changes_behind": None, "state": "connecting"},
            "what failing over to dr-a now would lose of nginx is unknown (connecting)",
            Severity.LATE,
        ),
        (
            {"cursor_seq": None, "state": "full"},
            "failing over to dr-a now would lose all of nginx, which it has never received (full)",
            Severity.LATE,
        ),
        (
            {
                "changes_behind": 1,
                "oldest_seconds": None,
                "state": "suspended",
                "reason": "the root is missing",
            },
            "failing over to dr-a now would lose 1 change in nginx (suspended: the root is missing)",
            Severity.BAD,
        ),
    ],
)
def test_production_says_what_each_target_lacks(domain: dict[str, Any], text: str, severity: Severity) -> None:
    assert sentences(read_wholly(status(**domain))) == [(text, severity)]


def test_what_production_itself_cannot_handle_is_missing_on_every_target() -> None:
    document = read_wholly(status(changes_behind=0, problems=[]))
    document["domains"][0]["problems"] = [{"path": "pipe", "reason": "is a FIFO"}]
    [sentence] = sentences(document)
    assert sentence.text == "failing over to dr-a now would lose 1 path that could not be handled (see problems)"
    assert sentence.severity is Severity.LATE


def test_failover_says_only_what_it_was_told() -> None:
    document = examples()["status-failover"]
    [sentence] = sentences(document)
    assert sentence.text == (
        "taking over now would lose at least 3 changes in nginx, the oldest 41 s old, "
        "as of 600 ms ago (production is prod-a)"
    )
    assert sentence.severity is Severity.LATE
    document["production"]["domains"][0]["changes_behind"] = 0
    assert sentences(document)[0].severity is Severity.GOOD
    document["production"]["domains"][0]["cursor_seq"] = None
    [sentence] = sentences(document)
    assert "would lose all of nginx, which it has never received" in sentence.text
    assert sentence.severity is Severity.LATE
    document["production"]["domains"][0]["cursor_seq"] = 1
    document["production"]["seconds_since_heard"] = 40.0
    document["production"]["domains"][0]["changes_behind"] = 3
    assert sentences(document)[0] == (
        (
            "taking over now would lose at least 3 changes in nginx, the oldest 41 s old, as of 40 s ago; "
            "unknown since (prod-a is silent)"
        ),
        Severity.BAD,
    )
    document["production"]["domains"][0]["changes_behind"] = None
    assert "of nginx nothing is known" in sentences(document)[0].text
    document["production"] = None
    assert "is unknown" in sentences(document)[0].text


def test_without_agent_or_targets_nothing_is_promised() -> None:
    changes: list[dict[str, Any]] = [{"agent": "stopped"}, {"targets": []}, {"mode": "fenced"}]
    for change in changes:
        [sentence] = sentences({**status(changes_behind=0), **change})
        assert sentence.severity is Severity.BAD


@pytest.mark.parametrize("state", ["connecting", "full", "streaming", "suspended", "unreachable"])
@pytest.mark.parametrize("behind", [0, 1, None])
def test_only_what_streams_and_lacks_nothing_is_green(state: str, behind: int | None) -> None:
    domain = {"state": state, "changes_behind": behind}
    assert (stream_severity(domain) is Severity.GOOD) == (state == "streaming" and behind == 0)
    worst = target_severity({"domains": [{"state": "streaming", "changes_behind": 0}, domain]})
    assert worst is stream_severity(domain)


def test_a_target_that_receives_nothing_is_not_green() -> None:
    assert target_severity({"domains": []}) is Severity.BAD


def test_the_tables_show_everything_in_whole_lines() -> None:
    text = rendered(status())
    for expected in (
        "prod-a · production · term 1 · agent running (process 4711) · listening on 10.0.1.10:7443",
        " · health on 127.0.0.1:7480",
        "3 (2.0 KiB)",
        "24 of 24",
        "2 deletions and 1 overwrite in nginx wait for your approval: syncer approve dr-a",
        "problem: nginx: run/socket: is a socket",
        "problem: dr-a nginx: conf.d/secret: cannot be written: Permission denied",
    ):
        assert expected in text
    assert "\x1b" not in text
    assert "receiving" in rendered(examples()["status-failover"])


def test_services_that_fail_stand_first_and_others_are_shown() -> None:
    running = examples()["status-failover"]
    assert "services: nginx: running since" in rendered(running)
    assert len(sentences(running)) == 1
    running["domains"][0]["service"] |= {"state": "failed", "detail": "start failed (x: 1): no"}
    assert sentences(running)[1] == ("services of nginx: failed: start failed (x: 1): no", Severity.BAD)
    running["domains"][0]["service"] = None
    assert "services" not in rendered(running)
    assert "services: dr-a nginx: running" in rendered(status())
    assert sentences(status(service="stopped: look"))[1].text == "services of nginx on dr-a: stopped: look"
    assert "services" not in rendered(status(service=None))


def test_alarms_and_clocks_that_differ_have_their_lines() -> None:
    document = status()
    assert "alarm: target.behind of dr-a nginx since 2026-01-31" in rendered(document)
    assert "clock:" not in rendered(document)
    document["targets"][0]["clock_skew_seconds"] = -7.25
    assert "clock: dr-a is 7.2 s behind this node" in rendered(document)
    document = examples()["status-failover"]
    assert "alarm:" not in rendered(document)
    # Failover measures itself against production; what is shown is production's clock.
    document["production"]["clock_skew_seconds"] = -3600.0
    document["alarms"] = [{"event": "peer.silent", "peer": "", "domain": "", "since": "2026-01-31T12:00:00+00:00"}]
    assert "clock: prod-a is 1 h ahead of this node" in rendered(document)
    assert "alarm: peer.silent since 2026-01-31" in rendered(document)


def test_many_problems_are_counted() -> None:
    document = status()
    document["domains"][0]["problems"] = [{"path": f"[red]{n}\udcff", "reason": "x"} for n in range(30)]
    text = rendered(document)
    assert "and 21 more problems" in text
    assert "[red]0\\xff" in text


def test_a_status_of_a_node_that_has_just_started_can_be_shown() -> None:
    document = status()
    for key in ("entries", "directories", "watched", "last_full_scan_seconds"):
        document["domains"][0][key] = None
    document["targets"][0]["domains"] = []
    assert "-" in rendered(document)


def result_of(**domain: Any) -> str:
    result = examples()["snapshot"]
    result["targets"][0]["domains"][0].update(domain)
    return "\n".join(lines_of(result))


def test_outcomes_in_words() -> None:
    nothing: dict[str, Any] = {"plan": [], "plan_total": 0, "unsent": [], "approval": None}
    assert result_of(outcome="equal", **nothing) == "dr-a nginx: equal, nothing to do (210 ms)"
    applied = result_of(outcome="applied", changes=1, bytes=2048, **nothing)
    assert applied == "dr-a nginx: applied 1 change, sent 2.0 KiB, in 210 ms"
    assert result_of(outcome="unreachable", error="gone", **nothing) == "dr-a nginx: unreachable: gone"
    assert result_of(outcome="planned").splitlines() == [
        "dr-a nginx: 3 paths would change; a synchronization would ask for your approval",
        "  update   file      nginx.conf (1.4 KiB)",
        "  and 2 more paths",
        "  not sent hosts.map: more than 256 KiB would be needed to restore this file after its rendering: …",
    ]
    unsent = nothing | {"unsent": [{"path": "x", "reason": "why"}]}
    assert result_of(outcome="equal", **unsent).splitlines() == [
        "dr-a nginx: equal but for 1 file that cannot be sent (210 ms)",
        "  not sent x: why",
    ]


def test_progress_lines_come_once_a_second() -> None:
    now = [0.0]
    lines: list[str] = []
    show = _Lines(lines.append, lambda: now[0])
    for moment in (0.1, 0.9, 1.1, 1.2, 2.2):
        now[0] = moment
        show(examples()["progress"])
    assert lines == ["dr-a nginx: transfer 17 of 200, 34.0 KiB"] * 2
    assert sentence_of({"phase": "scan", "done": 3, "total": 0, "bytes": 0, "domain": "x"}) == "x: scan 3"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0004, "0.4 ms"), (0.012, "12 ms"), (0.0999, "100 ms"), (0.6, "600 ms"), (1, "1.0 s"), (9.96, "10 s"),
        (41.2, "41 s"), (59.7, "1 min"), (125, "2 min 5 s"), (7300, "2 h 1 min"),
        (90000, "1 d 1 h"), (-1, "0.0 ms"),
    ],
)  # fmt: skip  # a table
def test_lengths_of_time(seconds: float, words: str) -> None:
    assert seconds_in_words(seconds) == words


def test_sizes_counts_and_moments() -> None:
    assert [bytes_in_words(size) for size in (0, 1023, 1024, 150 * 1024, 5 * 1024**4)] == [
        "0 B", "1023 B", "1.0 KiB", "150 KiB", "5.0 TiB"
    ]  # fmt: skip  # a table
    assert [counted(number, "path") for number in (0, 1, 1200)] == ["0 paths", "1 path", "1,200 paths"]
    assert moment_in_words(None) == "never"
    assert moment_in_words("2026-01-31T12:00:00.123+00:00").endswith(":00")


def test_printable_keeps_what_people_can_read() -> None:
    assert printable("größe →.conf") == "größe →.conf"
    assert printable("a\nb\t\x1b[2J\udcff") == "a\\nb\\t\\x1b[2J\\xff"


def test_deviations_from_the_documented_shapes_are_found() -> None:
    documented = {"a": 1, "b": [{"c": "x"}], "d": None}
    assert deviations(documented, {"a": 1.5, "b": [], "d": 3}) == []
    assert sorted(deviations(documented, {"a": "1", "b": [{"c": "y"}, {}], "e": 1})) == [
        ".a is str, documented as int", ".b[].c is missing", ".d is missing", ".e is not documented"
    ]  # fmt: skip  # a table


def test_a_file_that_is_not_in_force_is_shown() -> None:
    assert "has errors" not in rendered(status())
    document = status()
    document["configuration"] |= {"error": "x.toml: one\nx.toml: two", "restart_needed": ["node.listen", "node.name"]}
    lines = [line.strip() for line in rendered(document).splitlines()]
    first = next(number for number, line in enumerate(lines) if "has errors and was not reloaded" in line)
    assert lines[first + 1 : first + 4] == [
        "x.toml: one",
        "x.toml: two",
        "restart the agent for node.listen, node.name to take effect",
    ]


def test_actions_of_triggers_that_were_not_done_are_shown() -> None:
    status = examples()["status"]
    assert "of triggers" not in rendered(status)
    status["actions"] = {"waiting": 2, "given_up": 1, "lost": 3}
    shown = rendered(status)
    assert "2 actions of triggers waiting: `syncer outbox`" in shown
    assert "1 action of triggers given up: `syncer outbox`" in shown
    assert "`syncer outbox --drop --given-up` takes note of it" in shown
    assert "3 actions of triggers never kept, since too many waited" in shown


def test_a_queue_that_was_full_has_a_line() -> None:
    status = examples()["status"]
    assert "overflow" not in rendered(status)
    status["domains"][0]["overflows"] = 2
    assert "overflow: nginx: the kernel's queue of changes was full 2 times since the agent's start" in rendered(status)
