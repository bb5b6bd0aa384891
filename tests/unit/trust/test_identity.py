from __future__ import annotations

import datetime as dt
import os
import stat
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from syncer.errors import IdentityError, PairingError
from syncer.trust.certificates import check_node_certificate, host_of, key_pem_of, one_time_root, self_signed
from syncer.trust.identity import create, load
from tests.unit.trust.nodes import signed_by

NODE_ID = str(uuid.uuid4())


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_identity_is_what_others_will_check(tmp_path: Path) -> None:
    identity = create(tmp_path, NODE_ID, "prod-a")
    found = check_node_certificate(identity.certificate_pem)
    assert (found.node_id, found.fingerprint, found.pem) == (
        NODE_ID,
        identity.fingerprint,
        identity.certificate_pem,
    )
    certificate = x509.load_pem_x509_certificate(identity.certificate_pem)
    assert certificate.subject.rfc4514_string() == "CN=prod-a"
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days == 36_500
    # A peer whose clock is behind by less than a day takes it.
    assert certificate.not_valid_before_utc <= dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    names = {extension.oid.dotted_string for extension in certificate.extensions}
    identifiers = {x509.SubjectKeyIdentifier.oid.dotted_string, x509.AuthorityKeyIdentifier.oid.dotted_string}
    assert identifiers <= names


@pytest.mark.parametrize("umask", [0o000, 0o277])
def test_files_are_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        create(tmp_path, NODE_ID, "prod-a")
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "identity.key") == mode_of(tmp_path / "identity.crt") == 0o600
    assert sorted(os.listdir(tmp_path)) == ["identity.crt", "identity.key"]


def test_making_it_again_changes_nothing(tmp_path: Path) -> None:
    assert create(tmp_path, NODE_ID, "prod-a") == create(tmp_path, NODE_ID, "renamed") == load(tmp_path)


def test_a_key_left_by_a_crash_gets_its_certificate(tmp_path: Path) -> None:
    first = create(tmp_path, NODE_ID, "prod-a")
    (tmp_path / "identity.crt").unlink()
    (tmp_path / "identity.crt.new").write_bytes(b"half")
    second = create(tmp_path, NODE_ID, "prod-a")
    assert second.key_pem == first.key_pem
    assert second.fingerprint != first.fingerprint


def test_a_lost_key_is_not_replaced_in_silence(tmp_path: Path) -> None:
    create(tmp_path, NODE_ID, "prod-a")
    (tmp_path / "identity.key").unlink()
    with pytest.raises(IdentityError, match=r"identity\.key: is missing"):
        create(tmp_path, NODE_ID, "prod-a")


def test_a_long_or_strange_name_is_no_obstacle(tmp_path: Path) -> None:
    assert create(tmp_path, NODE_ID, "ü" * 200).node_id == NODE_ID


def test_a_key_that_others_can_read_is_refused_with_the_cure(tmp_path: Path) -> None:
    create(tmp_path, NODE_ID, "prod-a")
    (tmp_path / "identity.key").chmod(0o640)
    with pytest.raises(IdentityError, match=r"run `chmod 600 .*identity\.key`"):
        load(tmp_path)


def test_key_and_certificate_of_two_nodes_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        create(tmp_path / name, str(uuid.uuid4()), name)
    (tmp_path / "a" / "identity.key").replace(tmp_path / "b" / "identity.key")
    with pytest.raises(IdentityError, match="is not of the key"):
        load(tmp_path / "b")


def test_an_identity_beside_another_nodes_state_is_refused(tmp_path: Path) -> None:
    create(tmp_path, NODE_ID, "prod-a")
    with pytest.raises(IdentityError, match="restore both from one backup"):
        load(tmp_path, str(uuid.uuid4()))


@pytest.mark.parametrize("name", ["identity.key", "identity.crt"])
@pytest.mark.parametrize("content", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    create(tmp_path, NODE_ID, "prod-a")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(IdentityError, match=name):
        load(tmp_path)


def test_a_key_behind_a_symlink_is_not_followed(tmp_path: Path) -> None:
    create(tmp_path, NODE_ID, "prod-a")
    (tmp_path / "identity.key").rename(tmp_path / "elsewhere")
    (tmp_path / "identity.key").symlink_to("elsewhere")
    with pytest.raises(IdentityError, match="cannot be read"):
        load(tmp_path)


def test_the_key_is_shown_by_no_repr(tmp_path: Path) -> None:
    assert "PRIVATE" not in repr(create(tmp_path, NODE_ID, "prod-a"))


def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: b"", "cannot be read"),
        (lambda: b"x" * 20_000, "too large"),
        (lambda: key_pem_of(key()), "cannot be read"),
        (
            lambda: self_signed(ec.generate_private_key(ec.SECP384R1()), "n", host_of(NODE_ID)),
            "not P-256",
        ),
        (lambda: self_signed(key(), "n", "example.com"), "does not name one node"),
        (lambda: self_signed(key(), "n", host_of("not-a-uuid")), "names no node"),
        (lambda: self_signed(key(), "n", host_of(NODE_ID.upper())), "does not name one node"),
        (lambda: one_time_root(key(), "n"), "names no node"),
    ],
)
def test_certificates_that_are_no_nodes(make: Callable[[], bytes], why: str) -> None:
    with pytest.raises(PairingError, match=why):
        check_node_certificate(make())


def test_a_certificate_signed_by_another_key_is_refused() -> None:
    mine, other = key(), key()
    forged = signed_by(other, "n", mine, "n", host_of(NODE_ID))
    with pytest.raises(PairingError, match="not signed by its own key"):
        check_node_certificate(forged)
