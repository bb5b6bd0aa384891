"""Every link within the documentation leads somewhere: to a file that is there, and to a heading that it has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^()\s]+)\)")


def prose(text: str) -> str:
    """Return a page without its code blocks, in which # begins a comment."""
    return re.sub(r"^( *)```.*?^\1```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as the places where Markdown is read make them."""
    found: dict[str, int] = {}
    for title in re.findall(r"^#+ +(.+?) *$", prose(text), re.MULTILINE):
        shown = re.sub(r"\]\([^)]*\)", "]", title)
        anchor = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        found[anchor] = found.get(anchor, -1) + 1
    return {anchor if not again else f"{anchor}-{again}" for anchor, last in found.items() for again in range(last + 1)}


def dead_links(page: Path) -> Iterator[str]:
    """Yield the links of a page that lead nowhere; those to other sites are not followed."""
    for link in LINK.findall(prose(page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_to_a_heading(page: Path) -> None:
    assert list(dead_links(page)) == []


def test_dead_links_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# `syncer do [IT]`, at once\n## Twice\n## Twice\n```sh\n# not a heading\n```\n"
        "[a](#syncer-do-it-at-once) [b](#twice-1) [c](page.md#twice) [d](https://example.com/#x)\n"
        "[e](#twice-2) [f](other.md) [g](page.md#not-a-heading)\n"
    )
    assert list(dead_links(page)) == ["#twice-2", "other.md", "page.md#not-a-heading"]
