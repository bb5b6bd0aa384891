"""What docs/runbooks has an operator type is typed here, on real agents, in the order of each page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import TARGET, Node, joined
from tests.e2e.two_way import GatedNode, TwoWayPair
from tests.ports import free_port
from tests.scenarios.runbooks import Happens, Stage, Typed, events_of, missing_of

PAGES = Path(__file__).parents[2] / "docs" / "runbooks"
CONFIGURATION = "worker_processes 2;\nserver { listen 192.0.2.10:80; }\n"
RULES = '[[failover.substitute]]\nfrom = "192.0.2.10"\nto = "198.51.100.10"\n'


class OperatorsPair(TwoWayPair):
    """The two servers of the pages: prod-a and dr-a, with nginx in /etc/nginx."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, rules=RULES)
        self.spare = GatedNode(folder / "spare", "prod-b", "failover", free_port())

    def tables_of(self, node: Node) -> str:
        """Return what the pages say of the configuration."""
        tables = super().tables_of(node).replace("[domains.tree]", "[domains.nginx]")
        running = node.folder / "nginx-runs"
        status = f"test -e {running} || exit 3"
        commands = (
            f'start = ["touch", "{running}"]\nstop = ["rm", "-f", "{running}"]\nstatus = ["sh", "-c", "{status}"]\n'
        )
        return tables.replace("\n[[failover]]", f"{commands}\n[[failover]]", 1)

    def happenings(self) -> dict[str, Callable[[], None]]:
        """Return what can happen on a page without being typed."""
        ours, theirs = self.production, self.failover
        return {
            "prod-a dies": ours.kill,
            "dr-a dies": theirs.kill,
            "the network between both is cut": self.cut,
            "the network is back": self.mend,
        }


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[OperatorsPair]:
    made = OperatorsPair(tmp_path)
    made.production.root.mkdir(parents=True)
    (made.production.root / "nginx.conf").write_text(CONFIGURATION)
    (made.production.folder / "nginx-runs").touch()
    with joined(made) as running:
        running.wait_synced()
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted(path.name for path in PAGES.glob("*.md")))
def test_every_command_of_a_page_does_what_the_page_says(pair: OperatorsPair, tmp_path: Path, page: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    nodes = {"prod-a": pair.production, TARGET: pair.failover, "prod-b": pair.spare}
    stage = Stage(nodes, pair.happenings(), home)
    assert stage.perform((PAGES / page).read_text("utf-8")) > 0


def test_the_pages_are_there_and_no_command_stands_outside_of_what_is_run() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} >= {
        "planned-switch",
        "disaster",
        "fail-back",
        "split-brain",
        "new-site",
    }
    for path in PAGES.glob("*.md"):
        fences = [line for line in path.read_text("utf-8").splitlines() if line.startswith("```") and line != "```"]
        assert set(fences) <= {"```console", "```toml"}, path.name


def test_a_page_is_read_as_an_operator_reads_it() -> None:
    page = """
text
```console
dr-a# syncer promote
said …
  more
prod-a# false
prod-a# echo $?
1
```
<!-- then: prod-a dies -->
```toml
dr-a# no command
```
"""
    assert list(events_of(page)) == [
        Typed(4, "dr-a", "syncer promote", ("said …", "  more"), 0),
        Typed(7, "prod-a", "false", (), 1),
        Happens(11, "prod-a dies"),
    ]
    assert missing_of(("said …", "more"), ["said it", "and", " much more"], []) == ""
    assert missing_of(("more", "said"), ["said it", "much more"], []) == "said"
