"""Nothing outside the root is read or written, whoever swaps directories for symlinks meanwhile."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import blake3

from syncer.apply.applier import Applier
from syncer.apply.owners import Owners
from syncer.errors import ApplyError
from syncer.files import Disk
from syncer.model import Change, Entry, Kind
from tests.unit.apply.trees import OPENING, MemoryBase, MemoryJournal, WholeReach

RACE_SECONDS = 2.0


def entry(path: bytes, data: bytes) -> Entry:
    digest = blake3.blake3(data).digest() if data else b"\0" * 32
    return Entry(path, Kind.FILE, 0o644, 0, 0, "", "", 10**18, len(data), digest, b"")


def test_guarantee_8_a_racing_symlink_never_leads_outside(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "d").mkdir(parents=True)
    outside.mkdir()
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            os.rename(root / "d", root / "aside")
            os.symlink(outside, root / "d")
            os.unlink(root / "d")
            os.rename(root / "aside", root / "d")

    attacker = threading.Thread(target=swap)
    attacker.start()
    base = MemoryBase()
    applier = Applier("nginx", root, "0123456789", base, Disk(), Owners(), MemoryJournal())
    rounds = refused = 0
    end = time.monotonic() + RACE_SECONDS
    try:
        while time.monotonic() < end or rounds <= 100:
            data = b"%d" % rounds
            rounds += 1
            changes = [Change(1, b"d/file", entry(b"d/file", data)), Change(1, b"d/other", None)]
            try:
                attempt = applier.begin(changes, WholeReach())
                for digest in attempt.wanted():
                    attempt.write(digest, data, 0, more=False)
                attempt.finish(OPENING)
            except ApplyError:
                refused += 1
    finally:
        stop.set()
        attacker.join()
    assert rounds > 100
    assert list(outside.iterdir()) == []
