"""`syncer leftovers`: what of production's addresses still stands on failover, told by either node."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal

from syncer.admin.progress import while_working
from syncer.admin.snapshot import SCAN_SECONDS, choose
from syncer.capture.keep_local import KeepLocal
from syncer.config import DomainSettings
from syncer.errors import ConfigurationError, RefusedError, UnavailableRootError
from syncer.leftovers import on_production
from syncer.leftovers.needles import Needles
from syncer.leftovers.on_failover import Search, Standing
from syncer.leftovers.own_addresses import own_addresses
from syncer.leftovers.report import Report, document_of
from syncer.model import Mode
from syncer.state.cursors import read_standing
from syncer.state.peer_addresses import addresses_of
from syncer.state.rules import rules_of
from syncer.substitution.attribution import Attribution
from syncer.substitution.rule import Rule
from syncer.substitution.rules import RuleSet

if TYPE_CHECKING:
    from syncer.node.agent import Node
    from syncer.node.production import ProductionSide

Event = tuple[Literal["progress", "result"], dict[str, Any]]


async def leftovers(node: Node, arguments: dict[str, Any]) -> AsyncIterator[Event]:
    """Search, with progress; the result is as docs/json.md describes it. Raises ConfigurationError."""
    asked = tuple(str(text) for text in arguments.get("addresses") or ())
    # Before the first byte is read: a wrong address is said at once.
    Needles((), (), asked)
    stopping = threading.Event()
    loop = asyncio.get_running_loop()
    events: asyncio.Queue[Event] = asyncio.Queue()

    def tell(target: str, domain: str) -> Callable[[int, int, int], None]:
        def progress(done: int, total: int, size: int) -> None:
            body = {"target": target, "domain": domain, "phase": "search", "done": done, "total": total, "bytes": size}
            loop.call_soon_threadsafe(events.put_nowait, ("progress", body))

        return progress

    search = _on_production if node.mode is Mode.PRODUCTION else _on_failover
    working = asyncio.create_task(search(node, arguments, asked, stopping, tell))
    try:
        async with aclosing(while_working(working, events)) as said:
            async for event in said:
                yield event
    finally:
        stopping.set()
    reports = working.result()
    yield (
        "result",
        {
            "mode": node.mode.value,
            "targets": [document_of(report) for report in reports],
            "exit_code": 3 if any(report.total for report in reports) else 0,
        },
    )


_Tell = Callable[[str, str], Callable[[int, int, int], None]]


async def _on_production(
    node: Node, arguments: dict[str, Any], asked: tuple[str, ...], stopping: threading.Event, tell: _Tell
) -> list[Report]:
    production = node.production
    if production is None:
        # RACE: the mode changes first, and the parts follow.
        raise RefusedError(f"{node.settings.node.name} is just becoming production: run `syncer leftovers` again")
    senders = choose(node, production, arguments)
    async with asyncio.timeout(SCAN_SECONDS):
        await production.flush()
    rules = {target.name: target.rules for target in node.settings.failover}
    own = own_addresses()
    reports = []
    for name in dict.fromkeys(sender.stream.target for sender in senders):
        report = Report(name, Attribution(rules[name].rules))
        needles = Needles(rules[name].rules, own, asked)
        for sender in senders:
            if sender.stream.target == name:
                sent = production.sent(sender.stream)
                told = tell(name, sent.domain)
                await asyncio.to_thread(_search, production, sent, needles, report, stopping, told)
        reports.append(report)
    return reports


def _search(
    production: ProductionSide,
    sent: on_production.Sent,
    needles: Needles,
    report: Report,
    stopping: threading.Event,
    tell: Callable[[int, int, int], None],
) -> None:
    on_production.search(production.index, sent, needles, report, stopping, tell)


async def leftovers_here(node: Node, stopping: threading.Event) -> Report:
    """Search this node's own disk without telling progress, until `stopping` is set."""
    [report] = await _on_failover(node, {}, (), stopping, lambda target, domain: lambda done, total, size: None)
    return report


async def _on_failover(
    node: Node, arguments: dict[str, Any], asked: tuple[str, ...], stopping: threading.Event, tell: _Tell
) -> list[Report]:
    if arguments.get("target") is not None:
        raise ConfigurationError(
            f"{node.settings.node.name} is in mode {node.mode.value}, and searches its own disk: leave the target out"
        )
    chosen = _domains(node, list(arguments.get("domains") or []))
    rules = _received(node)
    # What both nodes have, as the bridge of a container engine, tells nothing about where a file belongs.
    theirs = set(addresses_of(node.store)) - set(own_addresses())
    attribution = Attribution(rules)
    report = Report(node.settings.node.name, attribution)
    needles = Needles(rules, theirs, asked)
    for domain in chosen:
        await asyncio.to_thread(_look, node, domain, needles, attribution, report, stopping, tell("", domain.name))
    return [report]


def _look(
    node: Node,
    domain: DomainSettings,
    needles: Needles,
    attribution: Attribution,
    report: Report,
    stopping: threading.Event,
    tell: Callable[[int, int, int], None],
) -> None:
    assert node.failover is not None, "only without it there is no disk to search"
    scope = node.failover.destinations[domain.name].scope()
    standing = Standing(domain.name, domain.path, scope, KeepLocal(domain.keep_local))
    try:
        Search(node.store, standing, needles, attribution, report).run(stopping, tell)
    except OSError as error:
        raise UnavailableRootError(
            f"{domain.path}, the root of domain {domain.name}, cannot be searched ({error.strerror}): bring it back"
        ) from error


def _received(node: Node) -> list[Rule]:
    """Return the rules that production sent last, each for its domain."""
    found = []
    for domain in node.settings.domains:
        standing = read_standing(node.store, domain.name)
        row = rules_of(node.store, standing.source_node, domain.name) if standing is not None else None
        if row is not None and row[1]:
            found += [rule._replace(domains=(domain.name,)) for rule in RuleSet.decode(row[1]).rules]
    return found


def _domains(node: Node, names: list[str]) -> list[DomainSettings]:
    known = {domain.name: domain for domain in node.settings.domains}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigurationError(*(f"there is no domain {name!a}" for name in unknown))
    return [known[name] for name in names] if names else list(known.values())
