"""Holds the documentation complete: every command, every option and every configuration key is in docs/."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from syncer.config.tables import TABLES, known_keys
from syncer.events.catalogue import CATALOGUE

if TYPE_CHECKING:
    import click

ROOT = Path(__file__).parents[2]
COMMANDS = ROOT / "docs" / "commands.md"
CONFIGURATION = ROOT / "docs" / "configuration.md"
EVENTS = ROOT / "docs" / "events.md"
TYPES = {str: "text", int: "number", float: "decimal", bool: "yes/no"}


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Yield each command that does something, under its full name; click loads lazy ones here."""
    import click

    if not isinstance(command, click.Group):
        yield " ".join(path), command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None, f"{name} is listed but cannot be loaded"
        yield from leaves(found, (*path, name))


def section_of(text: str, title: str) -> str | None:
    """Return what stands under the heading that holds `title` as code, with its subsections."""
    pattern = rf"^(#+)[^\n]*`{re.escape(title)}[ `\[][^\n]*\n(.*?)(?=^#{{1,2}} |^\1 |\Z)"
    found = re.search(pattern, text, re.MULTILINE | re.DOTALL)
    return None if found is None else found[0]


def undocumented_commands(root: click.Command, text: str) -> list[str]:
    """Return the commands without a section, and the options that their section does not name."""
    import click

    missing = []
    for name, command in leaves(root):
        section = section_of(text, f"syncer {name}")
        if section is None:
            missing.append(f"syncer {name}")
            continue
        for parameter in command.params:
            if not isinstance(parameter, click.Option) or parameter.hidden or "--help" in parameter.opts:
                continue
            long_names = [option for option in parameter.opts if option.startswith("--")]
            # Those that every command has may be explained once for all.
            if not any(re.search(rf"{option}\b", section) for option in long_names):
                if "--json" in long_names and re.search(r"[Ee]very command [^\n]*`--json`", text):
                    continue
                missing.append(f"syncer {name} {long_names[0]}")
    return missing


def undocumented_keys(text: str) -> list[str]:
    """Return the configuration keys that have no row or line of their own in their table's section."""
    headings = {table: f"[[{table}]]" if table in ("failover", "triggers") else f"[{table}" for table in TABLES}
    missing = []
    for key in known_keys():
        table, _, name = key.rpartition(".")
        section = re.search(rf"^#+[^\n]*{re.escape(headings[table])}.*?(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
        inner = table.partition(".")[2]
        if inner and section is None:
            # A table inside a table may be explained in the section of the outer one.
            if f"`{inner}.{name}`" not in text:
                missing.append(key)
        elif section is None or not re.search(rf"`{name}`", section[0]):
            missing.append(key)
    return missing


def differing_events(text: str) -> list[str]:
    """Return the events and variables that the page and the catalogue do not both have, with the same type."""
    documented = set()
    for name, section in re.findall(r"^## `([^`]+)`\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL):
        documented.add(name)
        documented |= {
            f"{name} {key} {kind}" for key, kind in re.findall(r"^\| `(\w+)` \| (\S+) \|", section, re.MULTILINE)
        }
    known = set(CATALOGUE)
    for name, definition in CATALOGUE.items():
        known |= {f"{name} {key} {TYPES[variable.kind]}" for key, variable in definition.variables.items()}
    return sorted(documented ^ known)


@pytest.mark.skipif(importlib.util.find_spec("syncer.cli.main") is None, reason="there is no command line yet")
def test_every_command_and_option_is_documented() -> None:
    import click

    module = importlib.import_module("syncer.cli.main")
    roots = [value for value in vars(module).values() if isinstance(value, click.Group)]
    assert roots, "syncer.cli.main has no click group"
    text = COMMANDS.read_text("utf-8")
    assert [gap for root in roots for gap in undocumented_commands(root, text)] == []


def test_every_configuration_key_is_documented() -> None:
    assert undocumented_keys(CONFIGURATION.read_text("utf-8")) == []


def test_the_page_of_events_and_the_catalogue_say_the_same() -> None:
    text = EVENTS.read_text("utf-8")
    assert differing_events(text) == []
    assert differing_events(
        text.replace("| `consecutive_failures` | number |", "| `consecutive_failures` | text |")
    ) == [
        "sync consecutive_failures number",
        "sync consecutive_failures text",
    ]


def test_links_between_documents_lead_somewhere() -> None:
    files = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{file.relative_to(ROOT)}: {link}"
        for file in files
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", file.read_text("utf-8"))
        if "://" not in link and not link.startswith("mailto:") and not (file.parent / link).exists()
    ]
    assert broken == []


def test_the_checks_of_the_documents_can_fail() -> None:
    import click

    root = click.Group("syncer")
    root.add_command(click.Command("wait", params=[click.Option(["--timeout"]), click.Option(["--json"])]))
    root.add_command(click.Group("target", commands=[click.Command("forget")]))
    text = "## `syncer wait [TARGET]`\nWaits for `--ready`.\n\n## Others\n`--timeout`\n"
    assert undocumented_commands(root, text) == [
        "syncer target forget",
        "syncer wait --timeout",
        "syncer wait --json",
    ]
    assert undocumented_commands(root, text + "## `syncer target forget NAME`\nEvery command takes `--json`.") == [
        "syncer wait --timeout"
    ]
    assert "node.rescan" in undocumented_keys("## [node]\n`name`\n")
    assert "node.name" not in undocumented_keys("## [node]\n`name`\n")
