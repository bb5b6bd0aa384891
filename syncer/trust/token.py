"""The one-time token that an operator carries from failover to production, and the key derived from it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from syncer.errors import PairingError
from syncer.trust.certificates import key_hash, key_pem_of, one_time_leaf, one_time_root

PREFIX = "syncer1-"
ID_SIZE = 16
SECRET_SIZE = 32
_FINGERPRINT_SIZE = 32
_CHECKSUM_SIZE = 4
_BODY_SIZE = ID_SIZE + SECRET_SIZE + _FINGERPRINT_SIZE
_TEXT_LENGTH = (_BODY_SIZE + _CHECKSUM_SIZE) // 3 * 4
"""84 bytes divide by 3, so base64 needs no padding."""

# The order of P-256 (FIPS 186-5).
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
# 16 bytes more than the order, so that the remainder is as good as evenly spread (FIPS 186-5, A.2.1).
_SCALAR_SIZE = 48


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says; its secret is never shown by repr."""

    invitation_id: str
    """16 bytes, hexadecimal."""
    secret: bytes = field(repr=False)
    fingerprint: str
    """SHA-256 of failover's certificate, hexadecimal."""


@dataclass(frozen=True, slots=True)
class OneTimeKey:
    """The TLS client key of one invitation; both ends derive it from the secret."""

    key_pem: bytes = field(repr=False)
    certificate_pem: bytes
    """What the joining node shows."""
    root_pem: bytes
    """What failover trusts while the invitation is open."""
    public_key: str
    """SHA-256 of the SubjectPublicKeyInfo, hexadecimal: by this failover knows the caller."""


def new_token(fingerprint: str) -> Token:
    """Return a fresh token for the failover node whose certificate has this fingerprint (hexadecimal)."""
    return Token(secrets.token_hex(ID_SIZE), secrets.token_bytes(SECRET_SIZE), fingerprint)


def encode(token: Token) -> str:
    """Return the token as one word for an operator to copy."""
    body = bytes.fromhex(token.invitation_id) + token.secret + bytes.fromhex(token.fingerprint)
    return PREFIX + base64.urlsafe_b64encode(body + _checksum(body)).decode("ascii")


def parse(text: str) -> Token:
    """Return what a token says; spaces and line breaks from pasting do not count.

    Raises PairingError, which says what is wrong and never repeats the token.
    """
    word = "".join(text.split())
    if not word.startswith(PREFIX):
        raise PairingError(
            f"this is no token of this version of syncer: it does not start with {PREFIX}; "
            "copy the whole line that `syncer invite` prints"
        )
    encoded = word.removeprefix(PREFIX)
    if len(encoded) != _TEXT_LENGTH:
        raise PairingError(
            f"the token has {len(encoded)} characters after {PREFIX} instead of {_TEXT_LENGTH}; "
            "copy the whole line that `syncer invite` prints"
        )
    try:
        data = base64.b64decode(encoded, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise PairingError("the token holds characters that no token has; copy it again") from error
    body, checksum = data[:_BODY_SIZE], data[_BODY_SIZE:]
    if not hmac.compare_digest(checksum, _checksum(body)):
        raise PairingError("the token is mistyped: its checksum is wrong; copy it again")
    identifier, secret = body[:ID_SIZE], body[ID_SIZE : ID_SIZE + SECRET_SIZE]
    return Token(identifier.hex(), secret, body[ID_SIZE + SECRET_SIZE :].hex())


def derive_key(token: Token) -> OneTimeKey:
    """Return the invitation's TLS client key, the same on both ends."""
    derivation = HKDF(hashes.SHA256(), _SCALAR_SIZE, bytes.fromhex(token.invitation_id), b"syncer one-time key")
    # From 1 to the order less one, as a private scalar must be.
    scalar = int.from_bytes(derivation.derive(token.secret), "big") % (_ORDER - 1) + 1
    key = ec.derive_private_key(scalar, ec.SECP256R1())
    name = f"syncer invitation {token.invitation_id}"
    return OneTimeKey(
        key_pem=key_pem_of(key),
        certificate_pem=one_time_leaf(key, name),
        root_pem=one_time_root(key, name),
        public_key=key_hash(key.public_key()),
    )


def _checksum(body: bytes) -> bytes:
    """Against typing errors only; what keeps others out is the secret."""
    return hashlib.sha256(PREFIX.encode("ascii") + body).digest()[:_CHECKSUM_SIZE]
