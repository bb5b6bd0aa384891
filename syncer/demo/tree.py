"""Makes the tree that the demo works on: a copy of the machine's own /etc, or one made up."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path

SOURCE = Path("/etc")
PATHS_MAX = 5000
FILE_BYTES_MAX = 1024 * 1024
FEWEST_PATHS = 100
"""A machine with less in /etc (a container) gets a made-up tree."""


def fill(root: Path) -> str:
    """Fill the empty directory `root`, and return in words with what."""
    copied = copy_readable(SOURCE, root)
    if copied >= FEWEST_PATHS:
        return f"a copy of this machine's {SOURCE} ({copied:,} paths)"
    return f"a made-up configuration ({invent(root):,} paths)"


def copy_readable(source: Path, root: Path) -> int:
    """Copy what every user may read, with modes, mtimes and, as root, owners; returns how many paths.

    What not everybody may read (keys, passwords) stays where it is.
    """
    copied = 0
    for folder, folders, files in os.walk(source):
        here = root / Path(folder).relative_to(source)
        folders[:] = [name for name in folders if _is_open(Path(folder, name), stat.S_ISDIR)]
        links = [name for name in os.listdir(folder) if Path(folder, name).is_symlink()]
        for name in folders:
            (here / name).mkdir(exist_ok=True)
        for name in [*links, *(name for name in files if _is_open(Path(folder, name), stat.S_ISREG))]:
            if copied >= PATHS_MAX:
                break
            # A file that goes while it is copied is simply not there.
            with contextlib.suppress(FileNotFoundError):
                _copy(Path(folder, name), here / name)
                copied += 1
        copied += len(folders)
    for folder, _, _ in os.walk(source):
        here = root / Path(folder).relative_to(source)
        if here.is_dir():
            # After their contents, which would change their mtimes.
            _copy_metadata(Path(folder), here)
    return copied


def _is_open(path: Path, kind: object) -> bool:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    assert callable(kind), "a test of stat"
    wanted = 0o005 if stat.S_ISDIR(found.st_mode) else 0o004
    return bool(kind(found.st_mode)) and found.st_mode & wanted == wanted and found.st_size <= FILE_BYTES_MAX


def _copy(source: Path, copy: Path) -> None:
    if source.is_symlink():
        copy.symlink_to(os.readlink(source))
    else:
        shutil.copyfile(source, copy)
    _copy_metadata(source, copy)


def _copy_metadata(source: Path, copy: Path) -> None:
    found = source.lstat()
    if os.geteuid() == 0:
        os.chown(copy, found.st_uid, found.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(found.st_mode):
        copy.chmod(stat.S_IMODE(found.st_mode))
    os.utime(copy, ns=(found.st_atime_ns, found.st_mtime_ns), follow_symlinks=False)


def invent(root: Path, sites: int = 300) -> int:
    """Write the configuration of a made-up web server; returns how many paths it has."""
    (root / "nginx.conf").write_text("worker_processes auto;\ninclude sites-enabled/*;\n")
    for folder in ("sites-available", "sites-enabled", "conf.d", "certificates"):
        (root / folder).mkdir()
    for number in range(sites):
        name = f"site-{number:03}.conf"
        text = f"server {{\n  listen 80;\n  server_name site-{number}.example.com;\n}}\n" * 8
        (root / "sites-available" / name).write_text(text)
        (root / "sites-enabled" / name).symlink_to(f"../sites-available/{name}")
    return 5 + 2 * sites
