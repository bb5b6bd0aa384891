"""The node's own key and certificate, in its state directory."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from syncer.errors import IdentityError, PairingError
from syncer.trust.certificates import check_node_certificate, host_of, key_pem_of, self_signed

KEY_NAME = "identity.key"
CERTIFICATE_NAME = "identity.crt"
FILE_MAX = 64 * 1024
"""Bytes read of either file."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this node is to others."""

    node_id: str
    certificate_pem: bytes
    key_pem: bytes = field(repr=False)
    fingerprint: str
    """SHA-256 of the certificate's DER, hexadecimal."""


def create(directory: Path, node_id: str, name: str) -> Identity:
    """Make key and certificate in `directory`, or load them where they are there already.

    Raises IdentityError.
    """
    key_path, certificate_path = directory / KEY_NAME, directory / CERTIFICATE_NAME
    if not certificate_path.exists():
        # CRASH: the certificate is written last; a key without one was never shown to anybody.
        if not key_path.exists():
            _write(key_path, key_pem_of(ec.generate_private_key(ec.SECP256R1())))
        key = _load_key(key_path, _read(key_path, private=True))
        _write(certificate_path, self_signed(key, name, host_of(node_id)))
    return load(directory, node_id)


def require_whole(directory: Path) -> None:
    """Refuse a folder that holds an identity but no node.db; IdentityError. Nothing is made."""
    if (directory / CERTIFICATE_NAME).exists() and not (directory / "node.db").exists():
        raise IdentityError(
            f"{directory} holds the identity of a node but not its node.db: restore node.db from a backup, or begin "
            "anew as another node: move the folder away, `syncer init`, and pair it (`syncer invite`, `syncer join`)"
        )


def load(directory: Path, node_id: str | None = None) -> Identity:
    """Read and check this node's identity; `node_id` is the one that node.db holds.

    Raises IdentityError where a file is missing, damaged or readable by others, or they do not match.
    """
    key_path, certificate_path = directory / KEY_NAME, directory / CERTIFICATE_NAME
    key_pem, certificate_pem = _read(key_path, private=True), _read(certificate_path, private=False)
    key = _load_key(key_path, key_pem)
    try:
        found = check_node_certificate(certificate_pem)
    except PairingError as error:
        raise IdentityError(f"{certificate_path}: {error}") from error
    if x509.load_pem_x509_certificate(found.pem).public_key() != key.public_key():
        raise IdentityError(f"{certificate_path}: is not of the key {key_path}; restore both from one backup")
    if node_id not in (None, found.node_id):
        raise IdentityError(
            f"{certificate_path}: is of node {found.node_id}, but node.db beside it of {node_id}; "
            "restore both from one backup"
        )
    return Identity(found.node_id, found.pem, key_pem, found.fingerprint)


def _load_key(path: Path, pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise IdentityError(f"{path}: is no private key that can be read; restore a backup of it") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise IdentityError(f"{path}: is not a P-256 key; restore a backup of it")
    return key


def _read(path: Path, *, private: bool) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError as error:
        raise IdentityError(f"{path}: is missing; run `syncer init`, or restore a backup") from error
    except OSError as error:
        raise IdentityError(f"{path}: cannot be read ({error.strerror}); check its owner and mode") from error
    try:
        if private and os.fstat(descriptor).st_mode & 0o077:
            raise IdentityError(f"{path}: other users can read this key; run `chmod 600 {path}`")
        return os.read(descriptor, FILE_MAX)
    except OSError as error:
        raise IdentityError(f"{path}: cannot be read ({error.strerror}); restore a backup of it") from error
    finally:
        os.close(descriptor)


def _write(path: Path, data: bytes) -> None:
    """Put a file there whole and flushed or not at all, mode 0600 whatever the umask."""
    new = path.with_name(path.name + ".new")
    try:
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        # CRASH: before the rename there is no file of that name, after it a whole one.
        new.replace(path)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise IdentityError(f"{path}: cannot be written ({error.strerror}); check the state directory") from error
