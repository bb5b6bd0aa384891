"""What each fact of a failover node means for a planned promotion, a forced one, and a drill."""

from __future__ import annotations

from typing import Any

import pytest

from syncer.model import Mode
from syncer.procedures.preconditions import ROOM_NEEDED, ROOM_SCARCE, DomainFacts, Facts, ProductionFacts, assess
from syncer.procedures.readiness import Level, Purpose, document, refusals, warnings

PLANNED, FORCED, DRILL = Purpose
OK, WARNING, REFUSAL = Level

ALIVE = ProductionFacts("prod-a", True, "", Mode.PRODUCTION, 3, 0.4, 0.01)
DEAD = ProductionFacts("prod-a", False, "no route to host", seconds_since_heard=40.0)
GOOD = Facts("dr-a", Mode.FAILOVER, 3, ALIVE, "", (DomainFacts("nginx", starts=True, tells=True),), ROOM_SCARCE)


def levels(facts: Facts, name: str) -> tuple[Level | None, ...]:
    """Return the gravest level of what is called `name`, for each purpose; None where nothing is said of it."""
    found: list[Level | None] = []
    for purpose in Purpose:
        here = [finding.level for finding in assess(facts, purpose) if finding.name == name]
        found.append(max(here, key=list(Level).index, default=None))
    return tuple(found)


def domain(**changes: Any) -> Facts:
    return GOOD._replace(domains=(GOOD.domains[0]._replace(**changes),))


def test_a_pair_at_rest_is_ready_for_everything() -> None:
    for purpose in (PLANNED, DRILL):
        assert [finding for finding in assess(GOOD, purpose) if finding.level is not OK] == []
    # By force though it could hand over: that is warned of.
    assert [finding.name for finding in warnings(assess(GOOD, FORCED))] == ["production"]
    dead = GOOD._replace(production=DEAD._replace(seconds_since_heard=1.0))
    assert warnings(assess(dead, FORCED)) == refusals(assess(dead, FORCED)) == []


@pytest.mark.parametrize(
    ("facts", "name", "expected"),
    [
        (GOOD._replace(mode=Mode.PRODUCTION), "mode", (REFUSAL, REFUSAL, REFUSAL)),
        (GOOD._replace(mode=Mode.FENCED), "mode", (REFUSAL, REFUSAL, REFUSAL)),
        (GOOD._replace(production=None), "production", (REFUSAL, WARNING, REFUSAL)),
        (GOOD._replace(production=DEAD), "production", (REFUSAL, OK, WARNING)),
        (GOOD._replace(production=DEAD), "exposure", (WARNING, WARNING, WARNING)),
        (
            GOOD._replace(production=ALIVE._replace(mode=Mode.FENCED)),
            "production",
            (REFUSAL, WARNING, WARNING),
        ),
        (domain(changes_behind=3), "exposure", (OK, WARNING, OK)),
        (domain(changes_behind=None), "exposure", (OK, WARNING, OK)),
        (domain(is_received=False), "received", (REFUSAL, WARNING, REFUSAL)),
        (domain(unsettled="half done"), "settled", (REFUSAL, REFUSAL, REFUSAL)),
        (domain(trouble="no root"), "root", (REFUSAL, WARNING, REFUSAL)),
        (domain(drift=2), "drift", (WARNING, WARNING, WARNING)),
        (domain(problems=2), "problems", (WARNING, WARNING, WARNING)),
        (domain(checks=True, check_failure="nginx -t: 1"), "check", (REFUSAL, WARNING, REFUSAL)),
        (domain(checks=True, missing={"check": "nginx"}), "check", (REFUSAL, WARNING, REFUSAL)),
        (domain(checks=True, check_ran=True), "check", (OK, OK, OK)),
        (domain(missing={"start": "systemctl"}), "services", (REFUSAL, WARNING, REFUSAL)),
        (domain(missing={"status": "systemctl"}), "services", (WARNING, WARNING, WARNING)),
        (domain(services="failed", services_trouble="it exits"), "services", (WARNING, WARNING, WARNING)),
        (domain(home_trouble="rules disagree"), "home", (WARNING, WARNING, WARNING)),
        (GOOD._replace(free_bytes=ROOM_NEEDED - 1), "disk", (REFUSAL, WARNING, REFUSAL)),
        (GOOD._replace(free_bytes=ROOM_SCARCE - 1), "disk", (WARNING, WARNING, WARNING)),
        (GOOD._replace(free_bytes=None), "disk", (WARNING, WARNING, WARNING)),
        (GOOD._replace(missing_hooks={"before_promote": "x"}), "hooks", (REFUSAL, REFUSAL, REFUSAL)),
        (GOOD._replace(missing_hooks={"after_promote": "x"}), "hooks", (WARNING, WARNING, WARNING)),
        (GOOD._replace(production=ALIVE._replace(clock_skew_seconds=-60.0)), "clock", (WARNING, WARNING, WARNING)),
        (GOOD._replace(open_procedures=("reverse with b",)), "procedure", (REFUSAL, WARNING, WARNING)),
        (GOOD._replace(frozen=("nginx",)), "frozen", (WARNING, WARNING, WARNING)),
        (GOOD._replace(leftovers=(2, 1)), "leftovers", (WARNING, WARNING, WARNING)),
        (GOOD._replace(leftovers=(0, 0)), "leftovers", (OK, OK, OK)),
        (GOOD._replace(leftovers=(0, 0), is_searched=False), "leftovers", (OK, OK, OK)),
        (GOOD, "leftovers", (None, None, None)),
    ],
)
def test_what_a_fact_means_for_each_promotion(facts: Facts, name: str, expected: tuple[Level | None, ...]) -> None:
    assert levels(facts, name) == expected


def test_whatever_is_not_ok_says_what_to_do_and_where_it_says_so() -> None:
    facts = domain(drift=2, problems=1, home_trouble="rules disagree", missing={"start": "x", "stop": "y"})._replace(
        production=DEAD, frozen=("nginx",), leftovers=(1, 1), missing_hooks={"before_promote": "z"}
    )
    for purpose in Purpose:
        for finding in assess(facts, purpose):
            if finding.name not in ("exposure", "production"):
                assert bool(finding.cure) == (finding.level is not OK), finding


def test_the_document_counts() -> None:
    found = document(PLANNED, assess(domain(drift=1)._replace(production=DEAD), PLANNED))
    assert (found["ready"], found["warnings"], found["refusals"]) == (False, 2, 1)
    assert found["findings"][0]["level"] == "ok"
