"""Failover's file system full, out of inodes, read-only or out of quota: no mixture, said aloud, and over by itself."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer.errors import ApplyError, Reason, SyncerError
from syncer.files import Disk
from syncer.files.syscalls import exchange
from syncer.model import Entry
from tests.crash.receiver import Place, SyncerReceiver
from tests.crash.stops import GROWING, Failing
from tests.crash.transactions import catalogue
from tests.crash.ways import Bench
from tests.e2e.harness import Pair, paired, wait_until
from tests.unit.apply.trees import read_tree

BALLAST = "ballast"
HEARD_SECONDS = 60.0
RECOVERY_SECONDS = 60.0


@contextlib.contextmanager
def small_root(folder: Path, options: str) -> Iterator[Pair]:
    """Run a pair whose failover keeps the domain on a tmpfs of its own, filled with the first state."""
    root = folder / "failover" / "root"
    root.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", root], check=True)
    try:
        with paired(folder, domain=f'exclude = ["{BALLAST}*"]\n') as pair:
            swap(pair, 1, size=1000)
            pair.wait_equal()
            pair.wait_synced()
            yield pair
    finally:
        subprocess.run(["umount", "--lazy", root], check=True)


def swap(pair: Pair, number: int, *, size: int, files: int = 20) -> None:
    """Put a directory of files in the place of the last one, in one step."""
    following = pair.production.folder / "following"
    shutil.rmtree(following, ignore_errors=True)
    following.mkdir()
    for name in range(files):
        (following / f"{name}.conf").write_bytes(b"%d %d\n" % (number, name) * (size // 6))
    above = os.open(pair.production.folder, os.O_RDONLY)
    here = os.open(pair.production.root, os.O_RDONLY)
    try:
        if (pair.production.root / "current").exists():
            exchange(above, b"following", here, b"current")
        else:
            os.rename(following, pair.production.root / "current")
    finally:
        os.close(above)
        os.close(here)


def applied(pair: Pair) -> dict[bytes, Entry]:
    """Return failover's tree, less the ballast and the root's own mtime."""
    entries = read_tree(pair.failover.root)[0]
    return {path: entry for path, entry in entries.items() if path and not path.startswith(BALLAST.encode())}


def heard(pair: Pair, *words: str) -> None:
    """Return once status says one of the words on production, and on failover too."""
    pair.wait_for(lambda stream: any(word in stream["reason"] for word in words), f"production said {words}")

    def on_failover() -> bool:
        [domain] = pair.failover.status()["domains"]
        return any(word in domain["reason"] for word in words)

    wait_until(on_failover, HEARD_SECONDS, f"failover said {words}")


def fill(root: Path, options: str) -> None:
    """Leave too little for the next transaction."""
    if "nr_inodes" in options:
        number = 0
        with contextlib.suppress(OSError):
            while True:
                (root / f"{BALLAST}-{number}").touch()
                number += 1
        for spare in range(8):
            (root / f"{BALLAST}-{spare}").unlink()
        return
    with (root / BALLAST).open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(65536))
    os.truncate(root / BALLAST, (root / BALLAST).stat().st_size - 300_000)


@pytest.mark.serial
@pytest.mark.needs_root
@pytest.mark.needs("mount", "umount")
@pytest.mark.parametrize("options", ["size=4m", "size=16m,nr_inodes=200"], ids=["bytes", "inodes"])
def test_guarantee_5_a_full_disk(options: str, tmp_path: Path) -> None:
    with small_root(tmp_path, options) as pair:
        before = applied(pair)
        fill(pair.failover.root, options)
        swap(pair, 2, size=50_000, files=21)
        heard(pair, "free space")
        assert applied(pair) == before
        for ballast in pair.failover.root.glob(f"{BALLAST}*"):
            ballast.unlink()
        pair.wait_for(lambda stream: not stream["changes_behind"], "it went on by itself", RECOVERY_SECONDS)
        assert applied(pair) != before
        assert len(list((pair.failover.root / "current").iterdir())) == 21


@pytest.mark.serial
@pytest.mark.needs_root
@pytest.mark.needs("mount", "umount")
def test_guarantee_5_a_read_only_remount(tmp_path: Path) -> None:
    with small_root(tmp_path, "size=16m") as pair:
        before = applied(pair)
        remount(pair.failover.root, "ro")
        swap(pair, 2, size=1000)
        heard(pair, "writable", "read-only", "Read-only")
        assert applied(pair) == before
        remount(pair.failover.root, "rw")
        pair.wait_equal(RECOVERY_SECONDS)


def test_guarantee_5_a_quota_is_met(tmp_path: Path) -> None:
    transaction = catalogue(as_root=False)["everything"]
    bench = Bench(tmp_path, SyncerReceiver)
    points = [n for n, operation in enumerate(bench.operations(transaction)) if operation.name in GROWING - {"commit"}]
    assert len(points) > 5
    for point in points:
        assert not bench.fails(transaction, point, errno.EDQUOT, "growing"), f"at {point}"
    with bench.prepared(transaction) as place:
        refused = _refusal(place, Failing(points[-1], errno.EDQUOT, "growing"))
    assert refused.reason is Reason.DISK_FULL
    assert "quota" in str(refused)


def _refusal(place: Place, failing: Failing) -> ApplyError:
    receiver = SyncerReceiver(place, Disk(failing), failing)
    try:
        receiver.apply(catalogue(as_root=False)["everything"].stopped())
    except ApplyError as error:
        return error
    finally:
        failing.is_on = False
        with contextlib.suppress(SyncerError):
            receiver.close()
    pytest.fail("it was applied")


def remount(root: Path, how: str) -> None:
    """Remount; a transaction that is just writing keeps it busy for a moment."""
    wait_until(
        lambda: (
            subprocess.run(["mount", "-o", f"remount,{how}", root], check=False, capture_output=True).returncode == 0
        ),
        30.0,
        f"the root was remounted {how}",
    )
