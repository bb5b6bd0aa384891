"""Measures the rewriting of addresses: text without a match, with a few, with many, and small files."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial

from syncer.substitution.mapping import HostPair, Mapping, NetworkPair
from syncer.substitution.rewrite import Renderer, rewrite

MIB = 1 << 20
_WORDS = """
    server listen location proxy_pass upstream timeout 30s root index error_log warn access_log main; # the of and a is
    in be to for this file when set default value option enabled yes no true 8080 443 1.5 12:30:45 0644 -- {} = [a]
"""


def make_text(size: int = 8 * MIB) -> bytes:
    """Return configuration-like text in which no rule of this page matches."""
    chance = random.Random(1)  # noqa: S311  # test data
    words = _WORDS.split()
    lines = (" ".join(chance.choices(words, k=8)) for _ in range(MIB // 40))
    block = "\n".join(lines).encode()[: MIB - 1] + b"\n"
    return block * (size // len(block))


def with_tokens(text: bytes, token: bytes, gap: int) -> bytes:
    """Return `text` with `token` in place of what stands at every `gap` bytes."""
    keep = gap - len(token) - 2
    return b"".join(text[start : start + keep] + b" " + token + b" " for start in range(0, len(text), gap))


def mappings() -> dict[str, tuple[Mapping, bytes]]:
    """Return mappings by name, each with a token that it replaces."""
    chance = random.Random(2)  # noqa: S311  # test data
    sources = chance.sample(range(0x0B000000, 0xDF000000), 200)
    addresses = tuple(NetworkPair(4, sources[n], sources[n + 100], 32) for n in range(100))
    first = ".".join(str(sources[0] >> shift & 255) for shift in (24, 16, 8, 0)).encode()
    hosts = tuple(HostPair(b"node%d.prod.example" % n, b"node%d.dr.example" % n) for n in range(100))
    network6 = NetworkPair(6, 0x20010DB8 << 96, 0x20010DB9 << 96, 32)
    return {
        "1 address": (Mapping(addresses[:1]), first),
        "10 addresses": (Mapping(addresses[:10]), first),
        "100 addresses": (Mapping(addresses), first),
        "an IPv4 network": (Mapping((NetworkPair(4, 0x0A010000, 0x0A020000, 16),)), b"10.1.2.3"),
        "an IPv6 network": (Mapping((network6,)), b"2001:db8::5"),
        "1 host name": (Mapping((), hosts[:1]), b"node0.prod.example"),
        "100 host names": (Mapping((), hosts), b"node7.prod.example"),
    }


def best(work: Callable[[], object], rounds: int = 7) -> float:
    """Return the seconds of the fastest round: what else the machine does is not of interest."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def _render(mapping: Mapping, pieces: list[bytes]) -> None:
    renderer = Renderer(mapping)
    for piece in pieces:
        renderer.feed(piece)
    renderer.finish()


def _render_often(data: bytes, mapping: Mapping) -> None:
    for _ in range(500):
        rewrite(data, mapping)


def _rate(mapping: Mapping, data: bytes, piece: int) -> float:
    pieces = [data[start : start + piece] for start in range(0, len(data), piece)]
    return len(data) / best(partial(_render, mapping, pieces))


def measure_substitution() -> list[tuple[str, str]]:
    """Render text in pieces of 64 KiB and 1 MiB, then small files whole."""
    text = make_text()
    rows = []
    for name, (mapping, token) in mappings().items():
        none = [f"{_rate(mapping, text, size) / 1e9:.1f}" for size in (65536, MIB)]
        few = _rate(mapping, with_tokens(text[:MIB], token, 4096), 65536) / 1e6
        many = _rate(mapping, with_tokens(text[: MIB // 2], token, 40), 65536) / 1e6
        figures = f"no match {none[0]} GB/s (pieces of 1 MiB: {none[1]}), one in 4 KiB {few:.0f} MB/s"
        rows.append((f"rendering, {name}", f"{figures}, one in 40 bytes {many:.1f} MB/s"))
    for name, (mapping, token) in mappings().items():
        without = text[:1024]
        with_one = with_tokens(without, token, 1024)
        alone, found = (1e6 * best(partial(_render_often, data, mapping)) / 500 for data in (without, with_one))
        rows.append((f"a file of 1 KiB, {name}", f"without a match {alone:.1f} µs, with one {found:.0f} µs"))
    return rows


if __name__ == "__main__":
    for what, result in measure_substitution():
        print(f"| {what} | {result} |")
