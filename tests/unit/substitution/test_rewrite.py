"""Whole files: encodings, binaries, streaming in bounded memory, and inputs that were made to take long."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from syncer.errors import UndoError
from syncer.substitution.finder import Finder
from syncer.substitution.mapping import HostPair, Mapping, NetworkPair
from syncer.substitution.rewrite import Renderer, Replacement, Report, Restorer, concerns, restore, rewrite

SOURCE, TARGET = b"10.0.0.1", b"192.168.7.21"
MAPPING = Mapping(
    (
        NetworkPair(6, 0x20010DB8 << 96, 0x20010DB9 << 96, 32),
        NetworkPair(4, 0x0A000001, 0xC0A80715, 32),
    ),
    (HostPair(b"prod.example.com", b"dr.example.org"), HostPair(b"web", b"www")),
)
NOTHING = Mapping()


def test_a_report_counts_bytes_and_tokens() -> None:
    seen: list[Replacement] = []
    renderer = Renderer(MAPPING, seen.append)
    ready = renderer.feed(b"a 10.0.0.1 b web")
    rest, report = renderer.finish()
    assert ready + rest == b"a 192.168.7.21 b www"
    assert report == Report(16, 20, 2, b"", "")
    assert seen == [Replacement(2, 8, 2, 12), Replacement(13, 3, 17, 3)]


def test_places_in_utf_16_are_bytes_and_count_the_mark() -> None:
    seen: list[Replacement] = []
    renderer = Renderer(MAPPING, seen.append)
    renderer.feed("\ufeffä10.0.0.1".encode("utf-16-be"))
    renderer.finish()
    assert seen == [Replacement(4, 16, 4, 24)]


@pytest.mark.parametrize("data", [b"", b"\n", b"\xff\xfe", b"\xfe\xff", b"\xff\xfe1", b"\xff", b"\0", b"\xef\xbb\xbf"])
def test_tiny_files_stay_as_they_are(data: bytes) -> None:
    rendered, report = rewrite(data, MAPPING)
    assert rendered == data
    assert restore(rendered, MAPPING, report.undo) == data


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "iso8859-15", "utf-16-le", "utf-16-be"]
)
def test_encoding_and_line_ends_stay(encoding: str, end: str) -> None:
    mark = "\ufeff" if encoding.startswith("utf-16") else ""
    text = mark + f"# für é{end} bind 10.0.0.1{end} host web{end}"
    rendered, report = rewrite(text.encode(encoding), MAPPING)
    assert rendered == text.replace("10.0.0.1", "192.168.7.21").replace("web", "www").encode(encoding)
    assert report.undo == b""


def test_utf_16_with_half_a_unit_and_single_surrogates_is_kept_byte_for_byte() -> None:
    data = b"\xff\xfe" + b"\x00\xd8" + "10.0.0.1".encode("utf-16-le") + b"\x00\xdc" + "😀".encode("utf-16-le") + b"x"
    rendered, report = rewrite(data, MAPPING)
    assert rendered == data.replace("10.0.0.1".encode("utf-16-le"), "192.168.7.21".encode("utf-16-le"))
    assert restore(rendered, MAPPING, report.undo) == data


@pytest.mark.parametrize(
    "data",
    [
        b"\x7fELF\0 10.0.0.1",
        b"10.0.0.1 \0",
        b"10.0.0.1" + b"\n" * 7991 + b"\0",
        b"\xff\xfe\0\0" + "10.0.0.1".encode("utf-32-le"),
        b"\0\0\xfe\xff" + "10.0.0.1".encode("utf-32-be"),
        "10.0.0.1".encode("utf-16-le"),
    ],
)
def test_binary_files_are_left_alone(data: bytes) -> None:
    rendered, report = rewrite(data, MAPPING)
    assert rendered == data
    assert report == Report(len(data), len(data), 0, b"", "binary")
    assert restore(rendered, MAPPING, b"") == data


def test_a_zero_byte_behind_the_head_does_not_make_a_file_binary() -> None:
    data = b"\n" * 7992 + b"10.0.0.1\0"
    rendered, report = rewrite(data, MAPPING)
    assert rendered == data.replace(SOURCE, TARGET)
    assert report.left_alone == ""


def test_a_text_that_looks_binary_only_when_rendered_comes_back() -> None:
    data = b"192.168.7.21" + b"\n" * 7988 + b"\0"
    rendered, report = rewrite(data, MAPPING.inverse())
    assert rendered.index(b"\0") < 8000
    assert report.undo == b"\x02"
    assert restore(rendered, MAPPING.inverse(), report.undo) == data


def test_certificates_stay_and_the_configuration_around_them_does_not() -> None:
    key = b"-----BEGIN OPENSSH PRIVATE KEY-----\n10.0.0.1 web\n-----END OPENSSH PRIVATE KEY-----\n"
    assert rewrite(key, MAPPING) == (key, Report(len(key), len(key), 0, b"", "certificate or key"))
    bundle = b"remote 10.0.0.1\n" + key * 3000 + b"verify web\n"
    rendered, report = rewrite(bundle, MAPPING)
    assert rendered == b"remote 192.168.7.21\n" + key * 3000 + b"verify www\n"
    assert (report.replacements, report.undo, report.left_alone) == (2, b"", "")


def test_bytes_that_no_text_has_are_no_names() -> None:
    data = b"".join(
        b" " + bytes([first, second] * 2) + b" " for first in range(0xF0, 0x100) for second in range(1, 256)
    )
    assert rewrite(data + b"web", MAPPING)[0] == data + b"www"


def test_a_certificate_without_end_protects_the_rest_of_the_file() -> None:
    data = b"-----BEGIN CERTIFICATE-----\n" + b"MIIB\n" * 50_000 + b"10.0.0.1"
    assert rewrite(data, MAPPING)[0] == data


def test_nothing_is_rewritten_without_rules() -> None:
    data = b"10.0.0.1 -----BEGIN X----- web"
    assert rewrite(data, NOTHING)[0] == data
    assert not concerns(b"10.0.0.1", NOTHING)


def test_what_concerns_nothing_is_told_quickly_and_truly() -> None:
    assert not concerns(b"nothing here, not even 10.0.0.", MAPPING)
    assert concerns(b"10.0.0.1", MAPPING)
    assert concerns(TARGET, MAPPING)
    assert concerns(b"WEB", MAPPING)
    assert concerns("\ufeff10.0.0.1".encode("utf-16-le"), MAPPING)
    assert not concerns("\ufeff10.0.0.".encode("utf-16-le"), MAPPING)


def test_a_mapping_with_hundreds_of_pairs_finds_each() -> None:
    networks = tuple(NetworkPair(4, 0x0A000000 + number, 0x0B000000 + number, 32) for number in range(300))
    hosts = tuple(HostPair(b"node%d.prod.example" % number, b"node%d.dr.example" % number) for number in range(300))
    mapping = Mapping(networks, hosts)
    data = b"\n".join(b"10.0.%d.%d NODE%d.prod.example" % (n >> 8, n & 255, n) for n in range(300))
    rendered, _ = rewrite(data, mapping)
    assert rendered == data.replace(b"10.0.", b"11.0.").replace(b"NODE", b"node").replace(b"prod", b"dr")
    for line in data.splitlines():
        assert concerns(line.split()[0], mapping)
        assert concerns(line.split()[1], mapping)


HOSTILE = {
    "digits": b"1",
    "dots": b".",
    "quads without end": b"10.",
    "quads": b"10.0.0.1.",
    "colons": b":",
    "groups": b"2001:",
    "groups with gaps": b"2001:db8::",
    "hexadecimal": b"2001db8",
    "hyphens": b"10.0.0.1-",
    "ranges": b"10.0.0.1-a",
    "names": b"prod.example.com.",
    "labels": b"prod.example.com-",
    "words": b"web",
    "paths": b"/web",
    "escapes": b"%20",
    "markers": b"-----END X",
    "blocks": b"-----BEGIN X----------END X-----",
    "beginnings": b"-----BEGIN X",
    "blanks": b" ",
    "one line of addresses": b"10.0.0.1,",
}


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.soak
def test_hostile_inputs_take_linear_time(unit: bytes) -> None:
    renderer = Renderer(MAPPING)
    pieces = [unit * (65536 // len(unit))] * 8
    started = time.process_time()
    for piece in pieces:
        renderer.feed(piece)
    renderer.finish()
    # About a second; a quadratic search would need minutes for half a megabyte without an end of line.
    assert time.process_time() - started < 15


def test_what_is_carried_from_piece_to_piece_is_bounded() -> None:
    for unit in HOSTILE.values():
        renderer = Renderer(MAPPING)
        fed = got = 0
        for piece in [unit * (20_000 // len(unit))] + [unit] * 100:
            fed += len(piece)
            got += len(renderer.feed(piece))
            assert renderer._work is None or len(renderer._work._source.scanner.buffer) < 21_000
        # Rendered addresses are longer here: nothing but the undecided end may be missing.
        assert fed - got < 600


def test_a_large_file_is_rendered_and_restored_in_constant_memory() -> None:
    piece = b"listen 10.0.0.1:80;\n" + b"# a line without anything to find, like most lines\n" * 1300
    tracemalloc.start()
    try:
        renderer = Renderer(MAPPING)
        size = sum(len(renderer.feed(piece)) for _ in range(200))
        rest, report = renderer.finish()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size + len(rest) == report.rendered_size == 200 * (len(piece) + 4)
    assert report.undo == b""
    assert peak < 2 * 2**20


def test_a_record_of_another_file_is_refused() -> None:
    _, report = rewrite(b"x" * 100 + b" 192.168.7.21", MAPPING)
    assert report.undo
    restorer = Restorer(MAPPING, report.undo)
    restorer.feed(b"short")
    with pytest.raises(UndoError, match="belongs to another"):
        restorer.finish()
    with pytest.raises(UndoError, match="belongs to another"):
        restore(b"\0" * 200, MAPPING, report.undo)


def test_the_finder_tells_lines_spellings_and_places() -> None:
    text = "# web\r\nbind 10.0.0.1\n\n[2001:DB8:0::7]:80\nPROD.example.com\n"
    finder = Finder([(4, 0x0A000001, 32), (6, 0x20010DB8 << 96, 32)], [b"prod.example.com"])
    assert finder.feed(text.encode()) == []
    found = finder.finish()
    assert [(place.line, place.text, place.address) for place in found] == [
        (2, "10.0.0.1", "10.0.0.1"),
        (4, "2001:DB8:0::7", "2001:db8::7"),
        (5, "PROD.example.com", "prod.example.com"),
    ]
    assert [text[place.offset :][: len(place.text)] for place in found] == [place.text for place in found]
    wide = Finder([(4, 0x0A000001, 32)], [])
    wide.feed(("\ufeff" + text).encode("utf-16-le"))
    assert [(place.offset, place.line) for place in wide.finish()] == [(2 + 2 * text.index("10."), 2)]


def test_the_finder_looks_into_binary_files_and_knows_no_lines_there() -> None:
    finder = Finder([(4, 0x0A000001, 8)], [])
    finder.feed(b"SQLite\0\n\n10.0.0.1\0")
    assert [(place.offset, place.line) for place in finder.finish()] == [(9, 0)]
