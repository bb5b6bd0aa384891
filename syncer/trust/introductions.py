"""What production says of the nodes that are paired with it, signed: who they are, and whom nobody is to know any more.

A statement is canonical JSON. What was signed is checked before it is read, and what is read is written again and
compared, so that one statement has one form.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from syncer.config.address import parse_address
from syncer.errors import PairingError, PeerProtocolError, SyncerError
from syncer.model import TERM_COUNTER_MAX, Term
from syncer.substitution.rules import EMPTY, RulesError, RuleSet
from syncer.trust.certificates import check_node_certificate
from syncer.trust.wire import checked_name

CONTEXT = b"syncer statement 1\0"
"""Goes before every body that is signed: a signature of it is one of nothing else."""
BODY_MAX = 512 * 1024
"""Bytes of one statement; rules are the most of it."""
DOMAINS_MAX = 256
ADDRESSES_MAX = 16

_NODE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_INTRODUCTION, _RETIREMENT = "introduction", "retirement"


class Signed(NamedTuple):
    """A statement as it travels and is kept."""

    body: bytes
    signature: bytes


class Introduction(NamedTuple):
    """A production node says who another node is, how that is reached, and how it is fed."""

    issuer: str
    """node_id."""
    term: Term
    """Under which the issuer was production."""
    counter: int
    """Grows with each statement of the issuer about this node."""
    node_id: str
    name: str
    certificate: bytes
    """PEM."""
    addresses: tuple[str, ...]
    """host:port, the best first."""
    domains: Mapping[str, RuleSet]
    """What the node receives, each with the rules by which the issuer renders it."""


class Retirement(NamedTuple):
    """A production node says that the identity of a node counts no more, for good."""

    issuer: str
    term: Term
    counter: int
    node_id: str
    name: str
    certificate: bytes


Statement = Introduction | Retirement


def sign(statement: Statement, key_pem: bytes) -> Signed:
    """Return the statement, signed by its issuer's key."""
    body = encoded(statement)
    key = serialization.load_pem_private_key(key_pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey), "an identity has a P-256 key"
    return Signed(body, key.sign(CONTEXT + body, ec.ECDSA(hashes.SHA256())))


def issuer_of(signed: Signed) -> str:
    """Return whose statement this says to be; PeerProtocolError where it is none. Proves nothing."""
    return str(_document(signed.body).get("issuer", ""))


def verified(signed: Signed, issuer_certificate: bytes) -> Statement:
    """Return what the owner of a certificate (PEM) has said. Raises PeerProtocolError for anything else."""
    if len(signed.body) > BODY_MAX:
        raise PeerProtocolError(f"a statement of more than {BODY_MAX:,} bytes is none")
    key = x509.load_pem_x509_certificate(issuer_certificate).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey), "a pinned certificate is of a P-256 key"
    try:
        key.verify(signed.signature, CONTEXT + signed.body, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise PeerProtocolError("a statement is not signed by the node that it names as its issuer") from error
    found = read(signed)
    if found.issuer != check_node_certificate(issuer_certificate).node_id:
        raise PeerProtocolError("a statement is signed by another node than it names as its issuer")
    return found


def read(signed: Signed) -> Statement:
    """Return what a statement says, without asking who has signed it: for those that are kept here, verified once."""
    try:
        found = _statement(_document(signed.body))
        again = encoded(found)
    except (KeyError, TypeError, ValueError, AttributeError, SyncerError) as error:
        raise PeerProtocolError(f"a statement of another node cannot be read: {error}") from error
    if again != signed.body:
        raise PeerProtocolError("a statement of another node is not in its one form")
    return found


def encoded(statement: Statement) -> bytes:
    """Return the one form of a statement."""
    document: dict[str, Any] = {
        "issuer": statement.issuer,
        "term": [statement.term.counter, statement.term.node_id],
        "counter": statement.counter,
        "node_id": statement.node_id,
        "name": statement.name,
        "certificate": statement.certificate.decode("ascii"),
    }
    if isinstance(statement, Introduction):
        rules = {name: base64.b64encode(found.encode()).decode() for name, found in statement.domains.items()}
        document |= {"kind": _INTRODUCTION, "addresses": list(statement.addresses), "domains": rules}
    else:
        document |= {"kind": _RETIREMENT}
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")


def _document(body: bytes) -> dict[str, Any]:
    if len(body) > BODY_MAX:
        raise PeerProtocolError(f"a statement of more than {BODY_MAX:,} bytes is none")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise PeerProtocolError("a statement of another node cannot be read") from error
    if not isinstance(found, dict):
        raise PeerProtocolError("a statement of another node cannot be read")
    return found


def _statement(found: dict[str, Any]) -> Statement:
    certificate = check_node_certificate(found["certificate"].encode("ascii"))
    counter, node_id = found["term"]
    term = Term(_counted(counter), _id(node_id))
    issuer, subject, number = _id(found["issuer"]), _id(found["node_id"]), _counted(found["counter"])
    if certificate.node_id != subject or certificate.pem != found["certificate"].encode("ascii"):
        raise PairingError("its certificate is of another node")
    name = checked_name(found["name"])
    if found["kind"] == _RETIREMENT:
        return Retirement(issuer, term, number, subject, name, certificate.pem)
    if found["kind"] != _INTRODUCTION:
        raise PeerProtocolError("it is of a kind that this version does not know: update syncer")
    addresses, domains = found["addresses"], found["domains"]
    if len(addresses) > ADDRESSES_MAX or len(domains) > DOMAINS_MAX:
        raise PeerProtocolError("it names too many addresses or domains")
    kept = tuple(str(parse_address(_text(address))) for address in addresses)
    rules = {checked_name(domain): _rules(_text(text)) for domain, text in domains.items()}
    return Introduction(issuer, term, number, subject, name, certificate.pem, kept, rules)


def _rules(text: str) -> RuleSet:
    data = base64.b64decode(text, validate=True)
    try:
        return RuleSet.decode(data) if data else EMPTY
    except RulesError as error:
        raise PeerProtocolError(f"its substitution rules cannot be: {error}") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise PeerProtocolError("it holds a value of another kind where a text belongs")
    return value


def _id(value: object) -> str:
    if not isinstance(value, str) or not _NODE_ID.fullmatch(value):
        raise PeerProtocolError("it names a node by what is no id")
    return value


def _counted(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= TERM_COUNTER_MAX:
        raise PeerProtocolError("it counts by what is no number")
    return value
