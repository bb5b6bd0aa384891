"""The file of a backup: node.db as it stood at one moment, with the node's key and certificate, sealed by digests."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, NamedTuple

from blake3 import blake3

from syncer import __version__
from syncer.errors import StateError
from syncer.state.copy import copy_database
from syncer.state.inspection import inspect
from syncer.state.store import FILE_NAME
from syncer.trust import identity

FORMAT = 1
MANIFEST = "manifest.json"
MEMBERS = (FILE_NAME, identity.KEY_NAME, identity.CERTIFICATE_NAME)
"""What a backup holds beside its manifest; nothing else is ever taken out of one."""
MANIFEST_MOST = 64 * 1024
PIECE = 1 << 20


class Manifest(NamedTuple):
    """What a backup says of itself."""

    node: str
    """The node's name, as configured when it was made."""
    node_id: str
    made_at: str
    """RFC 3339."""
    version: str
    """Of syncer."""
    mode: str
    """What the node was then; "" before its first start."""
    files: dict[str, dict[str, Any]]
    """Size and blake3 (hexadecimal) of each member."""


def write_backup(state: Path, node: str, file: Path) -> Manifest:
    """Write the state in `state` of the node `node` to the new file `file` (0600), whole and flushed or not at all.

    Blocking; an agent may be at work there. Raises StateError, IdentityError.
    """
    if os.path.lexists(file):
        raise StateError(f"{file}: is there already, and a backup replaces nothing: choose another name")
    found = inspect(state)
    if found.damage:
        raise StateError(f"{state}: node.db is damaged ({found.damage[0]}): nothing was written; restore a backup")
    own = identity.load(state, found.node_id)
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{file.name}.", dir=file.parent))
    except OSError as error:
        raise StateError(f"{file}: cannot be written ({error.strerror}); choose another place") from error
    try:
        copy_database(state / FILE_NAME, folder / FILE_NAME)
        _put(folder / identity.KEY_NAME, own.key_pem)
        _put(folder / identity.CERTIFICATE_NAME, own.certificate_pem)
        files = {name: _facts(folder / name) for name in MEMBERS}
        mode = found.mode.value if found.mode is not None else ""
        manifest = Manifest(node, found.node_id, _now(), __version__, mode, files)
        whole = folder / "whole"
        _pack(whole, folder, manifest)
        # CRASH: before this there is no file of that name, after it a whole one. RACE: none is replaced.
        os.link(whole, file)
        _flush_directory(file.parent)
    except OSError as error:
        raise StateError(f"{file}: cannot be written ({error.strerror}); choose another place") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return manifest


def read_backup(file: Path, folder: Path) -> Manifest:
    """Take a backup apart into the directory `folder`, and return what it says of itself, once all of it fits.

    Blocking. Raises StateError where it cannot be read, is damaged, or no backup at all.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise StateError(f"{file}: cannot be read ({error.strerror})") from error
    with open(descriptor, "rb") as opened, _explained(file), tarfile.open(fileobj=opened, mode="r:") as tar:
        manifest = _manifest(_member(tar, MANIFEST).read(MANIFEST_MOST))
        for name in MEMBERS:
            facts = manifest.files[name]
            _take(_member(tar, name), folder / name, int(facts["size"]))
            if _facts(folder / name) != facts:
                raise ValueError(f"{name} is not what was backed up")
        return manifest


def _pack(whole: Path, folder: Path, manifest: Manifest) -> None:
    descriptor = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
            encoded = _encoded(manifest)
            tar.addfile(_header(MANIFEST, len(encoded)), io.BytesIO(encoded))
            for name in MEMBERS:
                with open(folder / name, "rb") as member:
                    tar.addfile(_header(name, int(manifest.files[name]["size"])), member)
        file.flush()
        os.fsync(file.fileno())


def _header(name: str, size: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size, header.mode = size, 0o600
    return header


def _encoded(manifest: Manifest) -> bytes:
    document = {"format": FORMAT, **manifest._asdict()}
    return json.dumps({**document, "seal": _seal(document)}, indent=1).encode()


def _seal(document: dict[str, Any]) -> str:
    return blake3(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _manifest(data: bytes) -> Manifest:
    document = json.loads(data)
    if document.get("format") != FORMAT:
        raise ValueError("it was written by a newer syncer: update this one")
    seal = document.pop("seal", "")
    if seal != _seal(document):
        raise ValueError("what it says of itself was changed")
    return Manifest(**{key: document[key] for key in Manifest._fields})


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    header = tar.getmember(name)
    opened = tar.extractfile(header) if header.isreg() else None
    if opened is None:
        raise ValueError(f"{name} is no file in it")
    return opened


def _take(member: IO[bytes], path: Path, size: int) -> None:
    """Copy at most `size` bytes: what says that it is small must not fill the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        left = size
        while left > 0 and (piece := member.read(min(PIECE, left))):
            file.write(piece)
            left -= len(piece)
        file.flush()
        os.fsync(file.fileno())


def _put(path: Path, data: bytes) -> None:
    _take(io.BytesIO(data), path, len(data))


def _facts(path: Path) -> dict[str, Any]:
    hasher = blake3()
    with open(path, "rb") as file:
        while piece := file.read(PIECE):
            hasher.update(piece)
        return {"size": file.tell(), "blake3": hasher.hexdigest()}


def _flush_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextlib.contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = str(error) or type(error).__name__
        raise StateError(f"{file}: is damaged, or no backup of syncer ({what}): nothing was changed") from error
    except OSError as error:
        raise StateError(f"{file}: cannot be read ({error.strerror}): nothing was changed") from error
