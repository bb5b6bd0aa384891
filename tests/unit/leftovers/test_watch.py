"""Counting after full synchronizations: exact, only of what changed, and given up when the node ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from syncer.capture.ignore import Scope
from syncer.capture.indexed_tree import IndexedTree
from syncer.capture.scan import Scanner
from syncer.index.store import IndexStore
from syncer.leftovers.needles import Needles
from syncer.leftovers.on_production import Rendered, Sent
from syncer.leftovers.watch import LeftoverWatch
from syncer.model import EventValue, Patterns
from syncer.substitution.rules import EMPTY, Rule, RuleSet

DOMAIN = "tree"
RULES = RuleSet.of([Rule("10.0.1.10", "10.0.2.10", paths=("*.conf",)), Rule("192.0.2.1", "192.0.2.2", swap=True)])


class Events:
    """Takes events; thread-safe, since appending is."""

    def __init__(self) -> None:
        self.raised: list[tuple[str, Mapping[str, EventValue]]] = []

    def __call__(self, name: str, variables: Mapping[str, EventValue]) -> None:
        self.raised.append((name, variables))


class Own:
    """This machine's addresses, as a test says."""

    def __init__(self) -> None:
        self.addresses: tuple[str, ...] = ()

    def __call__(self) -> tuple[str, ...]:
        return self.addresses


@pytest.fixture
def index(tmp_path: Path) -> Iterator[IndexStore]:
    with IndexStore.open(tmp_path / "index.db") as opened:
        yield opened


def scanned(index: IndexStore, root: Path) -> None:
    findings = list(Scanner(root, Scope(Patterns()), IndexedTree(index, DOMAIN)).full())
    gone = [item.path for item in findings if item.found is None]
    index.commit_group(DOMAIN, [item.found for item in findings if item.found is not None], gone, torn=False)


def counted(watch: LeftoverWatch, sent: Sent) -> dict[str, int] | None:
    return asyncio.run(watch.count("dr-a", [sent]))


def test_only_what_changed_is_looked_at_again(index: IndexStore, root: Path) -> None:
    (root / "a.txt").write_bytes(b"10.0.1.10 192.0.2.1\n")
    (root / "b.txt").write_bytes(b"10.0.1.10\n198.51.100.7\n")
    (root / "c.conf").write_bytes(b"10.0.1.10\n")
    scanned(index, root)
    events, own = Events(), Own()
    watch = LeftoverWatch(index, own, events)
    sent = Sent(DOMAIN, root, RULES)
    try:
        assert counted(watch, sent) == {"addresses": 1, "files": 2}
        # What the index does not tell of is not read again: the file is no longer what it knows.
        (root / "a.txt").write_bytes(b"nothing any more....\n")
        assert counted(watch, sent) == {"addresses": 1, "files": 2}
        scanned(index, root)
        assert counted(watch, sent) == {"addresses": 1, "files": 1}
        (root / "b.txt").unlink()
        scanned(index, root)
        assert counted(watch, sent) == {"addresses": 0, "files": 0}
        (root / "d.txt").write_bytes(b"198.51.100.7\n")
        scanned(index, root)
        assert counted(watch, sent) == {"addresses": 0, "files": 0}
        # Another address of this machine is looked for everywhere.
        own.addresses = ("198.51.100.7",)
        assert counted(watch, sent) == {"addresses": 1, "files": 1}
        assert counted(watch, sent._replace(kept_local=frozenset({b"d.txt"}))) == {"addresses": 0, "files": 0}
        assert events.raised == []
    finally:
        watch.close()


def test_names_that_a_swap_exchanges_may_be_failovers_own(index: IndexStore, root: Path) -> None:
    for name in ("192.0.2.1", "10.0.1.10"):
        (root / name).write_bytes(b"")
        (root / f"link{name}").symlink_to(f"/srv/{name}")
    scanned(index, root)
    rendered = Rendered(Sent(DOMAIN, root, RULES), Needles(RULES.rules))
    asked = Rendered(Sent(DOMAIN, root, RULES), Needles(RULES.rules, (), ["192.0.2.1"]))
    with index.snapshot(DOMAIN) as snapshot:
        entries = list(snapshot.entries())
    found = [[hit.address for entry in entries for hit in one.hits(entry)] for one in (rendered, asked)]
    assert [sorted(one) for one in found] == [["10.0.1.10"] * 2, ["10.0.1.10"] * 2 + ["192.0.2.1"] * 2]


def test_an_event_is_raised_where_something_stands(index: IndexStore, root: Path) -> None:
    (root / "a.txt").write_bytes(b"10.0.1.10\n")
    scanned(index, root)
    events = Events()
    watch = LeftoverWatch(index, Own(), events)
    watch.after_full("dr-a", Sent(DOMAIN, root, RULES))
    watch.after_full("dr-b", Sent(DOMAIN, root, EMPTY))
    assert counted(watch, Sent(DOMAIN, root, EMPTY)) is None
    # Counted behind what was begun before it, on the one thread.
    assert counted(watch, Sent(DOMAIN, root, RULES)) == {"addresses": 1, "files": 1}
    watch.close()
    assert events.raised == [
        ("leftovers.found", {"target": "dr-a", "domain": DOMAIN, "addresses": 1, "files": 1})
    ]  # fmt: skip  # one row


def test_after_the_end_nothing_is_counted(index: IndexStore, root: Path) -> None:
    scanned(index, root)
    watch = LeftoverWatch(index, Own(), Events())
    watch.close()
    watch.after_full("dr-a", Sent(DOMAIN, root, RULES))
    assert counted(watch, Sent(DOMAIN, root, RULES)) is None
