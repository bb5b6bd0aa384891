"""The door that production opens for the nodes that it introduces: a key for handshakes, and for one call alone.

A node that was away when another one was introduced to it has never heard of that one's certificate, and TLS would
refuse it before a word is said. The door's key is known to the nodes of one production; what is shown through it is
believed for its signature only, so whoever has the key can deliver statements and do nothing else.
"""

from __future__ import annotations

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from syncer.errors import PeerProtocolError
from syncer.state.introductions import Door
from syncer.trust.certificates import PEM_MAX, key_hash, key_pem_of, one_time_leaf, one_time_root, public_key_of
from syncer.trust.token import OneTimeKey


def new_door(issuer: str) -> Door:
    """Return a fresh door of this node."""
    key = ec.generate_private_key(ec.SECP256R1())
    return Door(issuer, one_time_root(key, _name(issuer)), key_pem_of(key))


def checked_door(issuer: str, certificate: bytes, key_pem: bytes) -> Door:
    """Return the door that a peer gave; PeerProtocolError where it is none.

    The certificate is made here: nothing but the key is taken from a peer, so that it opens for no other key.
    """
    if len(key_pem) > PEM_MAX or len(certificate) > PEM_MAX:
        raise PeerProtocolError("the peer sent the key of a door that is too long")
    try:
        key = _loaded(key_pem)
        if public_key_of(certificate) == key_hash(key.public_key()):
            return Door(issuer, certificate_of(key, issuer), key_pem_of(key))
    except (ValueError, TypeError) as error:
        raise PeerProtocolError("the peer sent the key of a door that cannot be read") from error
    raise PeerProtocolError("the peer sent the key of a door that is not the one of its certificate")


def certificate_of(key: ec.EllipticCurvePrivateKey, issuer: str) -> bytes:
    """Return the certificate (PEM) that lets the owner of the key shake hands."""
    return one_time_root(key, _name(issuer))


def through(door: Door) -> OneTimeKey:
    """Return what a caller shows who comes through a door."""
    key = _loaded(door.key_pem)
    leaf = one_time_leaf(key, _name(door.issuer))
    return OneTimeKey(key_pem_of(key), leaf, door.certificate_pem, key_hash(key.public_key()))


def _loaded(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise PeerProtocolError("the peer sent the key of a door that is no P-256 key")
    return key


def _name(issuer: str) -> str:
    return f"syncer door {issuer}"
