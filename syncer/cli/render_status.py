"""A status as tables: what is lost first, then targets, domains and problems."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from syncer.cli.exposure import Severity, sentences, stream_severity
from syncer.cli.output import printable
from syncer.cli.render_alarms import alarm_lines
from syncer.cli.render_drift import drift_lines, drift_sentence
from syncer.cli.render_frozen import frozen_lines
from syncer.cli.render_network import network_lines
from syncer.cli.render_procedures import status_lines
from syncer.cli.wording import bytes_in_words, counted, moment_in_words, seconds_in_words

PROBLEMS_SHOWN = 10
FORGOTTEN_SECONDS = 3600.0


def render_status(status: dict[str, Any]) -> RenderableType:
    """Return everything that `syncer status` shows."""
    parts: list[RenderableType] = [
        Text(printable(sentence.text), style=f"bold {sentence.severity.value}") for sentence in sentences(status)
    ]
    parts += [Text(""), _node(status), *_configuration(status["configuration"])]
    parts += list(_actions(status["actions"]))
    parts += list(_refused(status["refused"]))
    parts += list(network_lines(status))
    if status["targets"]:
        parts += [Text(""), _targets(status["targets"])]
    if status["domains"]:
        parts += [Text(""), _domains(status["domains"])]
    approvals = list(_approvals(status["targets"]))
    problems = list(_problems(status))
    drift = list(_local_edits(status))
    limits = [*_limits(status["targets"]), *_overflows(status["domains"])]
    alarms = list(alarm_lines(status))
    procedures = list(status_lines(status["procedures"]))
    services = list(_services(status))
    frozen = list(frozen_lines(status["domains"]))
    held = list(_holds(status["domains"]))
    for lines in (procedures, alarms, frozen, held, approvals, problems, limits, services, drift):
        if lines:
            parts += [Text(""), *lines]
    return Group(*parts)


def _node(status: dict[str, Any]) -> Text:
    term = status["term"]["counter"]
    facts = [status["node"], status["mode"], f"term {term}", f"agent {status['agent']}"]
    if status.get("pid"):
        facts[-1] += f" (process {status['pid']})"
    if status["listen"]:
        facts.append(f"listening on {status['listen']}")
    if status.get("http"):
        facts.append(f"health on {status['http']}")
    return Text(printable(" · ".join(facts)))


def _configuration(configuration: dict[str, Any]) -> list[Text]:
    """Say where the file is not what is in force."""
    lines = []
    if configuration["error"]:
        since = moment_in_words(configuration["loaded_at"])
        what = f"the configuration has errors and was not reloaded; that of {since} is in force:"
        lines = [what, *(f"  {line}" for line in configuration["error"].splitlines())]
    if configuration["restart_needed"]:
        lines.append(f"restart the agent for {', '.join(configuration['restart_needed'])} to take effect")
    return [Text(printable(line), style=Severity.LATE.value) for line in lines]


def _actions(actions: dict[str, int]) -> Iterator[Text]:
    """Yield what could not be mailed, posted or run for a trigger."""
    if actions["given_up"]:
        what = f"{counted(actions['given_up'], 'action')} of triggers given up: `syncer outbox` shows why"
        yield Text(f"{what}, `syncer outbox --drop --given-up` takes note of it", style=Severity.BAD.value)
    if actions["lost"]:
        what = (
            f"{counted(actions['lost'], 'action')} of triggers never kept, since too many waited: see `syncer outbox`"
        )
        yield Text(f"{what}; `syncer outbox --drop --given-up` takes note of it", style=Severity.BAD.value)
    if actions["waiting"]:
        yield Text(f"{counted(actions['waiting'], 'action')} of triggers waiting: `syncer outbox` shows for what")


def _refused(refused: list[dict[str, Any]]) -> Iterator[Text]:
    """Yield who comes to send here and may not."""
    for item in refused:
        yield Text(printable(f"{item['peer']} is refused: {item['reason']}"), style=Severity.LATE.value)


def _table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def _targets(targets: list[dict[str, Any]]) -> Table:
    table = _table(
        "TARGET", "DOMAIN", "STATE", "BEHIND", "OLDEST", "LAST SUCCESS", "LAST FULL", "REASON",
        right=("BEHIND", "OLDEST"),
    )  # fmt: skip  # the columns in one line each
    for target in targets:
        if not target["domains"]:
            state = Text(target["state"], style=Severity.BAD.value)
            table.add_row(
                Text(printable(target["name"])), "-", state, "", "", "", "", Text(printable(target["reason"]))
            )
        for domain in target["domains"]:
            table.add_row(
                Text(printable(target["name"])),
                Text(printable(domain["name"])),
                Text(domain["state"], style=stream_severity(domain).value),
                _behind(domain),
                seconds_in_words(domain["oldest_seconds"]) if domain["oldest_seconds"] else "",
                moment_in_words(domain["last_success"]),
                moment_in_words(domain["last_full"]),
                Text(printable(domain["reason"])),
            )
    return table


def _behind(domain: dict[str, Any]) -> str:
    if domain["changes_behind"] is None:
        return "unknown"
    if not domain["changes_behind"]:
        return "0"
    size = f" ({bytes_in_words(domain['bytes_behind'])})" if domain["bytes_behind"] else ""
    return f"{domain['changes_behind']:,}{size}"


def _domains(domains: list[dict[str, Any]]) -> Table:
    table = _table("DOMAIN", "PATH", "STATE", "ENTRIES", "WATCHED", "PROBLEMS", "REASON", right=("ENTRIES",))
    for domain in domains:
        watched = ""
        if domain.get("directories") is not None:
            watched = f"{domain.get('watched') or 0:,} of {domain['directories']:,}"
        table.add_row(
            Text(printable(domain["name"])),
            Text(printable(domain["path"])),
            Text(domain["state"], style="" if not domain["reason"] else Severity.LATE.value),
            "" if domain.get("entries") is None else f"{domain['entries']:,}",
            watched,
            str(len(domain["problems"])),
            Text(printable(domain["reason"])),
        )
    return table


def _approvals(targets: list[dict[str, Any]]) -> list[Text]:
    lines = []
    for target in targets:
        for domain in target["domains"]:
            approval = domain.get("approval")
            if approval:
                lost = counted(approval["deletions"], "deletion")
                lost += f" and {counted(approval['overwrites'], 'overwrite')} in {domain['name']}"
                what = f"{lost} wait for your approval: syncer approve {target['name']}"
                lines.append(Text(printable(what), style="bold"))
    return lines


def _limits(targets: list[dict[str, Any]]) -> Iterator[Text]:
    """Yield what targets cannot hold; domains of one target often say the same."""
    for target in targets:
        said: dict[str, list[str]] = {}
        for domain in target["domains"]:
            for limit in domain.get("limits", ()):
                said.setdefault(limit, []).append(domain["name"])
        for limit, domains in said.items():
            yield Text(f"limit: {printable(target['name'])} {printable(', '.join(domains))}: {printable(limit)}")


def _overflows(domains: list[dict[str, Any]]) -> Iterator[Text]:
    """Yield where the kernel's queue of changes was full: nothing was lost, but each time everything is scanned."""
    for domain in domains:
        if domain.get("overflows"):
            times = counted(domain["overflows"], "time")
            what = f"overflow: {domain['name']}: the kernel's queue of changes was full {times} since the agent's start"
            yield Text(printable(f"{what}; nothing was lost. Raise fs.inotify.max_queued_events where that goes on"))


def _holds(domains: list[dict[str, Any]]) -> Iterator[Text]:
    for domain in domains:
        for hold in domain.get("holds", ()):
            what = f"hold: {domain['name']} since {seconds_in_words(hold['seconds'])} by `{hold['command']}`"
            if hold["state"] == "failed":
                yield Text(printable(f"{what}, which failed: {hold['detail']}"), style=f"bold {Severity.BAD.value}")
            else:
                forgotten = ": is it forgotten?" if hold["seconds"] > FORGOTTEN_SECONDS else ""
                yield Text(printable(f"{what}, process {hold['pid']}{forgotten}"))


def _services(status: dict[str, Any]) -> Iterator[Text]:
    """Yield how services are, and how old that is."""
    for domain in status["domains"]:
        service = domain.get("service")
        if service:
            told = f"services: {domain['name']}: {service['state']} since {moment_in_words(service['since'])}"
            asked = f", last asked {moment_in_words(service['checked_at'])}" if service["checked_at"] else ""
            yield Text(printable(told + asked), style=Severity.BAD.value if service["detail"] else "dim")
    for target in status["targets"]:
        for domain in target["domains"]:
            if domain.get("service"):
                style = Severity.BAD.value if ": " in domain["service"] else "dim"
                yield Text(printable(f"services: {target['name']} {domain['name']}: {domain['service']}"), style=style)


def _local_edits(status: dict[str, Any]) -> Iterator[Text]:
    """Yield what was edited on failover and who wins, and what it keeps as its own."""
    for domain in status["domains"]:
        found = domain.get("drift")
        if found and found["count"]:
            yield Text(printable(drift_sentence(domain["name"], found)), style=Severity.LATE.value)
            yield from (Text(f"  {line}") for line in drift_lines(found))
        if domain.get("kept_local"):
            yield Text(printable(_kept(domain["name"], domain["kept_local"])), style="dim")
    for target in status["targets"]:
        for domain in target["domains"]:
            where = f"{target['name']} {domain['name']}"
            if domain.get("drift"):
                edited = (
                    f"{counted(domain['drift'], 'path')} edited there: `syncer drift` on {target['name']} shows them"
                )
                yield Text(printable(f"{where}: {edited}"), style=Severity.LATE.value)
            if domain.get("kept_local"):
                yield Text(printable(_kept(where, domain["kept_local"])), style="dim")
            if domain.get("last_verified"):
                yield Text(printable(f"{where}: last verified {moment_in_words(domain['last_verified'])}"), style="dim")


def _kept(where: str, paths: list[str]) -> str:
    return f"{where}: {counted(len(paths), 'path')} left alone by keep_local, such as {paths[0]}"


def _problems(status: dict[str, Any]) -> list[Text]:
    found = [(domain["name"], problem) for domain in status["domains"] for problem in domain["problems"]]
    found += [
        (f"{target['name']} {domain['name']}", problem)
        for target in status["targets"]
        for domain in target["domains"]
        for problem in domain["problems"]
    ]
    lines = [
        Text(f"problem: {printable(where)}: {printable(problem['path'])}: {printable(problem['reason'])}")
        for where, problem in found[:PROBLEMS_SHOWN]
    ]
    if len(found) > PROBLEMS_SHOWN:
        lines.append(Text(f"and {counted(len(found) - PROBLEMS_SHOWN, 'more problem')}: --json shows all"))
    return lines
