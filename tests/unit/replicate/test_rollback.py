"""A rollback on failover: a transaction of its own that production cannot undo without a person's word."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import blake3
import pytest

from syncer.apply.candidate import Candidate
from syncer.errors import ApplyError, CheckFailedError, CommandFailure, Reason, RefusedError, UnavailableRootError
from syncer.files import Disk
from syncer.model import Change, Cursor, Patterns, ServiceLife, Term
from syncer.replicate import rollback
from syncer.replicate.destination import Destination
from syncer.replicate.incoming import Incoming
from syncer.replicate.messages import PROTOCOL, Ack, Begin, Hello, Part, Plan, Reject, WantEntries
from tests.unit.apply.displacing import DOMAIN, SOURCE, Core, entry_of_file, named
from tests.unit.apply.trees import read_tree


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    core = Core(tmp_path)
    core.write({"a": b"one", "d/x": b"old", "d/e/y": b"older", "same": b"same"})
    yield core
    core.close()


def destination_of(core: Core, disk: Disk | None = None) -> Destination:
    return Destination(DOMAIN, core.root, Patterns(), core.store, [], disk)


def go_back(core: Core, target: int, disk: Disk | None = None) -> Destination:
    destination = destination_of(core, disk)
    rollback.roll_back(destination, rollback.plan(destination, target), "alice")
    return destination


def contents(core: Core) -> dict[str, bytes]:
    return {str(path.relative_to(core.root)): path.read_bytes() for path in core.root.rglob("*") if path.is_file()}


def test_it_shows_what_it_does_and_does_that(core: Core) -> None:
    before = read_tree(core.root)[0]
    core.write({"a": b"two", "d": None, "new/file": b"n"})
    destination = destination_of(core)
    plan = rollback.plan(destination, 1)
    assert [(item.path, item.action) for item in plan.items if item.path] == [
        (b"a", "update"),
        (b"d", "create"),
        (b"new", "delete"),
        (b"d/e", "create"),
        (b"d/x", "create"),
        (b"d/e/y", "create"),
        (b"new/file", "delete"),
    ]
    done = rollback.roll_back(destination, plan, "alice")
    assert done.problems == []
    assert read_tree(core.root)[0] == before
    standing = destination.standing()
    assert standing is not None
    assert (standing.generation, standing.resumable) == (3, False)
    assert destination.local_edits()[0] == {}


def test_an_edit_that_comes_back_is_an_edit_again(core: Core) -> None:
    (core.root / "a").write_bytes(b"edited here")
    core.write({"a": b"two"})
    destination = go_back(core, 1)
    assert (core.root / "a").read_bytes() == b"edited here"
    assert b"a" in destination.local_edits()[0]


def test_a_directory_that_somebody_removed_meanwhile_comes_back(core: Core) -> None:
    core.write({"d/e/y": b"newer"})
    (core.root / "d/e/y").unlink()
    (core.root / "d/e").rmdir()
    go_back(core, 1)
    assert (core.root / "d/e/y").read_bytes() == b"older"


@pytest.mark.parametrize("target", [-1, 2, 3, 99])
def test_what_is_no_earlier_generation_is_refused_with_those_that_are(core: Core, target: int) -> None:
    core.write({"a": b"two"})
    with pytest.raises(RefusedError, match="from 0 to 1" if target != 2 else "nothing to roll back"):
        rollback.plan(destination_of(core), target)
    assert contents(core)["a"] == b"two"


def test_what_the_history_lacks_is_named_and_nothing_changes(core: Core) -> None:
    core.write({"a": b"two", "d/x": b"new"})
    core.history.take_all_in()
    (core.area / "kept" / blake3.blake3(b"one").hexdigest()).unlink()
    before = contents(core)
    with pytest.raises(RefusedError, match="lacks 'a'"):
        rollback.plan(destination_of(core), 1)
    assert contents(core) == before
    # A later one does not need it.
    core.write({"d/x": b"newest"})
    go_back(core, 2)
    assert contents(core)["d/x"] == b"new"


def test_a_damaged_content_is_never_written(core: Core) -> None:
    core.write({"a": b"two"})
    core.history.take_all_in()
    (core.area / "kept" / blake3.blake3(b"one").hexdigest()).write_bytes(b"ONE")
    destination = destination_of(core)
    plan = rollback.plan(destination, 1)
    with pytest.raises(ApplyError) as found:
        rollback.roll_back(destination, plan, "alice")
    assert found.value.reason is Reason.CONTENT_MISMATCH
    assert contents(core)["a"] == b"two"
    assert destination.trouble() == ""


def test_without_its_root_nothing_is_planned(core: Core) -> None:
    core.write({"a": b"two"})
    os.rename(core.root, core.root.with_name("away"))
    destination = destination_of(core)
    with pytest.raises(UnavailableRootError):
        rollback.plan(destination, 1)
    os.rename(core.root.with_name("away"), core.root)


HELLO = Hello(
    PROTOCOL, "test", SOURCE, "prod-a", Term(1, SOURCE), DOMAIN, Cursor("index", "run", 9), Patterns(), b"", b"", ()
)


def answer(destination: Destination, **how: Any) -> object:
    begin = Begin(**{"full": True, "start": None, "end": Cursor("index", "run", 9), **how})
    part = Part(1, begin, (), (), end=False)
    incoming = Incoming(destination, HELLO, "dr-a", part)
    try:
        return incoming.open(part)[0]
    finally:
        incoming.abandon()


def test_guarantee_6_nothing_undoes_a_rollback_until_production_resumes(core: Core) -> None:
    core.write({"a": b"two"})
    destination = go_back(core, 1)
    for trouble in (destination.trouble(), destination_of(core).trouble()):
        assert "was rolled back to generation 1 by alice at 20" in trouble
        assert "`syncer resume TARGET` on production" in trouble
    partial = {"full": False, "start": Cursor("index", "run", 0)}
    for how in ({}, partial, {"on_demand": True}, {**partial, "resume": True}):
        refused = answer(destination, **how)
        assert isinstance(refused, Reject)
        assert refused.reason is Reason.ROLLED_BACK
        assert "syncer resume" in refused.message
    assert contents(core)["a"] == b"one"
    # What resuming would do can be looked at.
    assert isinstance(answer(destination, dry_run=True), Plan | WantEntries)


def test_resuming_compares_everything_and_ends_the_rollback(core: Core) -> None:
    core.write({"a": b"two"})
    before = destination_of(core).summary()
    destination = destination_of(core)
    destination.summary()
    plan = rollback.plan(destination, 1)
    rollback.roll_back(destination, plan, "alice")
    # The summary of before the rollback is not that of now, though the cursor is the same.
    assert isinstance(answer(destination, resume=True, summary=before), WantEntries)
    assert destination.rolled_back.done is not None
    assert destination.local_edits()[0] == {}
    done = answer(destination, resume=True, summary=destination.summary())
    assert isinstance(done, Ack)
    assert destination.trouble() == ""
    assert destination_of(core).rolled_back.done is None


def test_a_rollback_that_the_disk_refuses_leaves_the_domain_as_it_was_for_production(core: Core) -> None:
    core.write({"a": b"two"})

    def stop(operation: str, path: bytes) -> None:
        if operation == "applied":
            raise OSError(5, "stopped", path)

    with pytest.raises(ApplyError):
        go_back(core, 1, Disk(stop))
    assert destination_of(core).rolled_back.done is None
    assert contents(core)["a"] == b"two"


def test_a_rollback_that_stops_at_any_operation_is_undone_or_carried_to_its_end_with_its_word(tmp_path: Path) -> None:
    ends = set()
    for stop_at in range(200):
        where = tmp_path / str(stop_at)
        where.mkdir()
        core = Core(where)
        core.write({"a": b"one", "d/x": b"old"})
        core.write({"a": b"two", "d": None})
        left = stop_at

        def stop(operation: str, path: bytes) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(5, f"stopped at {operation}", path)

        destination = destination_of(core, Disk())
        plan = rollback.plan(destination, 1)
        destination = destination_of(core, Disk(stop))
        with contextlib.suppress(ApplyError):
            rollback.roll_back(destination, plan, "alice")
        again = destination_of(core)
        done = again.rolled_back.done
        ends.add((contents(core).get("a"), contents(core).get("d/x"), done.target if done else None))
        core.close()
        if left > 0:
            break
    assert left > 0
    assert ends == {(b"two", None, None), (b"one", b"old", 1)}


def test_what_a_late_check_refuses_is_brought_back_and_production_goes_on(core: Core) -> None:
    core.write({"a": b"two", "d": None})
    destination = destination_of(core)
    rollback.bring_back(destination, 1)
    assert contents(core)["a"] == b"one"
    assert contents(core)["d/x"] == b"old"
    assert destination.trouble() == ""
    standing = destination.standing()
    assert standing is not None
    # Where it stands already, there is nothing to do.
    rollback.bring_back(destination, standing.generation)
    with pytest.raises(ApplyError, match="cannot go back"):
        rollback.bring_back(destination, 99)


def access_lists(core: Core) -> list[bytes]:
    found = (
        subprocess.run(["getfacl", "-n", core.root / name], capture_output=True, check=True) for name in ("a", "d/x")
    )
    return [done.stdout for done in found]


@pytest.mark.needs("setfacl")
def test_attributes_that_somebody_set_here_come_back(core: Core) -> None:
    os.setxattr(core.root / "a", "user.comment", b"mine")
    os.setxattr(core.root / "d/x", "user.comment", b"mine too")
    subprocess.run(["setfacl", "-m", "u:daemon:rw", core.root / "a", core.root / "d/x"], check=True)
    before = access_lists(core)
    destination = destination_of(core)
    apply_known(destination, core, "a", b"one")
    apply_known(destination, core, "d/x", b"newer")
    assert "user.comment" not in os.listxattr(core.root / "a")
    plan = rollback.plan(destination, 1)
    rollback.roll_back(destination, plan, "alice")
    assert os.getxattr(core.root / "a", "user.comment") == b"mine"
    assert os.getxattr(core.root / "d/x", "user.comment") == b"mine too"
    assert contents(core)["d/x"] == b"old"
    assert access_lists(core) == before


def apply_known(destination: Destination, core: Core, name: str, data: bytes) -> None:
    entry, digest = entry_of_file(name.encode(), data, 0o600)
    attempt = destination.attempt([Change(1, entry.path, named(entry))], HELLO.term)
    for wanted in attempt.wanted():
        assert wanted == digest
        attempt.write(wanted, data, 0, False)
    opening = destination.opening(HELLO, Begin(full=False, start=None, end=Cursor("index", "run", 9)))
    destination.commit(destination.finish(attempt, opening), opening, 0.0, 1)


class RefusingServices:
    """A domain whose check refuses everything, as production's state of now does not deserve."""

    has_check = True
    has_reload = False
    check_failure: CommandFailure | None = None
    life: ServiceLife | None = None

    def check(self, generation: int, term: int, candidate: Candidate | None) -> None:
        self.check_failure = CommandFailure("nginx -t", "1", 0.1, "unknown directive\n")
        raise CheckFailedError("refused", self.check_failure)

    def attend(self, generation: int, term: int, *, start: bool, reloaded: Callable[[], None] | None) -> None:
        raise AssertionError("nothing was applied")


def test_what_the_check_refuses_is_not_brought_back_and_what_stands_is_not_blamed(core: Core) -> None:
    core.write({"a": b"two"})
    services = RefusingServices()
    destination = Destination(DOMAIN, core.root, Patterns(), core.store, [], services=services)
    plan = rollback.plan(destination, 1)
    with pytest.raises(RefusedError, match=r"check \(nginx -t\) refuses it, exit 1: unknown directive; nothing was"):
        rollback.roll_back(destination, plan, "alice")
    assert contents(core)["a"] == b"two"
    assert services.check_failure is None
    assert destination_of(core).trouble() == ""
