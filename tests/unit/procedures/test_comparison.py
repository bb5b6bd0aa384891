"""Three sides of a domain compared: what each node did since the last state that both had."""

from __future__ import annotations

import time

import pytest

from syncer.errors import PlanError
from syncer.model import Entry, Kind
from syncer.origin import Origin
from syncer.procedures.comparison import Compared, Difference, Other, Side, State, What, common, compare
from syncer.procedures.home_plan import (
    DomainPlan,
    Policy,
    Take,
    decide,
    fingerprint,
    kept_in_history,
    summed,
    taken,
)
from syncer.replicate.compare import order_of

D = Kind.DIRECTORY
MOMENT = fingerprint(b"here", b"there")


def entry(path: str, data: bytes | Kind = b"1", *, mode: int = 0o644, mtime: int = 1, note: str = "") -> Entry:
    kind = data if isinstance(data, Kind) else Kind.FILE
    content = b"" if isinstance(data, Kind) else data
    digest = content.ljust(32, b"\0") if content else b""
    return Entry(path.encode(), kind, mode, 0, 0, "root", "root", mtime, len(content), digest, b"", note)


def tree(**files: bytes | Kind | Entry) -> list[Entry]:
    """Return entries in order; "__" in a name is a slash."""
    entries = [one if isinstance(one, Entry) else entry(name.replace("__", "/"), one) for name, one in files.items()]
    return sorted([entry("", D), *entries], key=lambda one: order_of(one.path))


def differences(
    base: list[Entry], here: list[Entry], there: list[Entry], unchanged: tuple[bytes, ...] = ()
) -> dict[str, Difference]:
    others = [Other(one, one.path not in unchanged) for one in there]
    compared = compare(base, here, others, lambda one: one.note == "?")
    return {found.path.decode(): found for found in compared.differences}


def test_nothing_differs_where_nobody_changed_anything() -> None:
    base = tree(a=b"1", d=D, d__x=b"2")
    compared = compare(base, base, [Other(one, changed=False) for one in base])
    assert (compared.differences, compared.same) == ([], 4)
    assert differences(base, tree(a=b"1", d=entry("d", D, mtime=9), d__x=b"2"), base) == {}


def test_what_was_never_here_is_held_within_bounds_and_all_else_is_not_counted() -> None:
    base = tree(**{f"file{number}": b"1" for number in range(20)})
    edited = [Other(one._replace(mode=0o600), changed=True) for one in base]
    assert len(compare(base, base, edited, most_held=0).differences) == 21
    for changed in (True, False):
        more = [Other(entry(f"new{number}"), changed=changed) for number in range(3)]
        assert len(compare(base, base, [*edited, *more], most_held=1000).differences) == 24
        with pytest.raises(PlanError, match="so much that was never here"):
            compare(base, base, [*edited, *more], most_held=700)
    # What is kept of a directory counts by what is told of it.
    wide = [Other(one._replace(attributes=b"x" * 1000), changed=True) for one in base[:1]]
    with pytest.raises(PlanError, match="so much that was never here"):
        compare(base, base, wide, most_held=700)


def test_each_side_is_told_with_what_it_did() -> None:
    base = tree(edited=b"1", gone=b"1", mode=b"1", kind=b"1", same=b"1")
    now = tree(edited=b"22", mode=entry("mode", mode=0o600), kind=D, same=b"1", new=b"333")
    done = {
        "edited": Side(What.EDITED, Kind.FILE, 2),
        "gone": Side(What.DELETED, None, 0),
        "mode": Side(What.METADATA, Kind.FILE, 1),
        "kind": Side(What.KIND, Kind.DIRECTORY, 0),
        "new": Side(What.CREATED, Kind.FILE, 3),
    }
    here = differences(base, now, base)
    assert {path: (found.state, found.here, found.there) for path, found in here.items()} == {
        path: (State.HERE, side, None) for path, side in done.items()
    }
    there = differences(base, base, now)
    assert {path: (found.state, found.here, found.there) for path, found in there.items()} == {
        path: (State.THERE, None, side) for path, side in done.items()
    }
    alike = differences(base, now, now)
    assert {found.state for found in alike.values()} == {State.ALIKE}


def test_both_sides_in_conflict() -> None:
    base = tree(a=b"1", b=b"1", c=b"1")
    found = differences(base, tree(a=b"2", b=b"2", new=b"1"), tree(a=b"3", c=b"3", new=b"2"))
    assert {path: one.state for path, one in found.items()} == dict.fromkeys("abc", State.CONFLICT) | {
        "new": State.CONFLICT
    }


def test_what_one_side_put_below_what_the_other_took_away_is_a_conflict() -> None:
    base = tree(d=D, d__e=D, d__e__x=b"1", f=b"1")
    found = differences(base, tree(f=b"1"), tree(d=D, d__e=D, d__e__x=b"1", d__e__new=b"2", f=b"1"))
    assert {path: one.state for path, one in found.items()} == {
        "d": State.HERE, "d/e": State.HERE, "d/e/x": State.HERE, "d/e/new": State.CONFLICT,
    }  # fmt: skip  # one a path
    # A file that became a directory here, and was edited there.
    found = differences(base, tree(d=D, d__e=D, d__e__x=b"1", f=D, f__x=b"2"), tree(d=D, d__e=D, d__e__x=b"1", f=b"3"))
    assert {path: one.state for path, one in found.items()} == {"f": State.CONFLICT, "f/x": State.CONFLICT}
    # A directory that became a link there, with a new file in it here.
    turned = tree(d=entry("d", Kind.SYMLINK), f=b"1")
    found = differences(base, tree(d=D, d__e=D, d__e__x=b"1", d__new=b"2", f=b"1"), turned)
    assert {path: one.state for path, one in found.items()} == {
        "d": State.THERE, "d/e": State.THERE, "d/e/x": State.THERE, "d/new": State.CONFLICT,
    }  # fmt: skip  # one a path


def test_what_could_not_be_read_says_nothing() -> None:
    base = tree(a=b"1", b=b"1")
    unread = tree(a=entry("a", Kind.UNKNOWN), b=b"1")
    assert differences(base, unread, base) == {}
    assert differences(base, base, unread) == {}
    assert differences(base, unread, tree(a=b"2", b=b"1"))["a"].state is State.THERE


def test_an_edit_that_the_rules_cannot_turn_back_waits_for_a_person() -> None:
    base = tree(a=b"1", b=b"1")
    here = tree(a=entry("a", Kind.UNKNOWN, note="?"), b=entry("b", Kind.UNKNOWN, note="?"))
    found = differences(base, here, tree(a=b"1", b=b"2"))
    assert (found["a"].state, found["a"].needs_person) == (State.HERE, True)
    assert (found["b"].state, found["b"].needs_person) == (State.CONFLICT, True)


def test_what_the_other_node_never_could_send_stays_there() -> None:
    found = differences(tree(), tree(), tree(secret=b"1", new=b"2"), unchanged=(b"secret",))
    assert {path: one.state for path, one in found.items()} == {"secret": State.NEVER_SENT, "new": State.THERE}
    plan = decide("nginx", Compared(list(found.values())), Policy.SERVING, {}, MOMENT)
    assert {item.difference.path: item.take for item in plan.items} == {b"secret": Take.THERE, b"new": Take.HERE}


def plan_for(base: list[Entry], here: list[Entry], there: list[Entry], policy: Policy, **prefer: Take) -> DomainPlan:
    compared = compare(base, here, [Other(one, changed=True) for one in there], lambda one: one.note == "?")
    wanted = {path.replace("__", "/").encode(): take for path, take in prefer.items()}
    return decide("nginx", compared, policy, wanted, MOMENT)


def test_by_default_the_serving_node_wins_as_a_whole_and_the_rest_is_kept() -> None:
    base = tree(a=b"1", b=b"1", c=b"1", d=b"1")
    plan = plan_for(base, tree(a=b"2", b=b"1", c=b"2", d=b"2"), tree(a=b"1", b=b"3", c=b"3", d=b"2"), Policy.SERVING)
    assert {item.take for item in plan.items} == {Take.HERE}
    assert [found.path for found in kept_in_history(plan)] == [b"b", b"c"]
    assert summed(plan) == {"here": 1, "there": 1, "alike": 1, "conflict": 1, "never sent": 0}


def test_a_merge_takes_what_each_side_changed_alone_and_leaves_conflicts_to_people() -> None:
    base = tree(a=b"1", b=b"1", c=b"1")
    sides = tree(a=b"2", b=b"1", c=b"2"), tree(a=b"1", b=b"3", c=b"3")
    plan = plan_for(base, *sides, Policy.MERGE)
    assert plan.undecided == (b"c",)
    plan = plan_for(base, *sides, Policy.MERGE, c=Take.THERE)
    assert [found.path for found in taken(plan, Take.THERE)] == [b"b", b"c"]
    with pytest.raises(PlanError, match="'x' of domain nginx is to be decided, but neither node has changed it"):
        plan_for(base, *sides, Policy.MERGE, x=Take.HERE)


def test_choices_that_cannot_stand_together_are_refused() -> None:
    base = tree(d=D, d__x=b"1", f=b"1")
    here, there = tree(f=D, f__x=b"2"), tree(d=D, d__x=b"1", d__new=b"2", f=b"1")
    with pytest.raises(PlanError, match="'d/new' of domain nginx cannot stay below 'd'"):
        plan_for(base, here, there, Policy.MERGE, d__new=Take.THERE)
    plan = plan_for(base, here, there, Policy.MERGE, d__new=Take.THERE, d=Take.THERE)
    assert plan.undecided == ()
    with pytest.raises(PlanError, match="'f/x' of domain nginx cannot stay below 'f'"):
        plan_for(base, here, there, Policy.SERVING, f=Take.THERE)


def test_the_last_common_state_is_what_the_other_node_had() -> None:
    origin = Origin(b"r" * 32, b"s" * 32, 7, b"undo")
    row = entry("a")._replace(origin=origin.encode())
    assert common(row) == entry("a")._replace(digest=b"s" * 32, size=7)


def test_a_hundred_thousand_paths_are_compared_in_a_second() -> None:
    base = [entry("", D), *(entry(f"d{number:03}", D) for number in range(100))]
    base += [entry(f"d{number:03}/f{name:03}", b"%d" % name) for number in range(100) for name in range(1000)]
    here = [one._replace(origin=b"x" * 73) for one in base]
    there = [Other(one, changed=True) for one in base]
    started = time.perf_counter()
    compared = compare(base, here, there)
    assert (len(compared.differences), compared.same) == (0, len(base))
    # Ten times what it takes on a machine that does nothing else.
    assert time.perf_counter() - started < 5.0
