"""Keeps holes in files holes: zeros are skipped over, not written, and what is no data is not copied."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from syncer.files import Disk

BLOCK = 4096
"""Bytes of zeros, at their place in what arrives, that are left out."""
SMALLEST = 4 * BLOCK
"""Bytes below which nothing is looked for: a hole saves nothing there."""
_ZEROS = bytes(BLOCK)


def write_sparse(disk: Disk, descriptor: int, data: bytes, path: bytes) -> None:
    """Write `data` where the descriptor stands, at the end of a new file; runs of zeros become holes."""
    # Zeros somewhere: a search in C that most contents end at once.
    if len(data) < SMALLEST or _ZEROS not in data:
        disk.write(descriptor, data, path)
        return
    view = memoryview(data)
    start = 0
    for begin, end in _zeros(data):
        if begin > start:
            disk.write(descriptor, view[start:begin], path)
        os.lseek(descriptor, end - begin, os.SEEK_CUR)
        start = end
    if start < len(data):
        disk.write(descriptor, view[start:], path)
    else:
        # A hole at the end is there only once the size says so.
        disk.set_size(descriptor, os.lseek(descriptor, 0, os.SEEK_CUR), path)


def data_ranges(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield where an opened file of `size` bytes has data (start, end); all of it where holes cannot be told."""
    position = 0
    while position < size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
            position = os.lseek(descriptor, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            if error.errno != errno.EINVAL:
                raise
            start, position = position, size
        yield start, position


def _zeros(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the longest runs of whole zero blocks (start, end)."""
    begin = -1
    end = len(data) - len(data) % BLOCK
    for place in range(0, end, BLOCK):
        if data.startswith(_ZEROS, place):
            begin = place if begin < 0 else begin
        elif begin >= 0:
            yield begin, place
            begin = -1
    if begin >= 0:
        yield begin, end
