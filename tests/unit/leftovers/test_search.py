"""What stands in one file: found in every kind of it, and never what a rule has put there."""

from __future__ import annotations

import datetime as dt
import ipaddress
from itertools import pairwise

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from syncer.errors import ConfigurationError
from syncer.leftovers import search
from syncer.leftovers.certificates import LARGEST_BLOCK, Block, Blocks, names_in
from syncer.leftovers.needles import Needles
from syncer.leftovers.search import Hit, hits, hits_in_name
from syncer.substitution.rules import Rule, RuleSet

RULES = RuleSet.of([Rule("10.1.0.0/16", "10.2.0.0/16"), Rule("192.0.2.1", "192.0.2.2", swap=True)])
MAPPING = RULES.for_path("d", b"f")
NEEDLES = Needles(RULES.rules, ["198.51.100.7", "prod-a"], ["203.0.113.0/24"])
KEY = b"-----BEGIN RSA PRIVATE KEY-----\nComment: 10.1.2.3\n\nMIIE\n-----END RSA PRIVATE KEY-----\n"

TABLE: list[tuple[bytes, list[tuple[int, str, str]]]] = [
    (b"nothing\n", []),
    (b"", []),
    # Replaced: what stands there now is meant, also what is a source of another rule.
    (b"10.1.2.3\n192.0.2.1 192.0.2.2\n", []),
    (b"a\nb 198.51.100.7:80\n", [(2, "198.51.100.7", "text")]),
    (b"server PROD-A;\nserver prod-a.example.com;\n", [(1, "PROD-A", "text")]),
    (b"203.0.113.9 203.0.114.9", [(1, "203.0.113.9", "text")]),
    (b"\0\0 10.1.2.3 192.0.2.1", [(0, "10.1.2.3", "binary"), (0, "192.0.2.1", "binary")]),
    (b"# 10.1.9.9\n" + KEY, [(3, "10.1.2.3", "certificate")]),
    # Nothing in a block hides what follows: neither a second beginning nor the name of an end.
    (b"# between -----BEGIN A----- and -----BEGIN B-----\n10.1.2.3\n", [(2, "10.1.2.3", "certificate")]),
    (b"-----BEGIN A-----\n" * 9 + b"10.1.2.3\n", [(10, "10.1.2.3", "certificate")]),
    (b"\xff\xfe" + "-----BEGIN A-----\n10.1.2.3".encode("utf-16-le"), [(2, "10.1.2.3", "certificate")]),
    (b"\0-----BEGIN A-----\n10.1.2.3", [(0, "10.1.2.3", "certificate")]),
    (b"\xff\xfe" + "x\n198.51.100.7".encode("utf-16-le"), [(2, "198.51.100.7", "text")]),
    (b"h\xf6st 198.51.100.7", [(1, "198.51.100.7", "text")]),
    (b"198.51.100.70 1198.51.100.7 v198.51.100.7.1", []),
]  # fmt: skip  # a table


@pytest.mark.parametrize(("data", "expected"), TABLE)
def test_what_stands_in_a_rendering(data: bytes, expected: list[tuple[int, str, str]]) -> None:
    found = [(hit.line, hit.text, hit.where) for hit in hits(NEEDLES, [data], MAPPING)]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize(("data", "expected"), TABLE)
@given(cuts=st.lists(st.integers(0, 200), max_size=6))
def test_splitting_a_file_anywhere_changes_nothing(
    data: bytes, expected: list[tuple[int, str, str]], cuts: list[int]
) -> None:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(edges)]
    found = [(hit.line, hit.text, hit.where) for hit in hits(NEEDLES, pieces, MAPPING)]
    assert sorted(found) == sorted(expected)


def test_without_rules_everything_counts() -> None:
    found = [hit.text for hit in hits(NEEDLES, [b"10.1.2.3\n10.2.2.3\n192.0.2.2\n"])]
    assert found == ["10.1.2.3", "192.0.2.2"]


def test_a_large_file_is_searched_in_pieces_and_remembers_little() -> None:
    line = b"192.0.2.1 and 10.1.2.3 and some more text\n"
    count = 2 * search.WHOLE // len(line)
    pieces = [line * 1000 for _ in range(count // 1000)] + [b"at last 198.51.100.7"]
    assert [(hit.line, hit.text) for hit in hits(NEEDLES, pieces, MAPPING)] == [
        (1000 * (count // 1000) + 1, "198.51.100.7")
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [(b"prod-a.conf", []), (b"prod-a", ["prod-a"]), (b"10.1.2.3", ["10.1.2.3"]), (b"site-10.9.9.9.conf", [])],
)  # fmt: skip  # a table
def test_names_of_files_are_searched_too(name: bytes, expected: list[str]) -> None:
    assert [hit.text for hit in hits_in_name(NEEDLES, name, "name")] == expected
    assert hits_in_name(NEEDLES, b"/srv/10.1.2.3/x", "link") == [Hit(0, "10.1.2.3", "10.1.2.3", "link")]


def test_every_address_that_was_asked_for_wrongly_is_said_at_once() -> None:
    with pytest.raises(ConfigurationError) as refused:
        Needles((), (), ["10.0.0", "ok.example.com", "127.0.0.1"])
    assert [text.split(" ")[1] for text in refused.value.errors] == ["'10.0.0'", "'127.0.0.1'"]


@pytest.mark.parametrize(
    ("address", "asked"),
    [("203.0.113.9", True), ("203.0.114.9", False), ("198.51.100.7", False), ("prod-a", False), ("not one!", False)],
)  # fmt: skip  # a table
def test_what_was_asked_for_is_known(address: str, asked: bool) -> None:
    assert NEEDLES.was_asked(address) is asked
    assert not Needles(())
    assert Needles((), ["web01"])


def test_own_addresses_that_are_none_are_passed_over() -> None:
    assert not Needles((), ["not one!", "127.0.0.1"])


def issued_for(address: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "www.example.org")])
    day = dt.datetime(2026, 1, 31, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(day).not_valid_after(day + dt.timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    made = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM)


def blocks_of(*pieces: bytes) -> list[Block]:
    found = Blocks()
    return [*(block for piece in pieces for block in found.feed(piece)), *found.finish()]


def test_blocks_are_found_wherever_the_pieces_are_cut() -> None:
    data = b"# one\n" + KEY + b"between\n" + KEY
    whole = blocks_of(data)
    assert [(block.line, block.whole + b"\n") for block in whole] == [(2, KEY), (8, KEY)]
    for cut in range(len(data)):
        assert blocks_of(data[:cut], data[cut:]) == whole
    assert blocks_of(*(data[place : place + 1] for place in range(len(data)))) == whole


def test_a_block_without_end_fills_no_memory_and_hides_nothing() -> None:
    # The rewriting leaves all of it alone, a mention in a comment that looks like a beginning included.
    line = b"listen 10.1.2.3;\n"
    count = LARGEST_BLOCK // len(line)
    pieces = [b"# -----BEGIN CERTIFICATE-----\n", *[line * count] * 4]
    found = Blocks()
    assert [block for piece in pieces for block in found.feed(piece)] == []
    assert len(found._held) < 200
    assert [block.line for block in found.feed(b"-----END CERTIFICATE-----\n" + KEY)] == [4 * count + 3]
    told = [(hit.line, hit.where) for hit in hits(NEEDLES, pieces, MAPPING)]
    assert told == [(number, "certificate") for number in range(2, 4 * count + 2)]


def test_what_only_claims_to_be_a_certificate_names_nothing() -> None:
    lie = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"
    [block] = blocks_of(lie)
    assert names_in(block) == []


def test_a_certificate_behind_a_mention_of_one_is_read() -> None:
    pem = issued_for("10.1.2.3")
    text = b"# follows -----BEGIN CERTIFICATE-----\n" + pem
    assert [(hit.text, hit.where) for hit in hits(NEEDLES, [text], MAPPING)] == [("10.1.2.3", "certificate")]
