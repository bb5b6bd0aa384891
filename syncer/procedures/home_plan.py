"""Whose state of each path stays when a domain comes home, decided by policy and by people (pure)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from blake3 import blake3

from syncer.errors import PlanError
from syncer.model import Kind, parent_of, shown
from syncer.procedures.comparison import Compared, Difference, State, What

FINGERPRINT_SIZE = 32
"""Bytes of a fingerprint."""


class Policy(Enum):
    """Whose state a domain has afterwards, where no person says otherwise of a path."""

    SERVING = "serving"
    """That of the node that serves, as a whole: a mixture is a configuration that nobody ever had."""
    MERGE = "merge"
    """What each side changed alone; where both did, a person decides."""


class Take(Enum):
    """Whose state of a path stays."""

    HERE = "here"
    THERE = "there"


class Item(NamedTuple):
    """One path of a plan; `take` None: a person must decide first."""

    difference: Difference
    take: Take | None


class DomainPlan(NamedTuple):
    """What becomes of one domain."""

    domain: str
    fingerprint: bytes
    """Of all that was compared: where either side has moved since, another one."""
    by_content: bool
    """The other node's index was built anew since: everything was compared, not only what it changed."""
    same: int
    """Paths that nobody changed."""
    items: tuple[Item, ...]

    @property
    def undecided(self) -> tuple[bytes, ...]:
        """Paths that wait for a person."""
        return tuple(item.difference.path for item in self.items if item.take is None)


class Plan(NamedTuple):
    """What becomes of all domains that come home from one node to another."""

    here: str
    """Name of the node that serves."""
    here_id: str
    there: str
    there_id: str
    policy: Policy
    domains: tuple[DomainPlan, ...]


def fingerprint(*parts: bytes) -> bytes:
    """Return what stands for the states that were compared: summaries of both sides, and of the last common one."""
    hasher = blake3(b"home plan\n")
    for part in parts:
        hasher.update(b"%d\n" % len(part) + part)
    return hasher.digest()


def decide(
    domain: str,
    compared: Compared,
    policy: Policy,
    prefer: Mapping[bytes, Take],
    moment: bytes,
    *,
    by_content: bool = False,
) -> DomainPlan:
    """Return the plan for one domain at `moment`, its fingerprint.

    Raises PlanError where `prefer` names a path that nobody changed, or choices that cannot stand together.
    """
    known = {difference.path for difference in compared.differences}
    strange = sorted(prefer.keys() - known)
    if strange:
        raise PlanError(
            f"{shown(strange[0])!a} of domain {domain} is to be decided, but neither node has changed it: "
            "look at the plan again, and name paths that stand in it"
        )
    items = [Item(found, prefer.get(found.path) or _default(found, policy)) for found in compared.differences]
    items = _with_places(items, prefer)
    _require_directories(domain, items)
    return DomainPlan(domain, moment, by_content, compared.same, tuple(items))


def require_decided(plan: Plan) -> None:
    """Raise PlanError where a path waits for a person."""
    waiting = [(found.domain, path) for found in plan.domains for path in found.undecided]
    if waiting:
        domain, path = waiting[0]
        more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
        raise PlanError(
            f"{shown(path)!a} of domain {domain}{more} must be decided first: say here or there with `--prefer`, or in "
            "the plan"
        )


def taken(plan: DomainPlan, take: Take) -> list[Difference]:
    """Return what is taken of one side."""
    return [item.difference for item in plan.items if item.take is take]


def kept_in_history(plan: DomainPlan) -> list[Difference]:
    """Return the other node's changes that are overwritten when the domain comes home; its history keeps them."""
    return [found for found in taken(plan, Take.HERE) if found.there is not None and found.state is not State.ALIKE]


def _default(found: Difference, policy: Policy) -> Take | None:
    if found.state is State.NEVER_SENT:
        return Take.THERE
    if found.needs_person:
        return None
    if policy is Policy.SERVING or found.state in (State.HERE, State.ALIKE):
        return Take.HERE
    return Take.THERE if found.state is State.THERE else None


def _with_places(items: list[Item], prefer: Mapping[bytes, Take]) -> list[Item]:
    """Let what was never sent stay with the directories that it lies in; where one is another thing now, it goes.

    No person needs to decide that: nothing here stands against such a path.
    """
    gone = {item.difference.path for item in items if _is_no_directory(item)}
    never = [item.difference.path for item in items if item.difference.state is State.NEVER_SENT]
    never = [path for path in never if path not in prefer]
    if not gone or not never:
        return items
    places = {item.difference.path: number for number, item in enumerate(items)}
    found = list(items)
    for path in never:
        above = [place for place in _all_above(path) if place in gone]
        stay = all(
            place not in prefer and (side := items[places[place]].difference.here) is not None and side.kind is None
            for place in above
        )
        for place in above if stay else ():
            found[places[place]] = items[places[place]]._replace(take=Take.THERE)
        if not stay:
            found[places[path]] = items[places[path]]._replace(take=Take.HERE)
    return found


def _all_above(path: bytes) -> Iterator[bytes]:
    while path:
        path = parent_of(path)
        yield path


def _require_directories(domain: str, items: Sequence[Item]) -> None:
    """Raise PlanError where something is to stay below what is to be no directory."""
    gone = {item.difference.path for item in items if _is_no_directory(item)}
    if not gone:
        return
    for item in items:
        if not _stays(item):
            continue
        above = _first_above(item.difference.path, gone)
        if above is not None:
            path = item.difference.path
            raise PlanError(
                f"{shown(path)!a} of domain {domain} cannot stay below {shown(above)!a}, which is no directory then: "
                "decide both for the same node"
            )


def _is_no_directory(item: Item) -> bool:
    if item.take is None:
        return False
    side = item.difference.here if item.take is Take.HERE else item.difference.there
    if side is not None:
        return side.kind is not Kind.DIRECTORY
    # A side that did nothing has what both had: what the other one did tells what that was not.
    other = item.difference.there if item.take is Take.HERE else item.difference.here
    assert other is not None, "one of both did something"
    return other.what is What.CREATED or (other.what is What.KIND and other.kind is Kind.DIRECTORY)


def _stays(item: Item) -> bool:
    side = item.difference.here if item.take is Take.HERE else item.difference.there
    if item.take is None:
        return False
    if side is not None:
        return side.kind is not None
    # Nothing was done to it on the side that is taken: it stands there, unless the other one has created it.
    other = item.difference.there if item.take is Take.HERE else item.difference.here
    return other is not None and other.what is not What.CREATED


def _first_above(path: bytes, gone: Collection[bytes]) -> bytes | None:
    while path:
        path = parent_of(path)
        if path in gone:
            return path
    return None


def summed(plan: DomainPlan) -> dict[str, int]:
    """Return how many paths are in each state."""
    counts = {state.value: 0 for state in State}
    for item in plan.items:
        counts[item.difference.state.value] += 1
    return counts


def prefer_of(items: Iterable[Item]) -> dict[bytes, Take]:
    """Return the choices of a plan, as `decide` takes them."""
    return {item.difference.path: item.take for item in items if item.take is not None}
