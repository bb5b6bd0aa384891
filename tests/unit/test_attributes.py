"""The encodings of attributes and access lists: equal for equal, and nothing else is taken."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer import access_list, attributes
from syncer.access_list import GROUP, USER, AccessEntry

NOBODY = 0xFFFFFFFF
text = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=40)
people = st.builds(
    AccessEntry,
    st.sampled_from([USER, GROUP]),
    st.integers(0, 7),
    st.integers(0, NOBODY - 1),
    st.one_of(st.just(""), text),
)
others = st.builds(
    AccessEntry, st.sampled_from([0x01, 0x04, 0x10, 0x20]), st.integers(0, 7), st.just(NOBODY), st.just("")
)
lists = st.lists(st.one_of(people, others), max_size=12)
names = st.one_of(
    text.map(lambda name: b"user." + name.encode()),
    text.map(lambda name: b"trusted." + name.encode()),
    st.sampled_from([b"security.capability", b"security.selinux"]),
)
plain = st.dictionaries(names, st.binary(max_size=50), max_size=6)
with_lists = st.builds(
    lambda found, entries: {**found, attributes.ACCESS_LISTS[0]: access_list.encode(entries)}, plain, lists
)


@given(st.one_of(plain, with_lists))
def test_attributes_survive_in_one_form_only(found: dict[bytes, bytes]) -> None:
    encoded = attributes.encode(found)
    assert attributes.decode(encoded) == found
    assert attributes.encode(dict(reversed(found.items()))) == encoded
    assert attributes.flaw_of(encoded) is None


@given(with_lists, st.data())
def test_damaged_attributes_are_refused_or_of_the_one_form(found: dict[bytes, bytes], data: st.DataObject) -> None:
    damaged = bytearray(attributes.encode(found))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    for one in (bytes(damaged), bytes(damaged)[: data.draw(st.integers(0, len(damaged)))]):
        if attributes.flaw_of(one) is None:
            assert attributes.encode(attributes.decode(one)) == one


@given(st.binary(max_size=300))
def test_garbage_is_refused_never_another_error(data: bytes) -> None:
    attributes.flaw_of(data)
    with contextlib.suppress(ValueError):
        access_list.decode(data)
    with contextlib.suppress(ValueError):
        access_list.from_kernel(data, lambda _: "", lambda _: "")


@given(lists)
def test_an_access_list_survives_both_forms(entries: list[AccessEntry]) -> None:
    named = {(entry.tag, entry.number): entry.name for entry in entries}
    entries = [entry._replace(name=named[entry.tag, entry.number]) for entry in entries]
    portable = access_list.encode(entries)
    assert access_list.decode(portable) == sorted(entries)
    raw = access_list.to_kernel(entries)
    back = access_list.from_kernel(raw, lambda n: named[USER, n], lambda n: named[GROUP, n])
    assert access_list.encode(back) == portable


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"security.ima", b"x"),
        (b"system.nfs4_acl", b"x"),
        (b"trusted.overlay.opaque", b"y"),
        (b"user.", b"x"),
        (b"user.\xff", b"x"),
        (b"user.a\nb", b"x"),
        (b"user." + b"x" * 251, b"x"),
        (b"user.big", bytes(65537)),
    ],
    ids=repr,
)
def test_what_is_not_carried_is_refused_on_both_ends(name: bytes, value: bytes) -> None:
    with pytest.raises(ValueError, match="has"):
        attributes.encode({name: value})
    raw = struct.pack(">BI", len(name) % 256, len(value)) + name + value
    assert attributes.flaw_of(raw) is not None


def test_more_than_one_message_can_hold_is_refused() -> None:
    many = {b"user.%d" % number: bytes(65536) for number in range(4)}
    with pytest.raises(ValueError, match="more than 256 KiB"):
        attributes.encode(many)
    assert "256 KiB" in (attributes.flaw_of(bytes(attributes.LARGEST + 1)) or "")


@pytest.mark.parametrize(
    "entries",
    [
        [AccessEntry(0x40, 7, NOBODY)],
        [AccessEntry(USER, 8, 1)],
        [AccessEntry(USER, 7, NOBODY)],
        [AccessEntry(0x01, 7, 5)],
        [AccessEntry(0x01, 7, NOBODY, "root")],
        [AccessEntry(GROUP, 7, 5, "a\x1b[2J")],
    ],
    ids=str,
)
def test_an_access_list_that_cannot_be_is_refused(entries: list[AccessEntry]) -> None:
    with pytest.raises(ValueError, match="access list"):
        access_list.decode(access_list.encode(entries))
