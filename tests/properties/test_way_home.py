"""Whatever is edited on either node while failover serves: the rest comes home as it was, and nothing goes round."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.errors import PlanError
from syncer.model import Kind
from syncer.procedures.comparison import State, compare
from syncer.procedures.home_plan import Policy, Take, decide
from syncer.procedures.home_sides import carry_out, is_undecided, last_common, others
from syncer.procedures.unsent import sent_up_to
from syncer.replicate.home_tree import HomeRendering
from syncer.replicate.home_ways import NEEDS_PERSON
from syncer.state.base import Base
from syncer.state.cursors import read_standing
from syncer.substitution.rules import EMPTY, Rule, RuleSet
from tests.unit.apply.trees import read_tree
from tests.unit.replicate.two_nodes import DOMAIN, Node

RULES = [
    EMPTY,
    RuleSet.of([Rule("10.0.1.10", "10.0.2.10")]),
    RuleSet.of([Rule("10.0.1.10", "10.0.2.10", swap=True), Rule("prod.example.com", "DR.example.com")]),
    RuleSet.of([Rule("10.1.0.0/16", "10.2.0.0/16"), Rule("10.0.1.10", "10.0.2.10", paths=("a/**", "c"))]),
]
TOKENS = [
    b"10.0.1.10", b"10.0.2.10", b"10.1.2.3", b"10.2.2.3", b"prod.example.com", b"dr.example.com", b"DR.example.com",
    b"Prod.Example.Com", b" ", b"\n", b"word", b"\xf6", b"[::ffff:10.0.1.10]", b"\0",
]  # fmt: skip  # a few a line
NAMES = ["a", "a/x", "a/y", "b", "c", "d/e", "d/f"]

contents = st.lists(st.sampled_from(TOKENS), max_size=6).map(b"".join) | st.sampled_from(
    ["host 10.0.1.10 prod.example.com".encode("utf-16"), b"x 10.0.1.10 " * 9000]
)
trees = st.dictionaries(st.sampled_from([name for name in NAMES if name != "a"]), contents, max_size=5)
edits = st.lists(
    st.tuples(
        st.sampled_from(["write", "append", "delete", "chmod", "move", "link", "copy"]), st.integers(0, 9), contents
    ),
    max_size=4,
)  # fmt: skip  # one list


def fill(root: Path, tree: dict[str, bytes]) -> None:
    for name, data in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def edit(root: Path, done: list[tuple[str, int, bytes]]) -> set[bytes]:
    """Edit a tree; returns the paths that were touched."""
    touched = set()
    for number, (what, which, data) in enumerate(done):
        files = sorted(path for path in root.rglob("*") if path.is_file())
        path = files[which % len(files)] if files else root / "made"
        touched.add(path)
        aside = path.with_name(f"n{number}")
        if what == "write" or not files:
            path.write_bytes(data)
        elif what == "append":
            with path.open("ab") as file:
                file.write(data)
        elif what == "delete":
            path.unlink()
        elif what == "chmod":
            path.chmod(0o640)
        else:
            touched.add(aside)
            if what == "move":
                path.rename(aside)
            elif what == "link":
                os.link(path, aside)
            else:
                aside.write_bytes(path.read_bytes())
    return {os.fsencode(path.relative_to(root)) for path in touched}


@contextmanager
def nodes(rules: RuleSet) -> Iterator[tuple[Node, Node]]:
    with tempfile.TemporaryDirectory() as folder:
        production, failover = Node(Path(folder), "prod", rules), Node(Path(folder), "dr")
        try:
            yield production, failover
        finally:
            production.close()
            failover.close()


def files_of(root: Path) -> dict[bytes, bytes]:
    entries, data = read_tree(root)
    return {path: data[entry.digest] for path, entry in entries.items() if entry.kind is Kind.FILE}


@given(st.sampled_from(RULES), trees, edits)
@settings(max_examples=12, deadline=None)
def test_what_was_not_edited_comes_home_byte_identical_and_nothing_goes_round(
    rules: RuleSet, tree: dict[str, bytes], done: list[tuple[str, int, bytes]]
) -> None:
    with nodes(rules) as (production, failover):
        fill(production.root, tree)
        production.capture()
        production.send(failover)
        before, there = files_of(production.root), files_of(failover.root)
        touched = edit(failover.root, done)
        failover.capture()
        failover.send(production)
        home, here = files_of(production.root), files_of(failover.root)
        for path, data in here.items():
            if path in failover.problems:
                assert failover.problems[path] == NEEDS_PERSON
                assert path in touched
                assert home[path] == before[path]
            elif there.get(path) == data:
                assert home[path] == before[path], path
        assert home.keys() == here.keys()
        # Out and home again: no byte moves on either side, and soon the summaries alone say so.
        unresolved = bool(failover.problems)
        for round_ in range(2):
            production.capture()
            sent = production.send(failover)
            if not unresolved:
                assert (files_of(production.root), files_of(failover.root)) == (home, here)
                assert sent.wanted == 0
                assert round_ == 0 or not sent.wanted_entries
            failover.capture()
            sent = failover.send(production)
            if not unresolved:
                assert (files_of(production.root), files_of(failover.root)) == (home, here)
                assert sent.wanted == 0
                assert round_ == 0 or not sent.wanted_entries


@given(st.sampled_from(RULES), trees, edits, edits)
@settings(max_examples=12, deadline=None)
def test_a_plan_sees_every_edit_of_either_side_and_a_merge_keeps_those_that_do_not_conflict(
    rules: RuleSet, tree: dict[str, bytes], ours: list[tuple[str, int, bytes]], theirs: list[tuple[str, int, bytes]]
) -> None:
    with nodes(rules) as (production, failover):
        fill(production.root, tree)
        production.capture()
        production.send(failover)
        before, there_before = files_of(production.root), files_of(failover.root)
        edit(failover.root, ours)
        edit(production.root, theirs)
        production.capture()
        failover.capture()
        standing = read_standing(failover.store, DOMAIN)
        assert standing is not None
        up_to = sent_up_to(production.index, DOMAIN, standing.cursor)
        assert up_to is not None
        with failover.index.snapshot(DOMAIN) as here, production.index.snapshot(DOMAIN) as there:
            home = list(failover.tree(production, here)[0].entries())
            base = Base(failover.store)
            compared = compare(last_common(base, DOMAIN), home, others(there, up_to), is_undecided)
            again = compare(last_common(base, DOMAIN), home, others(there, None), is_undecided)
        assert [found.path for found in again.differences] == [found.path for found in compared.differences]
        found = {one.path: one for one in compared.differences}
        for path, had, now in differing(there_before, files_of(failover.root)):
            assert found[path].here is not None, (path, had, now)
        for path, had, now in differing(before, files_of(production.root)):
            assert found[path].there is not None, (path, had, now)
        plan = decide(DOMAIN, compared, Policy.MERGE, {}, b"")
        for item in plan.items:
            state = item.difference.state
            wanted = {State.HERE: Take.HERE, State.ALIKE: Take.HERE, State.THERE: Take.THERE, State.CONFLICT: None}
            assert item.take is (None if item.difference.needs_person else wanted[state])
        # Carried out, with the other side winning where a person must say: every edit that does not conflict is kept.
        prefer = {item.difference.path: Take.THERE for item in plan.items if item.take is None}
        try:
            plan = decide(DOMAIN, compared, Policy.MERGE, prefer, b"")
        except PlanError:
            return  # what is below a directory that the other side took away: both must be decided
        outlook = failover.outlook(production)
        assert isinstance(outlook, HomeRendering)
        carry_out(plan, compared, outlook.ways)
        failover.decided, failover.directories = outlook.ways.decided, outlook.ways.directories
        wants, has = files_of(production.root), {one.path: one for one in home}
        failover.send(production)
        assert failover.problems == {}
        merged = files_of(production.root)
        for item in plan.items:
            path = item.difference.path
            if item.take is Take.THERE:
                assert merged.get(path) == wants.get(path), path
            elif path in has and has[path].kind is Kind.FILE:
                assert blake3(merged[path]).digest() == has[path].digest, path
            else:
                assert path not in merged, path
        # What was theirs comes here with the next way out, and both are equal then.
        production.capture()
        failover.decided, failover.directories = {}, {}
        production.send(failover)
        assert files_of(failover.root).keys() == merged.keys()
        assert files_of(production.root) == merged


def differing(before: dict[bytes, bytes], after: dict[bytes, bytes]) -> list[tuple[bytes, bytes | None, bytes | None]]:
    paths = before.keys() | after.keys()
    return [(path, before.get(path), after.get(path)) for path in paths if before.get(path) != after.get(path)]
