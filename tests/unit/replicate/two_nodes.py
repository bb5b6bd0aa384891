"""Two nodes in one process for the tests of the way home: what one has captured goes over as messages to the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from syncer.capture.contents import ContentCache
from syncer.capture.ignore import Scope, pattern_hash
from syncer.capture.indexed_tree import IndexedTree
from syncer.capture.keep_local import KeepLocal
from syncer.capture.scan import Scanner
from syncer.index.snapshot import IndexSnapshot
from syncer.index.store import IndexStore
from syncer.model import Cursor, Entry, Patterns, Term
from syncer.replicate import messages as m
from syncer.replicate.content import ContentSource
from syncer.replicate.destination import Destination
from syncer.replicate.home_owners import HomeOwners
from syncer.replicate.home_tree import HomeRendering
from syncer.replicate.home_ways import Choice, HomeWays
from syncer.replicate.incoming import Incoming
from syncer.replicate.outgoing import Outgoing
from syncer.replicate.received_rules import take_rules
from syncer.replicate.rendered_tree import Outlook, Plain, TargetRendering, Tree
from syncer.replicate.rendering import Rendering
from syncer.replicate.source import DiskSource
from syncer.replicate.way_back import WayBack
from syncer.state.base import Base
from syncer.state.cursors import read_standing
from syncer.state.store import StateStore
from syncer.substitution.rules import EMPTY, RuleSet

DOMAIN = "nginx"


class CountingSource(DiskSource):
    """A disk that counts what is read of it."""

    def __init__(self, root: Path, cache: ContentCache) -> None:
        super().__init__(root, cache)
        self.reads: list[bytes] = []

    def read(self, path: bytes, digest: bytes, size: int) -> Iterator[bytes]:
        self.reads.append(path)
        return super().read(path, digest, size)


class Sent(NamedTuple):
    """How a synchronization ended, and what it was made of."""

    ack: m.Ack
    wanted_entries: bool
    wanted: int


class Node:
    """One node with one domain: its disk, its index, its base."""

    def __init__(
        self,
        where: Path,
        name: str,
        rules: RuleSet = EMPTY,
        *,
        keep_local: tuple[str, ...] = (),
        owners: Mapping[str, str] | None = None,
    ) -> None:
        """`rules` are those of its own [[failover]] table; EMPTY: the inverse of what it was sent."""
        self.root = where / name
        self.root.mkdir(parents=True)
        state = where / f"{name}-state"
        self.store = StateStore.open(state, create=True)
        self.index = IndexStore.open(state / "index.db")
        self.name = name
        self.rules = rules.for_domain(DOMAIN)
        self.cache = ContentCache(1 << 20)
        self.source = CountingSource(self.root, self.cache)
        self.keep = KeepLocal(keep_local)
        self.owners = owners or {}
        self.decided: Mapping[bytes, Choice] = {}
        self.directories: Mapping[bytes, Entry] = {}
        self.destination = Destination(
            DOMAIN, self.root, Patterns(), self.store, (), owners=owners, keep_local=keep_local, name=name
        )
        self.problems: dict[bytes, str] = {}

    def close(self) -> None:
        """End all of it."""
        self.destination.close()
        self.index.close()
        self.store.close()

    def capture(self) -> None:
        """Take what stands on the disk into the index."""
        tree = IndexedTree(self.index, DOMAIN)
        found = list(Scanner(self.root, Scope(Patterns()), tree, contents=self.cache).full())
        upserts = [finding.found for finding in found if finding.found is not None]
        gone = [finding.path for finding in found if finding.found is None]
        self.index.commit_group(DOMAIN, upserts, gone, torn=False)

    def outlook(self, other: Node) -> Outlook | None:
        """Return how the domain goes to the other node."""
        standing = read_standing(self.store, DOMAIN)
        shared = Rendering(self.index.renderings, self.cache)
        if standing is None or standing.source_node != other.store.node_id:
            return TargetRendering(DOMAIN, self.rules, shared) if self.rules.rules else None
        back = WayBack(self.store, DOMAIN)
        rules = self.rules if self.rules.rules else back.rules().inverse()
        ways = HomeWays(DOMAIN, rules, shared, Base(self.store), back, self.keep)
        ways.decided, ways.directories = self.decided, self.directories
        return HomeRendering(ways, HomeOwners(self.owners))

    def tree(self, other: Node, snapshot: IndexSnapshot) -> tuple[Tree, ContentSource, RuleSet, Outlook | None]:
        """Return a state of the index as the other node is to have it."""
        outlook = self.outlook(other)
        if outlook is None:
            return Plain(snapshot), self.source, EMPTY, None
        tree = outlook.tree(snapshot, self.source, frozenset())
        rules = outlook.ways.rules if isinstance(outlook, HomeRendering) else self.rules
        return tree, outlook.source(self.source, snapshot), rules, outlook

    def send(self, other: Node, *, since: int | None = None) -> Sent:
        """Synchronize the other node with what the index says, fully or from `since` on."""
        with self.index.snapshot(DOMAIN) as snapshot:
            tree, source, rules, outlook = self.tree(other, snapshot)
            hello = m.Hello(
                m.PROTOCOL,
                "",
                self.store.node_id,
                self.name,
                Term(1, self.store.node_id),
                DOMAIN,
                Cursor(*tree.head),
                Patterns(),
                pattern_hash(Patterns()),
                rules.hash,
                (self.store.node_id,),
                rules=rules.encode() if rules.rules else b"",
            )
            take_rules(other.store, hello, {self.name: other.rules})
            begin = m.Begin(True, None, Cursor(*tree.head), b"", 0, on_demand=True)
            if since is None:
                begin = begin._replace(summary=tree.summary(), entries=tree.count())
            else:
                start = Cursor(tree.head.index_id, tree.head.run, since)
                begin = m.Begin(False, start, Cursor(*tree.head))
            sent = _exchange(Outgoing(1, begin, tree, source, frozenset()), other, hello)
            if isinstance(sent, m.Approval):
                begin = begin._replace(approval=sent.id)
                sent = _exchange(Outgoing(1, begin, tree, source, frozenset()), other, hello)
            assert isinstance(sent, Sent), sent
            self.problems = dict(outlook.flaws) if outlook is not None else {}
            return sent


def _exchange(outgoing: Outgoing, other: Node, hello: m.Hello) -> Sent | m.Approval:
    part = outgoing.opening()
    assert part.begin is not None
    incoming = Incoming(other.destination, hello, other.name, part)
    answers = list(incoming.open(part))
    wanted_entries, wanted = False, 0
    while not part.end and not part.begin.full:
        part = outgoing.next_part()
        answers += incoming.take_part(part)
    while answers:
        answer = answers.pop(0)
        if isinstance(answer, m.Ack):
            return Sent(answer, wanted_entries, wanted)
        if isinstance(answer, m.Reject):
            assert answer.approval is not None, answer
            return answer.approval
        if isinstance(answer, m.WantEntries):
            wanted_entries = True
            outgoing.send_entries()
            end = False
            while not end:
                part = outgoing.next_part()
                end = part.end
                answers += incoming.take_part(part)
        elif isinstance(answer, m.Want):
            wanted += len(answer.digests)
            for contents in outgoing.contents(answer.digests, last=answer.last):
                answers += incoming.take_contents(contents)
    raise AssertionError("the other node has not answered")
