"""Values of the configuration: durations, addresses, and documents of any shape."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.config import (
    Address,
    load,
    parse_address,
    parse_duration,
)
from syncer.config.check import check
from syncer.config.tables import TABLES, known_keys
from syncer.errors import ConfigurationError

NODE = '[node]\nname = "prod-a"\nmode = "production"\n'


DOMAIN = '[domains.nginx]\npath = "/etc/nginx"\n'


TARGET = '[[failover]]\nname = "dr-a"\naddress = "10.0.2.10:7443"\n'


def write(folder: Path, text: str | bytes) -> Path:
    file = folder / "syncer.toml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def errors_of(folder: Path, text: str | bytes) -> list[str]:
    """Return the errors without the name of the file, which each must begin with."""
    file = write(folder, text)
    with pytest.raises(ConfigurationError) as caught:
        load(file)
    assert caught.value.exit_code == 2
    assert all(error.startswith(str(file)) for error in caught.value.errors)
    return [error.removeprefix(str(file)).removeprefix(": ") for error in caught.value.errors]


@pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b", "a"), ("a", "link"), ("a", "link/b")])
def test_overlapping_roots_are_found_through_symlinks(tmp_path: Path, first: str, second: str) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a")
    text = f"{NODE}[domains.one]\npath = '{tmp_path}/{first}'\n[domains.two]\npath = '{tmp_path}/{second}'\n"
    (error,) = errors_of(tmp_path, text)
    assert error.startswith("domains.two.path: ")
    assert "domain one" in error


def test_names_that_only_begin_alike_do_not_overlap(tmp_path: Path) -> None:
    text = NODE + "[domains.one]\npath = '/srv/web'\n[domains.two]\npath = '/srv/web2'\n"
    assert len(load(write(tmp_path, text)).domains) == 2


def test_state_may_lie_in_a_domain_but_no_domain_in_the_state(tmp_path: Path) -> None:
    node = f"{NODE}state = '{tmp_path}/state'\n"
    assert load(write(tmp_path, f"{node}[domains.all]\npath = '{tmp_path}'\n")).domains
    for inside in ("state", "state/files"):
        (error,) = errors_of(tmp_path, f"{node}[domains.all]\npath = '{tmp_path}/{inside}'\n")
        assert error.startswith("domains.all.path: ")
        assert "state directory" in error


def test_a_value_in_an_error_is_short_and_printable(tmp_path: Path) -> None:
    (error,) = errors_of(tmp_path, NODE + 'state = "x\\u001b[2J' + "y" * 500 + '"')
    assert "\x1b" not in error
    assert len(error) < 200


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500us", 0.0005),
        ("10ms", 0.01),
        ("1s500ms", 1.5),
        ("1.5s", 1.5),
        ("1h30m", 5400.0),
        ("365d", 365 * 86400.0),
        ("0", 0.0),
        ("0s", 0.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "10", "s", "-1s", "1 s", "1s ", "1S", "1w", "1m1h", "1s1s", "1..s", "٣s", "1e3s", "366d", "inf"],
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is "):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.2.10:7443", Address("10.0.2.10", 7443)),
        ("dr-a.example.com:1", Address("dr-a.example.com", 1)),
        ("[2001:db8::10]:65535", Address("2001:db8::10", 65535)),
    ],
)
def test_addresses_are_parsed_and_written_alike(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10.0.2.10", 'has no port: write for example "10.0.2.10:7443"'),
        ("[2001:db8::10]", r'has no port: write for example "\[2001:db8::10\]:7443"'),
        ("2001:db8::10", r'without brackets and port: write "\[2001:db8::10\]:7443"'),
        ("[10.0.2.10]:1", "is not an address"),
        ("[2001:db8::10:1", "is not an address"),
        ("10.0.2.10:0", "from 1 to 65535"),
        ("10.0.2.10:65536", "from 1 to 65535"),
        ("10.0.2.10:x", "from 1 to 65535"),
        (":7443", "does not start with a host"),
        ("10.0.2.300:7443", "does not start with a host"),
        ("http://a:1", "does not start with a host"),
        ("-a:1", "does not start with a host"),
    ],
)
def test_what_is_no_address(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_address(text)


def test_port_0_is_for_listening_only() -> None:
    assert parse_address("0.0.0.0:0", any_port=True).port == 0


SCALARS = (
    st.text(max_size=8)
    | st.sampled_from(["/etc", "/etc/x", "a", "10ms", "1s..2s", "a:1", "[::1]:0", "production", "*", "\ud800"])
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.datetimes()
)


KEYS = st.sampled_from(
    [key.rpartition(".")[2] for key in known_keys()] + [*TABLES, "on_failure", "substitute"]
) | st.text(max_size=3)


VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_any_document_gives_tables_or_errors(document: dict[str, object]) -> None:
    checked = check(document)
    assert (checked.node is None) <= bool(checked.errors)
    assert all("\n" not in error and ": " in error for error in checked.errors)
