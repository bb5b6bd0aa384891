"""Replaces one of syncer's own files in one durable step."""

from __future__ import annotations

import os
import secrets

from syncer.files.disk import Disk


def write_atomically(path: str | os.PathLike[str], data: bytes, mode: int = 0o600, disk: Disk | None = None) -> None:
    """Write `data` to `path` so that a reader, also after a crash, sees the old file or the new one.

    Durable on return; `mode` is exact, whatever the umask. Raises DiskError, or OSError where the
    directory is missing; then the old file is as it was.
    """
    disk = disk or Disk()
    shown_path = os.fsencode(path)
    parent, name = os.path.split(shown_path)
    temporary = b".%b.%b" % (name, secrets.token_hex(4).encode())
    directory = os.open(parent or b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = disk.create_file(directory, temporary, shown_path)
        try:
            try:
                disk.write(descriptor, data, shown_path)
                disk.set_mode(descriptor, mode, shown_path)
                disk.flush_file(descriptor, shown_path)
            finally:
                os.close(descriptor)
            # CRASH: only a flushed file may take the name, else a power failure leaves it empty.
            disk.rename(directory, temporary, directory, name, shown_path)
        except BaseException:
            disk.unlink(directory, temporary, shown_path)
            raise
        disk.flush_directory(directory, shown_path)
    finally:
        os.close(directory)
