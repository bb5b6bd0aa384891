"""The way home: what was not edited comes back byte for byte and unread, what was edited by the inverse rules."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer.model import Entry, Kind
from syncer.origin import Origin
from syncer.replicate.home_ways import NEEDS_PERSON, Choice
from syncer.replicate.rendered_tree import Plain
from syncer.substitution.rules import Rule, RuleSet
from tests.unit.apply.trees import read_tree
from tests.unit.replicate.two_nodes import DOMAIN, Node

RULES = RuleSet.of([Rule("10.0.1.10", "10.0.2.10"), Rule("prod.example.com", "dr-a.example.com")])
CAPITALS = RuleSet.of([Rule("10.0.1.10", "10.0.2.10"), Rule("prod.example.com", "DR-A.example.com")])
HERE, THERE = b"listen 10.0.1.10;\n", b"listen 10.0.2.10;\n"


class Pair:
    """A production node and its failover node, both in one folder."""

    def __init__(self, where: Path, rules: RuleSet = RULES, **of_failover: object) -> None:
        self.production = Node(where, "prod", rules)
        self.failover = Node(where, "dr", **of_failover)  # type: ignore[arg-type]  # passed on

    def write(self, **files: bytes) -> None:
        for name, data in files.items():
            (self.production.root / name).write_bytes(data)

    def out(self) -> None:
        """Bring production's state to failover, and have failover capture it as the production that it then is."""
        self.production.capture()
        self.production.send(self.failover)
        self.failover.capture()

    def home(self) -> None:
        """Bring failover's state to production, and have production capture it."""
        self.failover.capture()
        self.failover.send(self.production)
        self.production.capture()

    def close(self) -> None:
        self.production.close()
        self.failover.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    found = Pair(tmp_path)
    yield found
    found.close()


def entries(node: Node, other: Node) -> dict[bytes, Entry]:
    with node.index.snapshot(DOMAIN) as snapshot:
        return {entry.path: entry for entry in node.tree(other, snapshot)[0].entries()}


def test_what_stands_as_it_was_applied_goes_home_as_production_has_it_and_is_not_read(pair: Pair) -> None:
    pair.write(a=HERE, both=HERE + THERE, plain=b"nothing", name=b"see prod.example.com")
    (pair.production.root / "sub").mkdir()
    (pair.production.root / "sub" / "deep").write_bytes(HERE)
    pair.out()
    with pair.production.index.snapshot(DOMAIN) as snapshot:
        had = {entry.path: entry for entry in Plain(snapshot).entries()}
    pair.failover.source.reads.clear()
    found = entries(pair.failover, pair.production)
    assert pair.failover.source.reads == []
    assert {path: entry._replace(origin=b"") for path, entry in found.items()} == had
    inverse = RULES.for_domain(DOMAIN).inverse()
    origin = Origin.decode(found[b"both"].origin)
    assert (origin.rules, origin.digest, origin.undo) == (inverse.hash, _digest_here(pair, b"both"), b"")
    assert origin.redo, "what failover cannot know goes along, for the next way out"


def test_a_host_name_with_capitals_that_the_inverse_rules_lose_is_written_down(tmp_path: Path) -> None:
    pair = Pair(tmp_path, CAPITALS)
    try:
        pair.write(name=b"see prod.example.com and Prod.Example.Com", both=HERE + THERE)
        pair.out()
        pair.failover.source.reads.clear()
        found = entries(pair.failover, pair.production)
        # What is to be written down must be read; once.
        assert pair.failover.source.reads == [b"both", b"name"]
        assert Origin.decode(found[b"name"].origin).undo
        assert entries(pair.failover, pair.production) == found
        assert pair.failover.source.reads == [b"both", b"name"]
        before = read_tree(pair.production.root), read_tree(pair.failover.root)
        assert pair.failover.send(pair.production).ack.changes == 0
        pair.production.capture()
        assert not pair.production.send(pair.failover).wanted_entries
        assert (read_tree(pair.production.root), read_tree(pair.failover.root)) == before
    finally:
        pair.close()


def test_there_and_home_and_there_again_changes_nothing_on_either_node(pair: Pair) -> None:
    pair.write(
        a=HERE, both=HERE + THERE, plain=b"nothing", name=b"see prod.example.com and dr-a.EXAMPLE.com", empty=b""
    )
    pair.out()
    before = read_tree(pair.production.root), read_tree(pair.failover.root)
    pair.failover.rules = RULES.inverse().for_domain(DOMAIN)
    sent = pair.failover.send(pair.production)
    assert sent.ack.changes == 0
    pair.production.capture()
    for _ in range(2):
        sent = pair.production.send(pair.failover)
        assert not sent.wanted_entries, "the summaries are equal"
        pair.failover.capture()
        sent = pair.failover.send(pair.production)
        assert not sent.wanted_entries, "the summaries are equal"
        pair.production.capture()
    assert (read_tree(pair.production.root), read_tree(pair.failover.root)) == before


def test_a_file_edited_here_goes_home_by_the_inverse_rules(pair: Pair) -> None:
    pair.write(a=HERE, gone=HERE)
    pair.out()
    (pair.failover.root / "a").write_bytes(THERE + b"new;\n")
    (pair.failover.root / "made").write_bytes(b"at " + THERE)
    (pair.failover.root / "gone").unlink()
    pair.home()
    assert (pair.production.root / "a").read_bytes() == HERE + b"new;\n"
    assert (pair.production.root / "made").read_bytes() == b"at " + HERE
    assert not (pair.production.root / "gone").exists()
    # And out again: exactly what failover had.
    before = read_tree(pair.failover.root)
    pair.production.send(pair.failover)
    assert read_tree(pair.failover.root) == before


def test_an_edit_that_the_rules_alone_cannot_turn_back_waits_for_a_person(pair: Pair) -> None:
    pair.write(both=HERE + THERE)
    pair.out()
    (pair.failover.root / "both").write_bytes(THERE + THERE + b"new;\n")
    pair.home()
    assert (pair.production.root / "both").read_bytes() == HERE + THERE
    assert pair.failover.problems == {b"both": NEEDS_PERSON}
    pair.failover.decided = {b"both": Choice.KEEP_THEIRS}
    pair.home()
    assert ((pair.production.root / "both").read_bytes(), pair.failover.problems) == (HERE + THERE, {})
    pair.failover.decided = {b"both": Choice.REWRITTEN}
    pair.home()
    assert (pair.production.root / "both").read_bytes() == HERE + HERE + b"new;\n"


def test_a_file_that_was_moved_or_copied_here_is_still_what_it_was(pair: Pair) -> None:
    pair.write(both=HERE + THERE)
    pair.out()
    (pair.failover.root / "copy").write_bytes((pair.failover.root / "both").read_bytes())
    (pair.failover.root / "both").rename(pair.failover.root / "moved")
    pair.home()
    assert (pair.production.root / "moved").read_bytes() == HERE + THERE
    assert (pair.production.root / "copy").read_bytes() == HERE + THERE
    assert not (pair.production.root / "both").exists()


def test_other_metadata_alone_leaves_the_content_as_it_was(pair: Pair) -> None:
    pair.write(both=HERE + THERE)
    pair.out()
    (pair.failover.root / "both").chmod(0o600)
    os.utime(pair.failover.root / "both", (1, 1))
    pair.home()
    status = (pair.production.root / "both").stat()
    assert (status.st_mode & 0o777, status.st_mtime) == (0o600, 1)
    assert (pair.production.root / "both").read_bytes() == HERE + THERE


def test_changes_since_say_the_same_as_the_whole(pair: Pair) -> None:
    pair.write(**{f"f{number}": HERE + b"%d" % number for number in range(20)})
    pair.out()
    pair.home()
    seq = pair.failover.index.head(DOMAIN).seq
    (pair.failover.root / "f1").write_bytes(THERE + b"edited")
    (pair.failover.root / "f2").chmod(0o600)
    (pair.failover.root / "f3").unlink()
    (pair.failover.root / "f4").rename(pair.failover.root / "moved")
    pair.failover.capture()
    whole = entries(pair.failover, pair.production)
    with pair.failover.index.snapshot(DOMAIN) as snapshot:
        changes = list(pair.failover.tree(pair.production, snapshot)[0].changes_since(seq))
    assert {change.path: change.entry for change in changes} == {
        path: whole.get(path) for path in (b"", b"f1", b"f2", b"f3", b"f4", b"moved")
    }
    pair.failover.send(pair.production, since=seq)
    assert (pair.production.root / "f1").read_bytes() == HERE + b"edited"
    assert (pair.production.root / "moved").read_bytes() == HERE + b"4"


def test_names_that_the_rules_made_different_files_are_one_file_at_home(tmp_path: Path) -> None:
    rules = RuleSet.of([
        Rule("10.0.1.10", "10.0.2.10", paths=("/in/**",)), Rule("10.0.1.10", "10.0.3.10", except_paths=("/in/**",)),
    ])  # fmt: skip
    pair = Pair(tmp_path, rules)
    try:
        root = pair.production.root
        (root / "in").mkdir()
        (root / "in" / "a").write_bytes(HERE)
        os.link(root / "in" / "a", root / "in" / "b")
        os.link(root / "in" / "a", root / "out")
        pair.out()
        there = pair.failover.root
        assert (there / "in" / "a").stat().st_ino == (there / "in" / "b").stat().st_ino
        assert (there / "in" / "a").stat().st_ino != (there / "out").stat().st_ino
        os.link(there / "in" / "a", there / "in" / "new")
        (root / "in" / "b").unlink()
        pair.home()
        inodes = {(root / name).stat().st_ino for name in ("in/a", "in/b", "in/new", "out")}
        assert len(inodes) == 1
        assert (root / "out").read_bytes() == HERE
        before = read_tree(there)
        pair.production.send(pair.failover)
        assert read_tree(there) == before
        # A name that became a file of its own here is one at home, too.
        data = (there / "in" / "b").read_bytes()
        (there / "in" / "b").unlink()
        (there / "in" / "b").write_bytes(data)
        pair.home()
        assert (root / "in" / "b").stat().st_nlink == 1
        assert (root / "in" / "a").stat().st_ino == (root / "out").stat().st_ino
    finally:
        pair.close()


def test_files_that_differ_at_home_and_were_linked_here_go_home_as_one(pair: Pair) -> None:
    pair.write(a=HERE + THERE, b=THERE + HERE)
    pair.out()
    assert (pair.failover.root / "a").read_bytes() == (pair.failover.root / "b").read_bytes()
    (pair.failover.root / "b").unlink()
    os.link(pair.failover.root / "a", pair.failover.root / "b")
    pair.home()
    assert (pair.production.root / "a").stat().st_ino == (pair.production.root / "b").stat().st_ino
    assert (pair.production.root / "b").read_bytes() == HERE + THERE


def test_what_must_differ_on_failover_does_not_go_home(tmp_path: Path) -> None:
    pair = Pair(tmp_path, keep_local=("own", "absent"))
    try:
        (pair.failover.root / "own").write_bytes(b"failover's")
        pair.write(a=HERE, own=b"production's", absent=b"production's")
        pair.out()
        pair.home()
        assert (pair.production.root / "own").read_bytes() == b"production's"
        assert (pair.production.root / "absent").read_bytes() == b"production's"
        assert pair.failover.problems == {}
    finally:
        pair.close()


@pytest.mark.needs_root
def test_owners_come_home_as_they_were(tmp_path: Path) -> None:
    pair = Pair(tmp_path, owners={"nobody": "daemon", "games": "daemon"})
    try:
        pair.write(a=HERE, b=HERE, c=HERE)
        for name, uid in (("a", 65534), ("b", 5), ("c", 54321)):
            os.chown(pair.production.root / name, uid, uid)
        pair.out()
        assert [(pair.failover.root / name).stat().st_uid for name in "abc"] == [1, 1, 54321]
        (pair.failover.root / "a").chmod(0o600)
        (pair.failover.root / "made").write_bytes(b"1")
        os.chown(pair.failover.root / "made", 1, 1)
        pair.home()
        assert [(pair.production.root / name).stat().st_uid for name in "abc"] == [65534, 5, 54321]
        # Two of production's are one here: of a new file only one of them can be meant.
        assert (pair.production.root / "made").stat().st_uid == 5
    finally:
        pair.close()


def test_kinds_that_changed_go_home_as_they_are(pair: Pair) -> None:
    pair.write(a=HERE, b=HERE)
    pair.out()
    (pair.failover.root / "a").unlink()
    (pair.failover.root / "a").symlink_to("b")
    (pair.failover.root / "b").unlink()
    (pair.failover.root / "b").mkdir()
    pair.home()
    assert os.readlink(pair.production.root / "a") == "b"
    assert (pair.production.root / "b").is_dir()
    assert entries(pair.failover, pair.production)[b"a"].kind is Kind.SYMLINK


def _digest_here(pair: Pair, path: bytes) -> bytes:
    known = pair.failover.index.get(DOMAIN, path)
    assert known is not None
    return known.entry.digest
