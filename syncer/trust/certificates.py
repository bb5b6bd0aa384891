"""Certificates of nodes: how they are made, and what one from a peer must be."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import uuid
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from syncer.errors import PairingError

HOST_SUFFIX = ".node.syncer.internal"
VALID_DAYS = 36_500
"""A hundred years: certificates are pinned and unpinned, they do not run out."""
PEM_MAX = 16 * 1024
"""Bytes of a certificate that is looked at; a P-256 one has about 800."""


class NodeCertificate(NamedTuple):
    """What a node's certificate says, once it was checked."""

    node_id: str
    fingerprint: str
    pem: bytes
    """This one certificate, written anew: nothing else that came with it is trusted."""


def host_of(node_id: str) -> str:
    """Return the DNS name that a node's certificate carries."""
    return node_id + HOST_SUFFIX


@functools.lru_cache(maxsize=128)
def fingerprint_of(pem: bytes) -> str:
    """Return the SHA-256 of the certificate's DER, hexadecimal. Raises PairingError for no certificate."""
    return hashlib.sha256(_parsed(pem).public_bytes(serialization.Encoding.DER)).hexdigest()


@functools.lru_cache(maxsize=128)
def public_key_of(pem: bytes) -> str:
    """Return the SHA-256 of the certified key's SubjectPublicKeyInfo, hexadecimal. Raises PairingError."""
    return key_hash(_parsed(pem).public_key())


def key_hash(key: CertificatePublicKeyTypes) -> str:
    """Return the SHA-256 of a public key's SubjectPublicKeyInfo, hexadecimal."""
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(encoding, form)).hexdigest()


def self_signed(key: ec.EllipticCurvePrivateKey, name: str, host: str) -> bytes:
    """Return a certificate (PEM) of `key` for both ends of TLS; it may sign nothing but itself."""
    return _issue(key, name, name, host, issuer=False)


def one_time_root(key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    """Return the certificate (PEM) by which failover trusts an invitation's key."""
    return _issue(key, name, name, None, issuer=True)


def one_time_leaf(key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    """Return the certificate (PEM) that the joining node shows for an invitation's key.

    Not self-signed like the root: BoringSSL takes a self-signed certificate only where it is the
    trusted one bit for bit, and two ECDSA signatures by one key differ.
    """
    return _issue(key, name + " caller", name, None, issuer=False)


def key_pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as unencrypted PKCS #8 (PEM)."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def check_node_certificate(pem: bytes) -> NodeCertificate:
    """Return what a node's certificate says. Raises PairingError where it is not as syncer makes them."""
    certificate = _parsed(pem)
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise PairingError("the certificate's key is not P-256; run `syncer init` on the node it is from")
    try:
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise PairingError("the certificate is not signed by its own key; run `syncer init` there") from error
    canonical = certificate.public_bytes(serialization.Encoding.PEM)
    return NodeCertificate(_node_id_of(certificate), fingerprint_of(canonical), canonical)


def _parsed(pem: bytes) -> x509.Certificate:
    if len(pem) > PEM_MAX:
        raise PairingError(f"a certificate of {len(pem)} bytes is too large; syncer makes none over {PEM_MAX}")
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise PairingError("a certificate cannot be read; run `syncer init` on the node it is from") from error


def _node_id_of(certificate: x509.Certificate) -> str:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        (host,) = names.get_values_for_type(x509.DNSName)
        node_id = host.removesuffix(HOST_SUFFIX)
        if len(names) == 1 and host_of(node_id) == host and str(uuid.UUID(node_id)) == node_id:
            return node_id
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError) as error:
        raise PairingError("the certificate names no node; run `syncer init` on the node it is from") from error
    raise PairingError("the certificate does not name one node; run `syncer init` on the node it is from")


def _issue(key: ec.EllipticCurvePrivateKey, subject: str, signer: str, host: str | None, *, issuer: bool) -> bytes:
    public = key.public_key()
    start = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    both_ends = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = (
        x509.CertificateBuilder(_name(signer), _name(subject), public, x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=VALID_DAYS))
        .add_extension(x509.BasicConstraints(ca=issuer, path_length=0 if issuer else None), critical=True)
        # Without the right to sign, OpenSSL and BoringSSL accept no certificate below a node's.
        .add_extension(_key_usage(sign=issuer), critical=True)
        .add_extension(x509.ExtendedKeyUsage(both_ends), critical=False)
        # With them, TLS can tell two pins of one subject apart (a node that got a new key).
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
    )
    if host is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _key_usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    # X.509 allows a common name of 64 bytes; it is for people, the SAN identifies.
    short = common_name.encode("utf-8", "replace")[:64].decode("utf-8", "ignore") or "syncer"
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, short)])
