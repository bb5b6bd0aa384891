"""For every byte string: what was rendered is restored, nothing else changes, and no cut makes a difference."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from syncer.substitution.finder import Finder, Found
from syncer.substitution.mapping import HostPair, Mapping, NetworkPair
from syncer.substitution.rewrite import (
    Renderer,
    Replacement,
    Report,
    Restorer,
    concerns,
    restore,
    rewrite,
)
from syncer.substitution.spelling import read_ipv4, read_ipv6, write_ipv4, write_ipv6
from syncer.substitution.tokens import host_stands, ipv4_at, ipv6_around


def pair(source: bytes, target: bytes, length: int) -> NetworkPair:
    version, read = (6, read_ipv6) if b":" in source else (4, read_ipv4)
    here, there = read(source), read(target)
    assert here is not None
    assert there is not None
    return NetworkPair(version, here, there, length)


PLAIN = Mapping(
    (
        pair(b"2001:db8::1", b"2001:db8:ff::9", 128),
        pair(b"10.0.0.1", b"192.168.7.21", 32),
        pair(b"10.1.0.0", b"10.2.0.0", 16),
    ),
    (HostPair(b"prod.example.com", b"dr.example.org"), HostPair(b"web", b"www")),
)
"""No image is a source."""
SWAP = Mapping(
    (
        pair(b"10.0.0.1", b"10.0.0.2", 32),
        pair(b"10.0.0.2", b"10.0.0.1", 32),
        pair(b"10.1.0.0", b"10.2.0.0", 16),
        pair(b"10.2.0.0", b"10.1.0.0", 16),
        pair(b"2001:db8:1::", b"2001:db8:2::", 48),
        pair(b"2001:db8:2::", b"2001:db8:1::", 48),
    ),
    (HostPair(b"web", b"prod.example.com"), HostPair(b"prod.example.com", b"web")),
)
WIDE = Mapping(
    (
        pair(b"::ffff:0:0", b"64:ff9b::", 96),
        pair(b"2001:db8::", b"fd00::", 32),
        pair(b"8.0.0.0", b"40.0.0.0", 5),
        pair(b"c000::", b"e000::", 3),
    ),
    (HostPair(b"cafe", b"DEAD"), HostPair(b"beef", b"a-b"), HostPair(b"example.com", b"cafe.example.com")),
)
"""Networks without a fixed octet or group, names that are hexadecimal digits, a name that becomes a longer one."""
MAPPINGS = [PLAIN, SWAP, WIDE]

FRAGMENTS = [
    *(b"10.0.0.1 10.0.0.2 192.168.7.21 10.1.2.3 10.2.2.3 10. 0.0.1 .1 1. 10 0 1 256 01 9.1.1.1 41.1.1.1").split(),
    *(b"2001:db8::1 2001:DB8:0::1 2001:db8:ff::9 2001:db8:1::5 2001:db8: db8:: :: : ::1 ::ffff: ffff fd00::7").split(),
    *(b"64:ff9b:: 0: 00 c001::1 e001::1 0:0:0:0:0:ffff:").split(),
    *(b"prod.example.com PROD.example.com dr.example.org web www Web cafe CAFE dead beef a-b example.com").split(),
    *(b"cafe.example.com .example.com prod. com").split(),
    *(b". - _ / @ = , ; % $ [ ] ( ) # -l -a %2F %3a \\n \\ x g \xc3\xa9 \xe9 \xe2\x80\x9c \xa0 \x80").split(),
    *(b" ", b"\n", b"\r\n", b"..", b"${", b"\0", b"-----", b"-----BEGIN X-----", b"-----END X-----", b"-----END "),
    b"AAAAC3NzaC1lZDI1NTE5AAAAIGab/" * 2,
    b"=" * 200,
    b"1." * 150,
    b"fe:" * 100,
    b"a.b-" * 70,
    b"\n" * 400,
    b"text " * 900,
]
near_addresses = st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=3), max_size=60).map(b"".join)


def as_utf_16(text: bytes, mark: bytes, end: bytes) -> bytes:
    return mark + text.decode("latin-1").encode("utf-16-le" if mark == b"\xff\xfe" else "utf-16-be") + end


files = st.one_of(
    near_addresses,
    st.binary(max_size=200),
    st.builds(as_utf_16, near_addresses, st.sampled_from([b"\xff\xfe", b"\xfe\xff"]), st.sampled_from([b"", b"1"])),
    st.builds(lambda head, text: b"\n" * head + text, st.integers(7900, 8000), near_addresses),
)
cuts = st.lists(st.one_of(st.integers(1, 3), st.integers(1, 9000)), min_size=1, max_size=20)
mappings = st.sampled_from(MAPPINGS)


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    """Cut `data` by `sizes`, again and again; not into so many pieces that the test takes long."""
    edges, position = [0], 0
    while position < len(data):
        position += sizes[len(edges) % len(sizes)] if len(edges) < 1500 else 5000
        edges.append(min(position, len(data)))
    return [data[start:end] for start, end in pairwise(edges)]


def rendered_in_pieces(data: bytes, mapping: Mapping, sizes: list[int]) -> tuple[bytes, Report, list[Replacement]]:
    replacements: list[Replacement] = []
    renderer = Renderer(mapping, replacements.append)
    ready = b"".join([renderer.feed(piece) for piece in pieces(data, sizes)])
    rest, report = renderer.finish()
    return ready + rest, report, replacements


@given(files, mappings)
@example(b"\n" * 7999 + b"10.0.0.1\0", PLAIN)
@example(b"\n" * 7990 + b"192.168.7.21 10.0.0.1 \0", SWAP)
def test_guarantee_10_what_was_rendered_is_restored(data: bytes, mapping: Mapping) -> None:
    rendered, report = rewrite(data, mapping)
    assert restore(rendered, mapping, report.undo) == data
    assert (report.size, report.rendered_size) == (len(data), len(rendered))


@given(files, mappings, cuts, cuts)
def test_where_the_input_is_cut_changes_nothing(
    data: bytes, mapping: Mapping, ours: list[int], back: list[int]
) -> None:
    rendered, report = rewrite(data, mapping)
    in_pieces, same_report, _ = rendered_in_pieces(data, mapping, ours)
    assert in_pieces == rendered
    assert same_report == report
    restorer = Restorer(mapping, report.undo)
    restored = b"".join([restorer.feed(piece) for piece in pieces(rendered, back)]) + restorer.finish()
    assert restored == data


@given(files, mappings, cuts)
def test_no_byte_outside_of_the_reported_places_changes(data: bytes, mapping: Mapping, sizes: list[int]) -> None:
    rendered, report, replacements = rendered_in_pieces(data, mapping, sizes)
    assert len(replacements) == report.replacements
    source = target = 0
    for place in replacements:
        assert data[source : place.offset] == rendered[target : place.rendered_offset]
        source, target = place.offset + place.length, place.rendered_offset + place.rendered_length
    assert data[source:] == rendered[target:]


@given(files, mappings)
def test_what_concerns_no_rule_is_rendered_as_it_is(data: bytes, mapping: Mapping) -> None:
    assume(not concerns(data, mapping))
    rendered, report = rewrite(data, mapping)
    assert rendered == data
    assert (report.replacements, report.undo) == (0, b"")


@given(files)
def test_rendering_twice_is_rendering_once_where_no_image_is_a_source(data: bytes) -> None:
    rendered, _ = rewrite(data, PLAIN)
    # A zero byte that moves into the head makes a text look binary: only the undo record knows better then.
    assert rewrite(rendered, PLAIN)[0] == rendered


TOKENS = [b"10.0.0.1", b"10.1.2.3", b"10.0.0.9", b"2001:db8::1", b"prod.example.com", b"web", b"other", b"7"]
IMAGES = re.compile(rb"192\.168\.7\.21|10\.2\.|2001:db8:ff::9|dr\.example\.org|www")


@given(st.lists(st.tuples(st.sampled_from(TOKENS), st.sampled_from([b" ", b"\n", b", ", b"; ", b'"', b"/", b" = "]))))
def test_texts_without_collisions_and_odd_spellings_need_no_undo_record(parts: list[tuple[bytes, bytes]]) -> None:
    text = b"".join(token + separator for token, separator in parts)
    assert not IMAGES.search(text)
    for data in (text, as_utf_16(text, b"\xff\xfe", b""), as_utf_16(text, b"\xfe\xff", b"")):
        rendered, report = rewrite(data, PLAIN)
        assert report.undo == b""
        assert rewrite(rendered, PLAIN.inverse())[0] == data


@given(
    st.lists(st.sampled_from([b"10.0.0.1", b"10.0.0.2", b"10.1.7.7", b"2001:db8:2::5", b"web", b"prod.example.com"]))
)
def test_a_swap_is_its_own_inverse(tokens: list[bytes]) -> None:
    text = b"\n".join(tokens)
    rendered, report = rewrite(text, SWAP)
    assert report.undo == b""
    assert rewrite(rendered, SWAP)[0] == text
    assert rewrite(rendered, SWAP.inverse())[0] == text


NETWORKS = [(4, 0x0A000001, 32), (4, 0x0A010000, 16), (6, 0x20010DB8 << 96, 32), (4, 0x28000000, 5)]
NAMES = [b"prod.example.com", b"web", b"cafe"]


def slowly_found(text: bytes) -> list[tuple[int, int, str]]:
    """Try the grammar at every place, without literals, blocks and memory of earlier places."""
    found = []
    for start in range(len(text)):
        if (end := ipv4_at(text, start)) and (value := read_ipv4(text[start:end])) is not None:
            found += [(start, end, write_ipv4(value).decode()) for _ in range(covered(4, value, 32))]
        first, end, _ = ipv6_around(text, start)
        if end and first == start and (value := read_ipv6(text[start:end])) is not None:
            written = write_ipv6(value, dotted=b"." in text[start:end]).decode()
            found += [(start, end, written) for _ in range(covered(6, value, 128))]
        for name in NAMES:
            end = start + len(name)
            if text[start:end].lower() == name and host_stands(text, start, end):
                found.append((start, end, name.decode()))
    alone, free = [], 0
    for start, end, address in sorted(found):
        if start >= free:
            alone.append((start, end, address))
            free = end
    return alone


def covered(version: int, value: int, bits: int) -> bool:
    return any(
        of == version and value >> (bits - length) == network >> (bits - length) for of, network, length in NETWORKS
    )


def without_certificates(text: bytes) -> bytes:
    return text.replace(b"-----", b"----+")


@given(near_addresses.map(without_certificates), cuts)
@settings(max_examples=60)
def test_the_finder_finds_what_a_slow_search_finds(data: bytes, sizes: list[int]) -> None:
    assume(not data.startswith((b"\xff\xfe", b"\xfe\xff")))
    finder = Finder(NETWORKS, NAMES)
    found = [found for piece in pieces(data, sizes) for found in finder.feed(piece)] + finder.finish()
    binary = b"\0" in data[:8000]
    assert found == [
        Found(start, 0 if binary else data.count(b"\n", 0, start) + 1, data[start:end].decode(), address)
        for start, end, address in slowly_found(data)
    ]
