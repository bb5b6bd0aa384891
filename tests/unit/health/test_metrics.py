"""The metrics: what they say, that Prometheus accepts them, and that documents and alerts name no others."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from syncer.health.catalogue import METRICS, PROCESS, shown_name
from syncer.health.exposition import exposition
from syncer.health.measurements import SECONDS_BOUNDS, Measurements
from syncer.health.samples import CAPTURE_STATES, RECEIVING_STATES, TARGET_STATES
from tests.unit.health.looks import failover, look, measured, production

MONITORING = Path(__file__).parents[3] / "docs" / "monitoring"
SUFFIXES = ("_bucket", "_sum", "_count")
OF_PROMETHEUS = {"up"}
NAME = re.compile(r"\b((?:syncer|process)_[a-z_]+|up(?=\{))\b")


def families(status: dict[str, object], found: Measurements) -> dict[str, Metric]:
    text = exposition(look(status), found)[0].decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def values(family: Metric, name: str = "") -> dict[tuple[str, ...], float]:
    """Return the values by their labels in the catalogue's order, and `le` behind them."""
    order = (*METRICS[family.name].labels, "le")
    return {
        tuple(sample.labels[label] for label in order if label in sample.labels): sample.value
        for sample in family.samples
        if sample.name == (name or family.name)
    }


def existing() -> set[str]:
    """Return every name that a query may use."""
    found = {shown_name(name) for name in METRICS} | set(PROCESS) | OF_PROMETHEUS
    found |= {name + suffix for name, metric in METRICS.items() if metric.kind == "histogram" for suffix in SUFFIXES}
    return found


def test_every_metric_of_the_catalogue_is_there_and_no_other() -> None:
    found = families(production(), measured()) | families(failover(), measured())
    # The parser names a counter without its _total.
    known = set(METRICS) | {name.removesuffix("_total") for name in PROCESS}
    assert found.keys() == known
    for name, metric in METRICS.items():
        assert (found[name].type, found[name].documentation) == (metric.kind, metric.meaning)
        for sample in found[name].samples:
            assert sample.labels.keys() - {"le"} == set(metric.labels), name


def test_what_status_says_is_what_the_metrics_say() -> None:
    found = families(production(), measured())
    stream = ("dr-a", "nginx")
    assert values(found["syncer_changes_behind"]) == {stream: 3}
    assert values(found["syncer_behind_bytes"]) == {stream: 2048}
    assert values(found["syncer_oldest_unacknowledged_seconds"]) == {stream: 41.2}
    assert values(found["syncer_last_success_timestamp_seconds"]) == {stream: 1769860800.123}
    assert values(found["syncer_target_state"]) == {(*stream, state): state == "streaming" for state in TARGET_STATES}
    assert values(found["syncer_domain_state"]) == {("nginx", state): state == "watching" for state in CAPTURE_STATES}
    assert values(found["syncer_mode"]) == {("production",): 1, ("failover",): 0, ("fenced",): 0}
    assert values(found["syncer_clock_skew_seconds"]) == {("dr-a",): -0.012}
    assert values(found["syncer_target_suspended_by_person"]) == {stream: 1}
    assert values(found["syncer_outbox_waiting"]) == {(): 5}
    assert values(found["syncer_paths_waiting"]) == {("nginx",): 3}
    here = families(failover(), measured())
    assert values(here["syncer_production_silence_seconds"]) == {(): 0.6}
    assert values(here["syncer_domain_state"]) == {("nginx", state): state == "receiving" for state in RECEIVING_STATES}
    assert values(here["syncer_check_failing"]) == {("nginx",): 1}
    assert values(here["syncer_reload_failing"]) == {("nginx",): 0}
    assert values(here["syncer_clock_skew_seconds"]) == {("prod-a",): 0.012}


def test_what_is_not_known_has_no_value() -> None:
    status = production()
    status["targets"][0]["domains"][0].update(changes_behind=None, oldest_seconds=None, last_success=None)
    status["targets"][0]["round_trip_seconds"] = None
    found = families(status, Measurements())
    for name in ("changes_behind", "oldest_unacknowledged_seconds", "last_success_timestamp_seconds"):
        assert f"syncer_{name}" not in found
    assert "syncer_round_trip_seconds" not in found
    assert "syncer_transaction_seconds" not in found


def test_counters_begin_at_0_so_that_their_first_increase_is_seen() -> None:
    found = families(production(), Measurements())
    assert values(found["syncer_transactions"], "syncer_transactions_total") == {
        ("dr-a", "nginx", kind, result): 0 for kind in ("partial", "full") for result in ("acknowledged", "rejected")
    }
    assert values(found["syncer_events"], "syncer_events_total") == {("sync",): 0, ("problem",): 0}


def test_histograms_add_up() -> None:
    found = Measurements()
    for seconds in (0.0005, 0.001, 0.0011, 60.0, 300.1):
        found.flushed("file", seconds)
    family = families(production(), found)["syncer_flush_seconds"]
    buckets = values(family, "syncer_flush_seconds_bucket")
    assert len(buckets) == len(SECONDS_BOUNDS) + 1
    assert [buckets["file", le] for le in ("0.001", "0.0025", "30.0", "60.0", "300.0", "+Inf")] == [2, 3, 3, 4, 4, 5]
    assert values(family, "syncer_flush_seconds_count") == {("file",): 5}
    assert values(family, "syncer_flush_seconds_sum") == {("file",): pytest.approx(360.1026)}


def test_nothing_is_lost_between_threads() -> None:
    found = Measurements()

    def some() -> None:
        for _ in range(5000):
            found.flushed("file", 0.01)
            found.raised("sync")

    threads = [threading.Thread(target=some) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found.counts("syncer_events") == {("sync",): 20_000}
    assert sum(found.histogram("syncer_flush_seconds")[("file",)].counts) == 20_000


def test_an_observation_costs_microseconds() -> None:
    found = Measurements()
    # Of this thread alone: what other processes take is not its cost.
    began = time.thread_time()
    for _ in range(20_000):
        found.flushed("file", 0.01)
    # It takes about 1 µs; what the bound catches is a system call or a library on the way.
    assert (time.thread_time() - began) / 20_000 < 20e-6


def test_labels_are_escaped() -> None:
    status = production()
    status["targets"][0]["name"] = 'dr "a"\\\n\udcff'
    text = exposition(look(status), Measurements())[0].decode()
    assert r'syncer_changes_behind{domain="nginx",target="dr \"a\"\\\n\\udcff"} 3.0' in text
    assert list(text_string_to_metric_families(text))


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("status", [production(), failover()], ids=["production", "failover"])
def test_promtool_finds_nothing_to_say(status: dict[str, object]) -> None:
    text = exposition(look(status), measured())[0]
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    spoiled = text.replace(b"syncer_term", b"syncer_term_total")
    refused = subprocess.run(["promtool", "check", "metrics"], input=spoiled, capture_output=True, check=False)
    assert refused.returncode != 0


def test_the_page_of_metrics_and_the_catalogue_say_the_same() -> None:
    rows = re.findall(
        r"^\| `((?:syncer|process)_\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|$",
        (MONITORING / "README.md").read_text("utf-8"),
        re.MULTILINE,
    )
    documented = {
        name: (kind, () if labels == "-" else tuple(re.findall(r"`(\w+)`", labels)), meaning)
        for name, kind, labels, meaning in rows
        if name not in PROCESS
    }
    known = {shown_name(name): (metric.kind, metric.labels, metric.meaning) for name, metric in METRICS.items()}
    assert documented == known
    assert {name: kind for name, kind, _, _ in rows if name in PROCESS} == dict(PROCESS)
    assert len(rows) == len(known) + len(PROCESS), "none twice"


def expressions_of_alerts() -> list[str]:
    return re.findall(r"^ +expr: (.+)$", (MONITORING / "alerts.yaml").read_text("utf-8"), re.MULTILINE)


def expressions_of_dashboard() -> list[str]:
    document = json.loads((MONITORING / "dashboard.json").read_text("utf-8"))
    return [target["expr"] for panel in document["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("expressions", [expressions_of_alerts(), expressions_of_dashboard()])
def test_alerts_and_dashboard_name_metrics_that_exist(expressions: list[str]) -> None:
    assert len(expressions) > 15
    for expression in expressions:
        names = NAME.findall(expression)
        assert names, f"{expression!a} asks for nothing of syncer"
        assert not set(names) - existing(), expression
        for name, matchers in re.findall(r"((?:syncer)_[a-z_]+)\{([^}]*)\}", expression):
            bare = re.sub(r"_(?:bucket|sum|count)$", "", name)
            metric = METRICS.get(bare) or METRICS[name.removesuffix("_total")]
            labels = set(re.findall(r"(\w+)(?:=~|!=|=|!~)\"", matchers)) - {"instance", "job"}
            assert labels <= set(metric.labels), expression


def test_states_that_alerts_look_for_exist() -> None:
    known = {*TARGET_STATES, *CAPTURE_STATES, *RECEIVING_STATES}
    found = [
        state
        for expression in (*expressions_of_alerts(), *expressions_of_dashboard())
        for states in re.findall(r'state(?:=~|=|!=)"([^"]+)"', expression)
        for state in states.split("|")
    ]
    assert found
    assert set(found) <= known


def test_every_panel_has_its_place() -> None:
    panels = json.loads((MONITORING / "dashboard.json").read_text("utf-8"))["panels"]
    places: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & places, panel["title"]
        places |= cells
    assert len({panel["id"] for panel in panels}) == len(panels)


@pytest.mark.needs("promtool")
def test_the_alert_rules_are_understood(tmp_path: Path) -> None:
    rules = MONITORING / "alerts.yaml"
    done = subprocess.run(["promtool", "check", "rules", rules], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"SUCCESS: {len(expressions_of_alerts())} rules found" in done.stdout
    # What the dashboard asks is parsed as rules too; Grafana's own variable is any text.
    lines = [
        f"      - record: panel:{number}\n        expr: {json.dumps(expression.replace('$instance', '.*'))}\n"
        for number, expression in enumerate(expressions_of_dashboard())
    ]
    panels = tmp_path / "panels.yaml"
    panels.write_text("groups:\n  - name: panels\n    rules:\n" + "".join(lines), "utf-8")
    done = subprocess.run(["promtool", "check", "rules", panels], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
