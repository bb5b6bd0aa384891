"""The contents a transaction needs: which are missing, and taking them in, verified, in constant memory."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import blake3

from syncer.apply.build import Builder, Place
from syncer.apply.plan import Step
from syncer.apply.sparse import write_sparse
from syncer.errors import ApplyError, PeerProtocolError, Reason
from syncer.files import Disk
from syncer.model import shown


class Want(NamedTuple):
    """A content that the peer must send; size in bytes."""

    digest: bytes
    size: int


class Need(NamedTuple):
    """A content, and every new file that has it."""

    want: Want
    files: list[tuple[Place, Step]]


class _Arriving:
    """A content that comes in pieces."""

    def __init__(self, need: Need, descriptor: int, owner: int) -> None:
        self.need = need
        self.descriptor = descriptor
        self.owner = owner
        """Index in need.files of the file that the pieces are written to; -1: of none."""
        self.received = 0
        # blake3's stubs do not name the hasher's type in a way that mypy accepts here.
        self.hasher: Any = blake3.blake3()


class Contents:
    """Takes contents by digest, in any order, each as one piece or as several in a row."""

    def __init__(self, builder: Builder, disk: Disk) -> None:
        """Write what arrives with `builder`."""
        self._builder = builder
        self._disk = disk
        self._needs: dict[bytes, Need] = {}
        self._arriving: _Arriving | None = None

    def need(self, place: Place, step: Step) -> None:
        """Add a new file that waits for its content."""
        digest = step.entry.digest
        need = self._needs.get(digest)
        if need is None:
            need = self._needs[digest] = Need(Want(digest, step.entry.size), [])
        need.files.append((place, step))

    def needs(self) -> list[Need]:
        """Return what is still missing, in the order of need."""
        return list(self._needs.values())

    def supplied(self, need: Need) -> None:
        """Note that a content was found on this disk."""
        del self._needs[need.want.digest]

    def wanted(self) -> list[bytes]:
        """Return the digests that are still missing, in the order of need."""
        return list(self._needs)

    def write(self, digest: bytes, data: bytes, offset: int, more: bool) -> None:
        """Take a content or a piece of one; see Attempt.write."""
        arriving = self._arriving
        if arriving is None:
            need = self._needs.get(digest)
            if need is None:
                raise PeerProtocolError(f"the peer sent the content {digest.hex()} that was not asked for")
            if offset == 0 and not more:
                self._take_whole(need, data)
                return
            arriving = self._arriving = self._start(need)
        elif arriving.need.want.digest != digest:
            raise PeerProtocolError("the peer sent another content before the last one was complete")
        self._take_piece(arriving, data, offset, more)

    def require_complete(self) -> None:
        """Raise PeerProtocolError where something is still missing."""
        if self._needs:
            raise PeerProtocolError(f"the peer ended a transaction with {len(self._needs)} contents missing")

    def close(self) -> None:
        """Close what is half arrived; its bytes go with the stage."""
        if self._arriving is not None and self._arriving.descriptor >= 0:
            os.close(self._arriving.descriptor)
        self._arriving = None

    def _take_whole(self, need: Need, data: bytes) -> None:
        if len(data) != need.want.size or blake3.blake3(data).digest() != need.want.digest:
            raise mismatch(need)
        for place, step in need.files:
            self._builder.write_file(place, step, data)
        del self._needs[need.want.digest]

    def _start(self, need: Need) -> _Arriving:
        for owner, (place, step) in enumerate(need.files):
            descriptor = self._builder.create(place, step)
            if descriptor >= 0:
                return _Arriving(need, descriptor, owner)
        return _Arriving(need, -1, -1)

    def _take_piece(self, arriving: _Arriving, data: bytes, offset: int, more: bool) -> None:
        need = arriving.need
        if offset != arriving.received:
            raise PeerProtocolError(f"the peer sent the content {need.want.digest.hex()} with a gap or an overlap")
        arriving.received += len(data)
        if arriving.received > need.want.size or (not more and arriving.received != need.want.size):
            raise mismatch(need)
        arriving.hasher.update(data)
        if data and arriving.descriptor >= 0:
            write_sparse(self._disk, arriving.descriptor, data, need.files[arriving.owner][1].path)
        if not more:
            if arriving.hasher.digest() != need.want.digest:
                raise mismatch(need)
            self._complete(arriving)

    def _complete(self, arriving: _Arriving) -> None:
        need = arriving.need
        if arriving.descriptor >= 0:
            owner_place, owner_step = need.files[arriving.owner]
            self._builder.seal(arriving.descriptor, owner_step, owner_place)
            for place, step in need.files[arriving.owner + 1 :]:
                self._builder.copy_file(arriving.descriptor, place, step)
        self.close()
        del self._needs[need.want.digest]


def mismatch(need: Need) -> ApplyError:
    """Return the error of a content that is not what it was announced to be."""
    path = need.files[0][1].path
    return ApplyError(
        f"the content that arrived for {shown(path)!a} is not the announced one (digest "
        f"{need.want.digest.hex()[:16]}…, {need.want.size} bytes): it is asked for again",
        Reason.CONTENT_MISMATCH,
    )
