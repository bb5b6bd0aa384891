"""Guarantee 10 on real configurations: each package accepts failover's copy, and the way back restores every byte."""

from __future__ import annotations

import json
import os
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from syncer.substitution.rewrite import restore, rewrite
from tests.packages.checkers import PACKAGES, REFUSED, say
from tests.packages.expected import LEFT_ALONE, LINES, UNDONE, assert_lines
from tests.packages.leftover import files_naming_production
from tests.packages.namespace import PRODUCTION
from tests.packages.production import LARGE_FILE_BYTES
from tests.packages.rendering import RULES, Rendered, data_of, files_of, rendered


def needing(names: tuple[str, ...]) -> list[object]:
    """Return the names as parameters, each skipped where its package is missing."""
    return [
        pytest.param(name, marks=[pytest.mark.needs("unshare", *PACKAGES[name].tools), pytest.mark.needs_root])
        for name in names
    ]


ALL = needing(tuple(PACKAGES))


Rendering = Callable[[str], Rendered]


@pytest.fixture(scope="module")
def rendering(tmp_path_factory: pytest.TempPathFactory) -> Rendering:
    """Return a function that gives each package's trees; they are made once, and tests do not change them."""
    return cache(lambda name: rendered(name, tmp_path_factory.mktemp(name)))


def spoiled(found: Rendered, folder: Path, path: str, line: str) -> Path:
    """Return a copy of failover's copy with a line more."""
    tree = folder / found.copy.name
    subprocess.run(["cp", "-a", found.copy, tree], check=True)
    data_of(tree).symlink_to(data_of(found.source))
    with (tree / path).open("a", encoding="utf-8") as writer:
        writer.write(f"\n{line}\n")
    return tree


@pytest.mark.parametrize("name", ALL)
def test_the_package_accepts_failovers_copy_on_failovers_machine(name: str, rendering: Rendering) -> None:
    """The checkers of nginx, Postfix and PostgreSQL bind: production's own copy would not pass there."""
    said = say(name, rendering(name).copy)
    assert not said.startswith(REFUSED), said
    missing = [answer for answer in PACKAGES[name].answers if answer not in said]
    assert not missing, f"{missing} is not in what {name} said:\n{said}"


@pytest.mark.parametrize("name", ALL)
def test_the_checker_refuses_a_spoiled_copy(name: str, rendering: Rendering, tmp_path: Path) -> None:
    """Without this, the test above could not fail."""
    tree = spoiled(rendering(name), tmp_path, *PACKAGES[name].spoiled)
    assert say(name, tree).startswith(REFUSED)


@pytest.mark.parametrize("name", needing(("nginx", "postfix", "postgresql")))
def test_the_checker_refuses_productions_copy_on_failovers_machine(name: str, rendering: Rendering) -> None:
    """It is the rewriting that makes failover's copy work: production's is good at home alone."""
    source = rendering(name).source
    assert say(name, source).startswith(REFUSED)
    if name == "nginx":
        assert not say(name, source, PRODUCTION).startswith(REFUSED)


@pytest.mark.parametrize("name", [*ALL, "application"])
def test_no_address_of_production_is_left(name: str, rendering: Rendering) -> None:
    found = rendering(name)
    named = files_naming_production(found.source)
    assert named, "the tree names production"
    # What is left alone is told; everything else is rewritten.
    assert found.left_alone >= LEFT_ALONE[name]
    left = files_naming_production(found.copy)
    assert {path: words for path, words in left.items() if path not in found.left_alone} == {}
    # Left alone is what is binary or signed, and nothing beside.
    assert found.left_alone & named.keys() <= LEFT_ALONE[name]


@pytest.mark.parametrize("name", [*ALL, "application"])
def test_the_lines_read_as_written_by_hand(name: str, rendering: Rendering) -> None:
    assert_lines(rendering(name).copy, LINES[name])


@pytest.mark.parametrize("name", [*ALL, "application"])
def test_what_names_no_address_stays_byte_for_byte(name: str, rendering: Rendering) -> None:
    found = rendering(name)
    before, after = files_of(found.source), files_of(found.copy)
    for path, data in before.items():
        old, new = data.splitlines(keepends=True), after[path].splitlines(keepends=True)
        if path.startswith("utf16"):
            continue
        assert len(old) == len(new), path
        mentions = (b"71", b"prod.", b"PROD.", b"192.0.2.72")
        for one, other in zip(old, new, strict=True):
            assert one == other or any(word in one for word in mentions), (path, one, other)


@pytest.mark.parametrize("name", [*ALL, "application"])
def test_guarantee_10_the_way_back_restores_every_file(name: str, rendering: Rendering) -> None:
    found = rendering(name)
    before, after = files_of(found.source), files_of(found.copy)
    assert before.keys() == after.keys()
    back = RULES.inverse()
    for path, data in before.items():
        mapping = RULES.for_path(name, os.fsencode(path))
        home = restore(after[path], mapping, found.undo[path]) if mapping else after[path]
        assert home == data, path
        inverse = back.for_path(name, os.fsencode(path))
        if mapping and inverse and not found.undo[path]:
            # Without an undo record the inverse rules alone lead home, as for a file that is edited on failover.
            assert rewrite(after[path], inverse)[0] == data, path
    assert {path for path, undo in found.undo.items() if undo} == UNDONE[name]


def properties_of(text: str) -> dict[str, str]:
    """Return what java.util.Properties would read."""
    lines = text.replace("\\\r\n", "\\\n").replace("\\\n", "\0").splitlines()
    found: dict[str, str] = {}
    for line in (line.lstrip() for line in lines):
        if not line or line[0] in "#!":
            continue
        plain = line.replace("\\:", "\1")
        separator = min((plain.index(letter) for letter in "=:" if letter in plain), default=len(plain))
        value = "".join(part.lstrip() for part in plain[separator + 1 :].lstrip().split("\0"))
        found[plain[:separator].strip()] = value.replace("\1", ":")
    return found


def _json_is_good(copy: Path) -> None:
    document = json.loads((copy / "config.json").read_text("utf-8"))
    assert document["listen6"] == "[2001:db8:72::10]:8080"
    assert document["escaped"] == "http://10.72.0.20/api"
    assert document["allowed"][:2] == ["10.72.0.0/16", "10.72.3.1-10.72.3.9"]
    assert document["build"] == "1.10.71.0.10"
    assert document["twin"] == {"mine": "192.0.2.72", "other": "192.0.2.71"}


def _xml_is_good(copy: Path) -> None:
    root = ET.parse(copy / "server.xml").getroot()
    connector = root.find("Connector")
    assert connector is not None
    assert connector.attrib == {"address": "10.72.0.20", "port": "8080", "proxyName": "failover.example.com"}


def _properties_are_good(copy: Path) -> None:
    found = properties_of((copy / "application.properties").read_bytes().decode("latin-1"))
    assert found["hosts"] == "10.72.0.20,10.72.0.10 , 10.72.0.21"
    assert found["url"] == "http://10.72.0.20:8080/"
    assert found["version"] == "10.71.0.10.1"


@pytest.mark.parametrize("is_good", [_json_is_good, _xml_is_good, _properties_are_good])
def test_plain_formats_are_read_as_before(is_good: Callable[[Path], None], rendering: Rendering) -> None:
    is_good(rendering("application").copy)


def test_encodings_are_kept(rendering: Rendering) -> None:
    found = rendering("application")
    expected = "Zuhörer = 10.72.0.20\r\nName = failover.example.com\r\n[2001:db8:72::10]\r\n"
    assert (found.copy / "utf16-le.txt").read_bytes() == b"\xff\xfe" + expected.encode("utf-16-le")
    assert (found.copy / "utf16-be.txt").read_bytes() == b"\xfe\xff" + expected.encode("utf-16-be")
    assert (found.copy / "latin1.conf").read_bytes() == b"name=B\xfcro\nzuh\xf6rer=10.72.0.20\nrelay=10.72.0.10"
    assert (found.copy / "old-mac.txt").read_bytes() == b"a 10.72.0.20\rb 10.72.0.10\r"
    assert (found.source / "large.log").stat().st_size >= LARGE_FILE_BYTES
