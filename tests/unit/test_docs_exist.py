"""The other direction: what the documentation names exists. And the tables of events.md say what the code does."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from syncer.config.tables import known_keys
from syncer.events.catalogue import CATALOGUE
from syncer.events.notice import TEMPLATE_VARIABLES
from syncer.events.states import STATES
from tests.unit.test_docs import COMMANDS, CONFIGURATION, EVENTS, ROOT, differing_events, leaves, undocumented_keys

FAULTS = ROOT / "docs" / "monitoring" / "faults.md"
FAULT_TESTS = ROOT / "tests" / "scenarios" / "test_faults.py"
_HEADING = re.compile(r"^(#+) (.*)$", re.MULTILINE)


def sections(text: str) -> Iterator[tuple[str, str]]:
    """Yield each heading of a page with what stands below it, up to the next one of any level."""
    found = list(_HEADING.finditer(text))
    for heading, following in zip(found, [*found[1:], None], strict=True):
        yield heading[2], text[heading.end() : following.start() if following else len(text)]


def documented_keys(text: str) -> list[str]:
    """Return every key that has a row in the section of its table, as "table.key", sorted."""
    found = []
    for heading, body in sections(text):
        table = re.fullmatch(r"`\[\[?([a-z.]+?)(?:\.NAME)?\]\]?`", heading)
        if table is not None and table[1] != "variables":
            found += [f"{table[1]}.{key}" for key in re.findall(r"^\| `([a-z_.]+)` \|", body, re.MULTILINE)]
    return sorted(found)


def documented_options(text: str) -> set[str]:
    """Return the commands that have a section, and the options that are listed there."""
    found = set()
    for heading, body in sections(text):
        command = re.fullmatch(r"`(syncer [a-z ]*[a-z])\b.*", heading)
        if command is not None:
            found.add(command[1])
            found |= {f"{command[1]} {option}" for option in re.findall(r"^- `(--[a-z-]+)", body, re.MULTILINE)}
    return found


def existing_options(root: click.Command) -> set[str]:
    """Return every command, and every command with each of its options."""
    found = set()
    for name, command in leaves(root):
        found.add(f"syncer {name}")
        found |= {f"syncer {name} {option}" for parameter in command.params for option in parameter.opts}
    return found


def table_below(text: str, head: str) -> list[list[str]]:
    """Return the rows of the table that begins with `head`."""
    rows = text.partition(head)[2].partition("\n\n")[0].splitlines()[2:]
    assert rows, f"there is no table {head}"
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_documented_key_exists_and_each_has_one_row() -> None:
    text = CONFIGURATION.read_text("utf-8")
    assert documented_keys(text) == known_keys()


def test_every_documented_command_and_option_exists() -> None:
    from syncer.cli.main import cli

    assert documented_options(COMMANDS.read_text("utf-8")) - existing_options(cli) == set()


def test_the_variables_of_templates_are_those_that_are_documented() -> None:
    rows = table_below(EVENTS.read_text("utf-8"), "| variable | meaning |")
    assert sorted(word for row in rows for word in words(row[0])) == sorted({*TEMPLATE_VARIABLES, "node"})


def test_what_begins_and_ends_a_state_is_what_is_documented() -> None:
    documented = {}
    for begins, subject, ends in table_below(EVENTS.read_text("utf-8"), "| begun by | for each | ended by |"):
        variables = tuple(filter(None, subject.split(", ")))
        for event in [word for word in words(begins) if word in STATES]:
            documented[event] = (variables, {word for word in words(ends) if word in CATALOGUE})
    assert documented == {
        event: (state.subject, {ending.event for ending in state.ends} | set(state.over_with))
        for event, state in STATES.items()
    }


def test_every_fault_of_the_page_is_produced_and_every_one_that_is_produced_is_on_the_page() -> None:
    first = [row[0] for row in table_below(FAULTS.read_text("utf-8"), "| fault |")]
    names = re.findall(r'Fault\(\s*f?"([^"]+)"', FAULT_TESTS.read_text("utf-8"))
    produced = {name for found in names for name in (found.replace("{hours:+}", hours) for hours in ("+1", "-1"))}
    assert {name for name in first if name} == produced


@pytest.mark.parametrize(
    ("kind", "line", "replacement"),
    [
        ("key", "| `throttle` |", "| `throttling` |"),
        ("key", "| `email.html` |", "| `email.htm` |"),
        ("key", "| `password_file` |", "| `password` |"),
        ("event", "## `peer.heard`", "## `peer.found`"),
        ("variable", "| `consecutive_failures` | number |", "| `failures_in_a_row` | number |"),
        ("option", "- `--follow`", "- `--following`"),
    ],
)
def test_a_name_that_is_wrong_is_found_in_both_directions(kind: str, line: str, replacement: str) -> None:
    from syncer.cli.main import cli

    page = {"key": CONFIGURATION, "option": COMMANDS}.get(kind, EVENTS)
    text = page.read_text("utf-8")
    assert line in text
    spoiled = text.replace(line, replacement)
    if kind == "key":
        keys = set(documented_keys(spoiled))
        assert len(keys - set(known_keys())) == len(set(known_keys()) - keys) == 1
        assert len(undocumented_keys(spoiled)) == 1
    elif kind == "option":
        assert len(documented_options(spoiled) - existing_options(cli)) == 1
    else:
        assert len({change.split()[1 if kind == "variable" else 0] for change in differing_events(spoiled)}) == 2
