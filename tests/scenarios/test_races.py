"""Guarantee 8 against someone who may write inside failover's tree and races us: nothing outside is touched, ever."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Self

import pytest

from syncer.errors import BeneathRootError, PeerProtocolError, SyncerError
from syncer.files import Disk, Resolution, Root, beneath
from syncer.files.syscalls import exchange
from syncer.model import Change, Entry, Kind
from syncer.replicate import messages, wire
from tests.crash.receiver import Place, SyncerReceiver
from tests.crash.transactions import Step
from tests.crash.trees import Tree, changes_between, difference
from tests.unit.apply.trees import read_tree

SECONDS = 3.0
LONG_SECONDS = 60.0
ENOUGH = 30
"""Rounds that are raced at least, on however slow a machine."""


class Ground(NamedTuple):
    """Where the race takes place: the tree, and what lies outside under the very names that are written inside."""

    place: Place
    outside: Path
    attic: Path
    """The attacker's own: what was moved out of the tree lies here, and is nobody's loss."""


@pytest.fixture
def ground(fast_folder: Path) -> Ground:
    place = Place(fast_folder / "place")
    place.root.mkdir(parents=True)
    outside, attic = fast_folder / "outside", fast_folder / "attic"
    attic.mkdir()
    for folder in (outside, outside / "sub", outside / "kind"):
        folder.mkdir()
    for name in ("file", "other", "sub/deep", "kind/x", "adjusted"):
        (outside / name).write_text(f"outside: {name}")
        (outside / name).chmod(0o640)
    return Ground(place, outside, attic)


def wanted(number: int) -> Tree:
    """Return what production has in a round: contents, kinds, modes and names change from one to the next."""
    tree = Tree().file(b"earlier", b"e").directory(b"d", 0o750 if number % 3 else 0o755)
    tree.file(b"d/file", b"%d" % number).directory(b"d/sub").file(b"d/sub/deep", b"deep %d" % number)
    tree.file(b"d/adjusted", b"same", 0o600 if number % 2 else 0o644).file(b"e", b"e")
    if number % 2:
        tree.file(b"d/other", b"other").file(b"d/kind", b"a file").directory(b"d/new").file(b"d/new/x", b"%d" % number)
    else:
        tree.directory(b"d/kind").file(b"d/kind/x", b"x").link(b"d/link", b"%d" % number)
    for _ in range(number % 5):
        tree.touch(b"d")
    return tree


class Attacker:
    """A process of its own that does one nasty thing after the other inside the tree until it is ended."""

    def __init__(self, ground: Ground, seed: int) -> None:
        self._root = ground.place.root
        self._ground = ground
        self._chance = random.Random(seed)
        self._pid = 0

    def __enter__(self) -> Self:
        self._pid = os.fork()
        if self._pid == 0:
            with contextlib.suppress(BaseException):
                self._attack()
            os._exit(0)
        return self

    def __exit__(self, *_: object) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        # What it left half done would hold up the last synchronization, as a person would have to clean up.
        for parent, names, files in os.walk(self._root):
            for name in (*names, *files):
                path = Path(parent) / name
                if stat.S_ISFIFO(path.lstat().st_mode):
                    path.unlink()

    def _attack(self) -> None:
        attacks: list[Callable[[], None]] = [
            lambda: self._lead_away("d"),
            lambda: self._lead_away("d/sub"),
            lambda: self._lead_away("d/kind"),
            lambda: self._lead_away("d/new"),
            self._move_out,
            self._swap,
            lambda: self._plant("d/file", "file"),
            lambda: self._plant("d/adjusted", "adjusted"),
            lambda: self._plant("d/sub/deep", "sub/deep"),
            lambda: self._plant("d/other", "other"),
            self._point,
            self._block,
        ]
        while True:
            with contextlib.suppress(OSError, BeneathRootError):
                self._chance.choice(attacks)()

    @contextlib.contextmanager
    def _parent(self, name: str) -> Iterator[tuple[int, str]]:
        """Open the directory of a name: the attacker must not fall into its own traps, and do the harm itself."""
        with Root(self._root) as root:
            parent, _, last = name.rpartition("/")
            yield root.directory(parent.encode()), last

    def _lead_away(self, name: str) -> None:
        """Put a link to the directory outside where a directory was, and take it away again."""
        with self._parent(name) as (parent, last), self._parent("") as (top, _):
            os.rename(last, "aside", src_dir_fd=parent, dst_dir_fd=top)
            try:
                target = self._ground.outside / name.removeprefix("d").removeprefix("/")
                os.symlink(target, last, dir_fd=parent)
                self._linger()
                os.unlink(last, dir_fd=parent)
            finally:
                os.rename("aside", last, src_dir_fd=top, dst_dir_fd=parent)

    def _move_out(self) -> None:
        away = self._ground.attic / "d"
        (self._root / "d").rename(away)
        self._linger()
        away.rename(self._root / "d")

    def _swap(self) -> None:
        with self._parent(self._chance.choice(("d/sub", "d/file", "d/kind"))) as (parent, last):
            top = os.open(self._root, os.O_RDONLY)
            try:
                exchange(parent, last.encode(), top, b"e")
                self._linger()
            finally:
                os.close(top)

    def _plant(self, name: str, outside: str) -> None:
        """Make a name inside a second name of a file outside."""
        with self._parent(name) as (parent, last):
            _free(parent, last)
            os.link(self._ground.outside / outside, last, dst_dir_fd=parent)
            self._linger()

    def _point(self) -> None:
        with self._parent(self._chance.choice(("d/file", "d/other", "d/adjusted", "e"))) as (parent, last):
            _free(parent, last)
            os.symlink(self._ground.outside / "file", last, dir_fd=parent)

    def _block(self) -> None:
        with self._parent("d/other") as (parent, last):
            _free(parent, last)
            os.mkfifo(last, dir_fd=parent)

    def _linger(self) -> None:
        """Give the applier a moment of random length: it runs beside us on the other core."""
        for _ in range(self._chance.choice((0, 10, 200, 3000))):
            pass


def _free(parent: int, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=parent)


def outside_of(ground: Ground) -> tuple[dict[bytes, Entry], dict[bytes, bytes]]:
    return read_tree(ground.outside)


def race(ground: Ground, seconds: float, seed: int) -> tuple[int, int]:
    """Apply rounds while the attacker runs; return how many were acknowledged and how many refused."""
    receiver = SyncerReceiver(ground.place, Disk(), lambda name, path: None)
    before = wanted(1)
    receiver.apply(Step(1, changes_between({}, before.entries), before.contents, full=True))
    untouched = outside_of(ground)
    acknowledged = refused = 0
    number = 2
    with Attacker(ground, seed):
        end = time.monotonic() + seconds
        while time.monotonic() < end or acknowledged + refused <= ENOUGH:
            after = wanted(number)
            # From the last acknowledged state, as production's index has it.
            step = Step(number, changes_between(before.entries, after.entries), after.contents)
            try:
                receiver.apply(step)
            except SyncerError:
                # Anything else than a sentence for the operator fails the test.
                refused += 1
                continue
            acknowledged += 1
            before, number = after, number + 1
            assert receiver.cursor() == number - 1
    assert not difference(outside_of(ground)[0], untouched[0])
    assert outside_of(ground) == untouched
    # Once it is quiet, a full synchronization makes the tree exact: nothing that was acknowledged was a lie.
    # One more than the last that was tried: recovery may end that one, and what is acknowledged is not sent again.
    last = wanted(number + 1)
    receiver.apply(Step(number + 1, changes_between({}, last.entries), last.contents, full=True))
    assert not difference(read_tree(ground.place.root)[0], last.entries)
    assert outside_of(ground) == untouched
    receiver.close()
    return acknowledged, refused


@pytest.fixture(params=Resolution, ids=lambda resolution: resolution.value)
def resolution(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve paths in one way, as on a kernel that leaves no other."""
    monkeypatch.setattr(beneath, "best_resolution", lambda: request.param)


@pytest.mark.usefixtures("resolution")
def test_guarantee_8_a_racing_attacker_gets_nothing_outside(ground: Ground) -> None:
    acknowledged, refused = race(ground, SECONDS, 1)
    assert acknowledged + refused > ENOUGH


@pytest.mark.soak
@pytest.mark.usefixtures("resolution")
def test_guarantee_8_a_minute_of_races(ground: Ground) -> None:
    acknowledged, refused = race(ground, LONG_SECONDS, 2)
    assert acknowledged > 30
    assert refused > 30


HOSTILE = {
    "parent": b"../outside/file",
    "parent inside": b"d/../../outside/file",
    "only dots": b"..",
    "dot": b"./d/file",
    "absolute": b"/tmp/outside",
    "empty part": b"d//file",
    "trailing": b"d/",
    "NUL": b"d/fi\0le",
    "long name": b"d/" + b"n" * 256,
    "long path": b"/".join([b"n" * 200] * 21),
    "path of 4096": (b"n" * 15 + b"/") * 255 + b"n" * 16,
}


@pytest.mark.parametrize("path", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("what", ["file", "directory", "deletion"])
def test_guarantee_8_a_hostile_name_is_refused_by_the_applier(path: bytes, what: str, ground: Ground) -> None:
    receiver = SyncerReceiver(ground.place, Disk(), lambda name, path: None)
    before = wanted(1)
    receiver.apply(Step(1, changes_between({}, before.entries), before.contents, full=True))
    tree, untouched = read_tree(ground.place.root), outside_of(ground)
    changes = [change(path, what), Change(1, b"d/file", before.entries[b"d/file"]._replace(mode=0o666))]
    with pytest.raises(PeerProtocolError):
        receiver.attempt(changes)
    receiver.close()
    assert read_tree(ground.place.root) == tree
    assert outside_of(ground) == untouched


@pytest.mark.parametrize("path", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("what", ["file", "directory", "deletion"])
def test_guarantee_8_a_hostile_name_is_refused_on_the_wire(path: bytes, what: str) -> None:
    part = messages.Part(1, None, (change(path, what),), (), end=False)
    with pytest.raises(PeerProtocolError):
        wire.decode_from_production(wire.encode_from_production(part))


def change(path: bytes, what: str) -> Change:
    if what == "deletion":
        return Change(1, path, None)
    if what == "directory":
        return Change(1, path, Entry(path, Kind.DIRECTORY, 0o755, 0, 0, "", "", 10**18, 0, b"", b""))
    digest = bytes.fromhex("af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262")
    return Change(1, path, Entry(path, Kind.FILE, 0o644, 0, 0, "", "", 10**18, 0, digest, b""))
