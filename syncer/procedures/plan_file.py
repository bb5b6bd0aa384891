"""A plan as a file that people read and decide in: a JSON object a line, shaped as docs/json.md says (pure)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any, TypeVar

from syncer.errors import PlanError
from syncer.model import Kind, path_flaw, shown
from syncer.procedures.comparison import Difference, Side, State, What
from syncer.procedures.home_plan import FINGERPRINT_SIZE, DomainPlan, Item, Plan, Policy, Take, summed

Choice = TypeVar("Choice", bound=Enum)

VERSION = 1
LONGEST_LINE = 64 * 1024
"""Characters; the longest path, every byte of it escaped, fits."""
MOST_DOMAINS = 10_000
_KINDS = {kind.name.lower(): kind for kind in Kind}


def lines_of(plan: Plan) -> Iterator[str]:
    """Yield the lines of a plan: what it is, each path that differs, and its end."""
    yield _line(
        {
            "plan": "reverse",
            "version": VERSION,
            "here": {"node": plan.here, "node_id": plan.here_id},
            "there": {"node": plan.there, "node_id": plan.there_id},
            "policy": plan.policy.value,
            "domains": [
                {
                    "name": found.domain,
                    "fingerprint": found.fingerprint.hex(),
                    "compared": "contents" if found.by_content else "changes",
                    "same": found.same,
                    "states": summed(found),
                    "undecided": len(found.undecided),
                }
                for found in plan.domains
            ],
        }
    )
    for found in plan.domains:
        for item in found.items:
            yield _line(_item(found.domain, item))
    yield _line({"end": sum(len(found.items) for found in plan.domains)})


def parse(lines: Iterable[str]) -> Plan:
    """Return the plan that `lines_of` wrote, with what people have decided in it.

    Raises PlanError, with the number of the line, for anything else: nothing in it is believed before it was checked.
    """
    reading = _Reading(lines)
    head = reading.next("its first line")
    if head.get("plan") != "reverse" or head.get("version") != VERSION:
        raise reading.flaw(f"this is no plan of `syncer reverse` in version {VERSION}")
    domains: dict[str, DomainPlan] = {}
    for one in reading.objects(head, "domains"):
        name = reading.text(one, "name")
        if name in domains or len(domains) >= MOST_DOMAINS:
            raise reading.flaw("domains names one twice, or too many")
        domains[name] = reading.domain(name, one)
    items: dict[str, list[Item]] = {name: [] for name in domains}
    plan = Plan(*reading.node(head, "here"), *reading.node(head, "there"), reading.choice(head, "policy", Policy), ())
    count = 0
    while "end" not in (line := reading.next("the line with its end")):
        name = reading.text(line, "domain")
        if name not in items:
            raise reading.flaw("domain is none of those that the first line names")
        items[name].append(reading.item(line))
        count += 1
    if reading.number_of(line, "end") != count:
        raise reading.flaw("lines are missing, or there are more than were written")
    reading.require_end()
    return plan._replace(domains=tuple(found._replace(items=tuple(items[name])) for name, found in domains.items()))


def require_same(given: Plan, fresh: Plan) -> None:
    """Raise PlanError unless `given` is the plan for what stands now, but for what people have decided in it.

    `fresh` is the plan that was made just now.
    """
    if (given.here_id, given.there_id) != (fresh.here_id, fresh.there_id):
        raise PlanError(
            f"the plan brings {given.here} home to {given.there}, not {fresh.here} to {fresh.there}: make a new one "
            "with `syncer reverse --plan`"
        )
    if [found.domain for found in given.domains] != [found.domain for found in fresh.domains]:
        raise PlanError("the plan is for other domains: make a new one with `syncer reverse --plan`")
    for ours, now in zip(given.domains, fresh.domains, strict=True):
        if ours.fingerprint != now.fingerprint:
            raise PlanError(
                f"domain {now.domain} has moved since the plan was made, here or there: look at it again, and make a "
                "new one with `syncer reverse --plan`"
            )
        if [item.difference for item in ours.items] != [item.difference for item in now.items]:
            raise PlanError(
                f"the plan says other things of domain {now.domain} than what stands: only `take` may be edited in it; "
                "make a new one with `syncer reverse --plan`"
            )


def _item(domain: str, item: Item) -> dict[str, Any]:
    found = item.difference
    return {
        "domain": domain,
        "path": shown(found.path),
        "state": found.state.value,
        "here": _side(found.here),
        "there": _side(found.there),
        "needs_person": found.needs_person,
        "take": item.take.value if item.take is not None else None,
    }


def _side(side: Side | None) -> dict[str, Any] | None:
    if side is None:
        return None
    kind = side.kind.name.lower() if side.kind is not None else None
    return {"change": side.what.value, "kind": kind, "size": side.size}


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(", ", ": "))


class _Reading:
    """Takes lines apart; what is wrong names its line."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._number = 0

    def flaw(self, what: str) -> PlanError:
        return PlanError(f"the plan cannot be carried out: line {self._number}: {what}")

    def next(self, missing: str) -> dict[str, Any]:
        line = next(self._lines, None)
        if line is None:
            raise PlanError(f"the plan cannot be carried out: it was cut off, {missing} is missing")
        self._number += 1
        if len(line) > LONGEST_LINE * (64 if self._number == 1 else 1):
            raise self.flaw("it is too long")
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self.flaw("it is no JSON") from error
        if not isinstance(value, dict):
            raise self.flaw("it is no JSON object")
        return value

    def require_end(self) -> None:
        if any(line.strip() for line in self._lines):
            raise self.flaw("something follows its end")

    def text(self, value: dict[str, Any], key: str) -> str:
        found = value.get(key)
        if not isinstance(found, str) or not found:
            raise self.flaw(f"{key} is not a text")
        return found

    def number_of(self, value: dict[str, Any], key: str) -> int:
        found = value.get(key)
        # A bool is an int to Python, and no number to a reader.
        if type(found) is not int or not 0 <= found < 1 << 63:
            raise self.flaw(f"{key} is not a number")
        return found

    def truth(self, value: dict[str, Any], key: str) -> bool:
        found = value.get(key)
        if not isinstance(found, bool):
            raise self.flaw(f"{key} is neither true nor false")
        return found

    def objects(self, value: dict[str, Any], key: str) -> list[dict[str, Any]]:
        found = value.get(key)
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise self.flaw(f"{key} is no list of objects")
        return found

    def node(self, value: dict[str, Any], key: str) -> tuple[str, str]:
        found = value.get(key)
        if not isinstance(found, dict):
            raise self.flaw(f"{key} is no object")
        return self.text(found, "node"), self.text(found, "node_id")

    def choice(self, value: dict[str, Any], key: str, values: type[Choice]) -> Choice:
        found = value.get(key)
        for one in values:
            if one.value == found:
                return one
        raise self.flaw(f"{key} is none of {', '.join(one.value for one in values)}")

    def domain(self, name: str, value: dict[str, Any]) -> DomainPlan:
        try:
            moment = bytes.fromhex(self.text(value, "fingerprint"))
        except ValueError as error:
            raise self.flaw("fingerprint is not hexadecimal") from error
        if len(moment) != FINGERPRINT_SIZE:
            raise self.flaw("fingerprint has another length")
        compared = value.get("compared")
        if compared not in ("changes", "contents"):
            raise self.flaw("compared is neither changes nor contents")
        return DomainPlan(name, moment, compared == "contents", self.number_of(value, "same"), ())

    def item(self, value: dict[str, Any]) -> Item:
        text = self.text(value, "path")
        try:
            path = b"" if text == "." else text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise self.flaw("path is no path") from error
        flaw = path_flaw(path)
        if flaw is not None:
            raise self.flaw(f"path {flaw}")
        take = None if value.get("take") is None else self.choice(value, "take", Take)
        found = Difference(
            path,
            self.choice(value, "state", State),
            self.side(value, "here"),
            self.side(value, "there"),
            self.truth(value, "needs_person"),
        )
        return Item(found, take)

    def side(self, value: dict[str, Any], key: str) -> Side | None:
        found = value.get(key)
        if found is None:
            return None
        if not isinstance(found, dict):
            raise self.flaw(f"{key} is no object")
        named = found.get("kind")
        if named is not None and (not isinstance(named, str) or named not in _KINDS):
            raise self.flaw(f"kind of {key} is none of {', '.join(_KINDS)}")
        kind = _KINDS[named] if isinstance(named, str) else None
        return Side(self.choice(found, "change", What), kind, self.number_of(found, "size"))
