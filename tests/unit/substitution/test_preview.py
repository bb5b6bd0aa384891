"""Replacements with their lines, and diffs that `patch` would take, in every encoding."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.substitution.preview import decoded, preview, unified
from syncer.substitution.rules import Rule, RuleSet

FOUND = RuleSet.of([Rule("10.0.1.10", "10.0.2.100"), Rule("prod.example.com", "dr.example.com")]).for_path("d", b"f")
assert FOUND is not None
MAPPING = FOUND

TABLE = [
    (b"10.0.1.10", [(1, "10.0.1.10", "10.0.2.100")]),
    (b"\n\na 10.0.1.10 b PROD.example.com\n10.0.1.10\n",
     [(3, "10.0.1.10", "10.0.2.100"), (3, "PROD.example.com", "dr.example.com"), (4, "10.0.1.10", "10.0.2.100")]),
    ("a\r\nh = 10.0.1.10\r\n".encode("utf-16-le").join([b"\xff\xfe", b""]), [(2, "10.0.1.10", "10.0.2.100")]),
    ("\n\n10.0.1.10".encode("utf-16-be").join([b"\xfe\xff", b""]), [(3, "10.0.1.10", "10.0.2.100")]),
    ("h\xf6 10.0.1.10\n".encode("latin-1"), [(1, "10.0.1.10", "10.0.2.100")]),
    (b"\0 10.0.1.10", []),
    (b"nothing\n", []),
    (b"", []),
]  # fmt: skip  # a table


@pytest.mark.parametrize(("data", "replaced"), TABLE)
def test_each_replacement_is_told_with_its_line(data: bytes, replaced: list[tuple[int, str, str]]) -> None:
    assert list(preview(data, MAPPING).replaced) == replaced


@pytest.mark.parametrize(
    ("data", "text", "encoding"),
    [
        ("ö".encode(), "ö", "UTF-8"),
        (b"\xf6", "ö", "latin-1"),
        ("ö".encode("utf-16"), "ö", "UTF-16"),
    ],
)
def test_texts_are_shown_in_their_encoding(data: bytes, text: str, encoding: str) -> None:
    assert decoded(data) == (text, encoding)


def test_a_diff_is_cut_off_and_says_how_much_more_there_is() -> None:
    data = b"".join(b"a\n" * 10 + b"10.0.1.10\n" for _ in range(100))
    lines = list(unified(data, preview(data, MAPPING).rendered, ("a", "b"), 100))
    assert len(lines) < 120
    shown = sum(line == "-10.0.1.10" for line in lines)
    assert lines[-1] == f"… and {100 - shown} more changed lines"


def test_nothing_changed_makes_no_diff() -> None:
    assert list(unified(b"a\n", b"a\n", ("a", "b"), 100)) == []


LINES = st.lists(st.sampled_from(["10.0.1.10", "x", "", "a prod.example.com b"]), max_size=60)


@pytest.mark.needs("patch")
@given(lines=LINES, ends=st.booleans())
def test_patch_makes_the_rendering_of_the_diff(
    lines: list[str], ends: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert shutil.which("patch") is not None, "the marker says so"
    data = ("\n".join(lines) + ("\n" if ends else "")).encode()
    rendered = preview(data, MAPPING).rendered
    diff = "".join(f"{line}\n" for line in unified(data, rendered, ("f", "f"), 10_000))
    if not diff:
        assert rendered == data
        return
    folder: Path = tmp_path_factory.mktemp("patch")
    (folder / "f").write_bytes(data)
    # No fuzz: each hunk must stand exactly where it says.
    done = subprocess.run(
        ["patch", "-F0", "-s", "f"], input=diff.encode(), cwd=folder, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert (folder / "f").read_bytes() == rendered
    assert not list(folder.glob("*.orig"))
    shutil.rmtree(folder)
