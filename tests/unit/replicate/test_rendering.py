"""Contents are rendered once for all targets that share the rules, and again as they are sent."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import blake3
import pytest

from syncer.capture.contents import LARGEST_CONTENT, ContentCache
from syncer.index.store import IndexStore
from syncer.model import DiskIdentity, Entry, Kind, Known
from syncer.origin import Origin, source_digest
from syncer.replicate.content import MESSAGE_LIMIT, ContentChangedError
from syncer.replicate.rendered_tree import Plain, RenderedTree, TargetRendering
from syncer.replicate.rendering import Rendering
from syncer.substitution.rules import Rule, RuleSet

DOMAIN = "nginx"
RULES = RuleSet.of([Rule("10.0.1.10", "10.0.2.10")]).for_domain(DOMAIN)
HERE, THERE = b"listen 10.0.1.10;", b"listen 10.0.2.10;"
LARGE = b"server 10.0.1.10;\n" * (MESSAGE_LIMIT // 6)


class FakeSource:
    """Production's disk, counting what is read of it."""

    def __init__(self, files: dict[bytes, bytes]) -> None:
        self.files = files
        self.reads: list[bytes] = []

    def cached(self, _: bytes) -> bytes | None:
        return None

    def refresh(self) -> None:
        """Nothing is open."""

    def read(self, path: bytes, digest: bytes, size: int) -> Iterator[bytes]:
        self.reads.append(path)
        data = self.files[path]
        if blake3.blake3(data).digest() != digest or len(data) != size:
            raise ContentChangedError(path)
        for start in range(0, len(data), MESSAGE_LIMIT):
            yield data[start : start + MESSAGE_LIMIT]


def row(path: bytes, data: bytes, *, link: int = 0) -> Known:
    entry = Entry(path, Kind.FILE, 0o644, 0, 0, "", "", 1, len(data), blake3.blake3(data).digest(), b"", link=link)
    return Known(entry, DiskIdentity(len(data), 1, 1, 1, 1))


class Ground:
    """An index with files, and the disk that they are on."""

    def __init__(self, folder: Path, **files: bytes) -> None:
        self.source = FakeSource({name.encode(): data for name, data in files.items()})
        self.index = IndexStore.open(folder / "index.db")
        self.cache = ContentCache(1 << 20)
        self.rendering = Rendering(self.index.renderings, self.cache)
        root = Known(Entry(b"", Kind.DIRECTORY, 0o755, 0, 0, "", "", 1, 0, b"", b""), DiskIdentity(1, 1, 1, 1, 1))
        self.commit(root, *(row(path, data) for path, data in self.source.files.items()))

    def commit(self, *rows: Known) -> None:
        self.index.commit_group(DOMAIN, list(rows), [], torn=False)

    def target(self, rules: RuleSet = RULES) -> TargetRendering:
        return TargetRendering(DOMAIN, rules, self.rendering)

    def tree(self, target: TargetRendering | None = None, unstable: frozenset[bytes] = frozenset()) -> RenderedTree:
        return (target or self.target()).tree(self.index.snapshot(DOMAIN), self.source, unstable)


def entries(tree: RenderedTree) -> dict[bytes, Entry]:
    return {entry.path: entry for entry in tree.entries()}


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    found = Ground(tmp_path, a=HERE, plain=b"nothing", both=HERE + THERE, large=LARGE)
    yield found
    found.index.close()


def test_an_entry_says_what_stands_there_and_where_it_comes_from(ground: Ground) -> None:
    found = entries(ground.tree())
    assert found[b"a"].digest == blake3.blake3(THERE).digest()
    origin = Origin.decode(found[b"a"].origin)
    assert origin == Origin(RULES.hash, blake3.blake3(HERE).digest(), len(HERE))
    assert found[b"plain"] == row(b"plain", b"nothing").entry
    assert found[b"both"].size == len(HERE + THERE)
    assert Origin.decode(found[b"both"].origin).undo
    assert found[b"large"].digest == blake3.blake3(LARGE.replace(b"10.0.1.10", b"10.0.2.10")).digest()


def test_targets_that_share_the_rules_share_one_reading_and_one_rendering(ground: Ground) -> None:
    first = entries(ground.tree())
    read = sorted(ground.source.reads)
    assert read == [b"a", b"both", b"large", b"plain"]
    assert entries(ground.tree()) == first
    assert sorted(ground.source.reads) == read
    other = RuleSet.of([Rule("10.0.1.10", "10.0.3.10")]).for_domain(DOMAIN)
    assert entries(ground.tree(ground.target(other)))[b"a"].digest == blake3.blake3(b"listen 10.0.3.10;").digest()


def test_the_summary_is_that_of_the_rendered_entries_and_of_these_rules(ground: Ground) -> None:
    with ground.index.snapshot(DOMAIN) as snapshot:
        plain = Plain(snapshot).summary()
    rendered = ground.tree().summary()
    assert rendered not in (plain, b"")
    assert ground.tree().summary() == rendered
    # A file that cannot be read now must not look equal to anything.
    assert ground.tree(unstable=frozenset((b"a",))).summary() == b""


def test_what_is_sent_is_what_the_entry_says(ground: Ground) -> None:
    target = ground.target()
    tree = ground.tree(target)
    found = entries(tree)
    with ground.index.snapshot(DOMAIN) as snapshot:
        source = target.source(ground.source, snapshot)
        for path, data in ((b"a", THERE), (b"plain", b"nothing"), (b"large", LARGE.replace(b"1.10", b"2.10"))):
            pieces = list(source.read(path, found[path].digest, found[path].size))
            assert b"".join(pieces) == data
            assert max(map(len, pieces)) <= MESSAGE_LIMIT
    assert tree.places(found[b"a"].digest) == [(b"a", len(THERE))]
    assert ground.cache.get(found[b"a"].digest) == THERE


def test_a_file_that_changed_since_is_not_sent(ground: Ground) -> None:
    target = ground.target()
    found = entries(ground.tree(target))
    ground.source.files[b"a"] = b"listen 10.0.1.99;"
    with ground.index.snapshot(DOMAIN) as snapshot, pytest.raises(ContentChangedError):
        list(target.source(ground.source, snapshot).read(b"a", found[b"a"].digest, found[b"a"].size))
    ground.source.files[b"new"] = b"other"
    ground.commit(row(b"new", b"indexed"))
    with pytest.raises(ContentChangedError) as raised:
        list(ground.tree().changes_since(5))
    assert raised.value.path == b"new"
    # Known to change faster than it can be read: it holds up nothing else.
    paths = [change.path for change in ground.tree(unstable=frozenset((b"new",))).changes_since(5)]
    assert paths == [b"new"]


def test_names_of_one_file_that_are_rendered_otherwise_are_other_files_on_the_target(tmp_path: Path) -> None:
    ground = Ground(tmp_path)
    rows = [row(path, HERE, link=7) for path in (b"in/a", b"in/b", b"out")]
    ground.source.files.update((known.entry.path, HERE) for known in rows)
    ground.commit(*rows)
    rules = RuleSet.of([Rule("10.0.1.10", "10.0.2.10", paths=("/in/",))]).for_domain(DOMAIN)
    found = entries(ground.tree(ground.target(rules)))
    assert found[b"in/a"].link == found[b"in/b"].link != found[b"out"].link == 7
    assert found[b"in/a"].digest != found[b"out"].digest
    assert entries(ground.tree())[b"out"].link == 7
    ground.index.close()


def test_a_target_has_a_content_that_its_source_came_with_before(ground: Ground) -> None:
    tree = ground.tree()
    entry = entries(tree)[b"a"]
    assert source_digest(entry.digest, entry.origin) == blake3.blake3(HERE).digest()
    seq = ground.index.head(DOMAIN).seq
    assert tree.holds(entry, seq)
    assert not tree.holds(entry, 0)


def test_a_text_that_could_not_come_home_is_left_out_and_named(tmp_path: Path) -> None:
    # Spellings that no inverse could guess, in no pattern that could be kept in short.
    chance = random.Random(1)
    groups = [[f"{chance.randrange(1 << 12, 1 << 16):04x}" for _ in range(5)] for _ in range(20_000)]
    cased = ["".join(chance.choice((c.lower(), c.upper())) for c in ":".join(some)) for some in groups]
    lines = [b"2001:0db8:1:" + text.encode() + b"\n" for text in cased]
    ground = Ground(tmp_path, hopeless=b"".join(lines), fine=b"2001:db8:1::1")
    assert len(ground.source.files[b"hopeless"]) > LARGEST_CONTENT
    target = ground.target(RuleSet.of([Rule("2001:db8:1::/48", "2001:db8:2::/48")]).for_domain(DOMAIN))
    found = entries(ground.tree(target))
    assert found[b"hopeless"].kind is Kind.UNKNOWN
    assert found[b"fine"].kind is Kind.FILE
    assert list(target.flaws) == [b"hopeless"]
    ground.commit(row(b"hopeless", HERE))
    ground.source.files[b"hopeless"] = HERE
    assert [change.path for change in ground.tree(target).changes_since(3)] == [b"hopeless"]
    assert target.flaws == {}
    ground.index.close()
