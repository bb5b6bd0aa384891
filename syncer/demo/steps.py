"""What the demo does to production's tree, and how long each edit takes to be readable on failover."""

from __future__ import annotations

import os
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from syncer.demo.node import wait_until

PATIENCE_SECONDS = 60.0
SINGLE_EDITS = 20
BURST_FILES = 500
FOLDER_FILES = 200


class Step(NamedTuple):
    """One edit, and the seconds from its end until failover held the same."""

    name: str
    lag_seconds: float
    paths: int


class Stage:
    """Both roots: edits happen in one, arrivals are observed in the other by reading its files."""

    def __init__(self, production: Path, failover: Path) -> None:
        """Work on the roots of both nodes; the edits stay below a folder of their own."""
        self._production = production
        self._failover = failover
        self.folder = production / "syncer-demo"

    def there(self, path: Path) -> Path:
        """Return where failover has what production has at `path`."""
        return self._failover / path.relative_to(self._production)

    def arrived(self, contents: dict[Path, bytes]) -> Callable[[], bool]:
        """Return a test of whether failover holds all these bytes; what has arrived is not read again."""
        missing = list(contents.items())

        def test() -> bool:
            while missing and _read(self.there(missing[-1][0])) == missing[-1][1]:
                missing.pop()
            return not missing

        return test

    def wait(self, condition: Callable[[], object], name: str, paths: int) -> Step:
        """Wait for an arrival, and return the step with its lag."""
        return Step(name, wait_until(condition, PATIENCE_SECONDS, f"failover had this: {name}"), paths)

    def prepare(self) -> Step:
        """Make the folder of the edits, with files that the other steps rename and delete."""
        contents = {
            self.folder / "sites" / f"site-{n:03}.conf": b"server { listen 80; }\n# site %d\n" % n
            for n in range(FOLDER_FILES)
        }
        write_all(contents)
        return self.wait(self.arrived(contents), f"a folder of {FOLDER_FILES} files is made", len(contents))

    def edit_one_file(self) -> tuple[Step, float]:
        """Edit one file again and again; returns the median as a step, and the longest lag."""
        lags = []
        path = self.folder / "main.conf"
        for number in range(SINGLE_EDITS):
            content = b"worker_connections %d;\n" % (1000 + number)
            path.write_bytes(content)
            lags.append(self.wait(self.arrived({path: content}), "one file is edited", 1).lag_seconds)
        name = f"one file is edited, {SINGLE_EDITS} times (median)"
        return Step(name, statistics.median(lags), 1), max(lags)

    def save_atomically(self) -> Step:
        """Save as editors do: into a new file, which then takes the place of the old."""
        path, content = self.folder / "main.conf", b"saved by an editor;\n"
        new = path.with_suffix(".conf.new")
        new.write_bytes(content)
        new.chmod(0o640)
        new.replace(path)
        copy, arrived = self.there(path), self.arrived({path: content})
        return self.wait(
            lambda: arrived() and copy.stat().st_mode & 0o777 == 0o640,
            "an editor saves atomically, mode 0640",
            1,
        )

    def swap_symlink(self) -> Step:
        """Point a symlink elsewhere in one stroke, as releases are switched."""
        link, new = self.folder / "current", self.folder / "current.new"
        new.symlink_to("sites")
        new.replace(link)
        copy = self.there(link)
        return self.wait(lambda: copy.is_symlink() and os.readlink(copy) == "sites", "a symlink is swapped", 1)

    def rename_folder(self) -> Step:
        """Rename a folder of many files."""
        new = self.folder / "sites-renamed"
        contents = {new / path.name: path.read_bytes() for path in (self.folder / "sites").iterdir()}
        (self.folder / "sites").rename(new)
        arrived = self.arrived(contents)
        gone = self.there(self.folder / "sites")
        name = f"a folder of {FOLDER_FILES} files is renamed"
        return self.wait(lambda: arrived() and not gone.exists(), name, len(contents))

    def burst(self) -> Step:
        """Create, as a checkout does, many files in many folders, as fast as they can be written."""
        contents = _checkout(self.folder / "repository", b"one")
        write_all(contents)
        return self.wait(self.arrived(contents), f"{BURST_FILES} files at once, as by git checkout", len(contents))

    def switch_branch(self) -> Step:
        """Rewrite half of the files and delete a tenth, as switching a branch does."""
        repository = self.folder / "repository"
        paths = list(_checkout(repository, b"one"))
        contents = {path: b"branch two of %s\n" % os.fsencode(path.name) for path in paths[::2]}
        deleted = paths[1::10]
        write_all(contents)
        for path in deleted:
            path.unlink()
        arrived = self.arrived(contents)
        copies = [self.there(path) for path in deleted]
        return self.wait(
            lambda: arrived() and not any(os.path.lexists(copy) for copy in copies),
            "the branch is switched: half rewritten, some deleted",
            len(contents) + len(deleted),
        )

    def delete_folder(self) -> Step:
        """Delete a folder with everything in it."""
        folder = self.folder / "sites-renamed"
        count = len(list(folder.iterdir()))
        shutil.rmtree(folder)
        copy = self.there(folder)
        return self.wait(lambda: not os.path.lexists(copy), f"a folder of {count} files is deleted", count + 1)

    def edits_during_an_outage(self, marker: str) -> dict[Path, bytes]:
        """Edit while failover is away; returns what it must hold when it is back."""
        contents = {
            self.folder / f"{marker}-{n:02}.conf": b"edited while failover was away: %s %d\n" % (marker.encode(), n)
            for n in range(30)
        }
        # Each file several times: what counts afterwards is the last one only.
        for _ in range(3):
            write_all(dict.fromkeys(contents, b"not the last word\n"))
        write_all(contents)
        return contents

    def edits_on_failover(self) -> dict[Path, bytes]:
        """Edit on failover, which serves; returns what production must hold once that has come home."""
        contents = {self.folder / f"served-{n:02}.conf": b"edited on failover: %d\n" % n for n in range(30)}
        write_all({self.there(path): content for path, content in contents.items()})
        return contents


def write_all(contents: dict[Path, bytes]) -> None:
    """Write files, making their folders."""
    for folder in {path.parent for path in contents}:
        folder.mkdir(parents=True, exist_ok=True)
    for path, content in contents.items():
        path.write_bytes(content)


def _checkout(repository: Path, branch: bytes) -> dict[Path, bytes]:
    return {
        repository / f"module-{n % 25:02}" / f"file-{n:03}.py": b"branch %s, file %d\n" % (branch, n) * 20
        for n in range(BURST_FILES)
    }


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
