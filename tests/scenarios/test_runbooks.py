"""What docs/runbooks has an operator type is typed here, on real agents, in the order of each page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.harness import RETRY, TARGET, Node, joined, wait_until
from tests.e2e.two_way import GatedNode, TwoWayPair
from tests.ports import free_port
from tests.scenarios.runbooks import Happens, Stage, Typed, events_of, missing_of

SECONDS = 60.0
PAGES = Path(__file__).parents[2] / "docs" / "runbooks"
CONFIGURATION = "worker_processes 2;\nserver { listen 192.0.2.10:80; }\n"
RULES = '[[failover.substitute]]\nfrom = "192.0.2.10"\nto = "198.51.100.10"\n'


class OperatorsPair(TwoWayPair):
    """The two servers of the pages: prod-a and dr-a, with nginx in /etc/nginx."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, rules=RULES)
        self.spare = GatedNode(folder / "spare", "prod-b", "failover", free_port())
        self._others: dict[str, Node] = {}

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
        return {
            "prod-a dies": self._dies,
            "prod-a boots again": self._boots_again,
            "dr-a took over, and both were edited": self._took_over,
            "both were promoted on both sides of a cut, and edited": self._split,
            "the network is back, and both have met": self._met,
            "prod-a is lost, and dr-a took over": self._lost,
            "both have told each other": lambda: self._have_told(*self.nodes),
            "prod-b and dr-a have told each other": lambda: self._have_told(self.spare, self.failover),
            "its table is removed": self._unnamed,
            "prod-b is configured": self._configured,
            "dr-a names prod-b": self._named,
        }

    def end(self) -> None:
        """End all three."""
        super().end()
        self.spare.end()

    def typed_on(self) -> dict[str, Node]:
        """Return whose prompt is whose."""
        found: dict[str, Node] = {"prod-a": self.production, TARGET: self.failover, "prod-b": self.spare}
        return found | self._others

    def _dies(self) -> None:
        self.production.kill()

    def _boots_again(self) -> None:
        self.production.start()
        wait_until(lambda: self.production.status()["mode"] == "fenced", SECONDS, "prod-a was fenced")

    def _have_told(self, *nodes: Node) -> None:
        for node in nodes:
            wait_until(partial(_is_well, node), SECONDS, f"all was well with {node.name}")

    def _lost(self) -> None:
        self.production.kill()
        self.failover.cli("promote", "--force", "--yes")

    def _took_over(self) -> None:
        self._lost()
        self._edit()
        self._boots_again()
        wait_until(lambda: self.production.status()["domains"][0]["unsent"], SECONDS, "its edits were found")

    def _edit(self) -> None:
        for node in self.nodes:
            (node.root / "nginx.conf").write_text(f"edited on {node.name}\n")
            (node.root / f"on-{node.name}.conf").write_text(f"made on {node.name}\n")

    def _split(self) -> None:
        ours, theirs = self.nodes
        ours.gate.hold("done hand_over")
        promoting = theirs.begun("promote", "--yes")
        ours.gate.wait_held()
        self.cut()
        ours.gate.open()
        ours.cli("procedure", "abort", "--force", "--yes")
        wait_until(lambda: ours.status()["mode"] == "production", SECONDS, "prod-a was itself again")
        # Had he promoted it without giving up first, its term would be the higher one.
        theirs.cli("procedure", "abort", "--force", "--yes")
        theirs.cli("promote", "--force", "--yes")
        promoting.wait(SECONDS)
        self._edit()

    def _met(self) -> None:
        self.mend()
        fenced, serving = sorted(self.nodes, key=lambda node: str(node.status()["node_id"]))
        wait_until(lambda: fenced.status()["mode"] == "fenced", SECONDS, "one of both was fenced")
        fenced.told("split_brain")
        wait_until(lambda: serving.status()["exit_code"] == 4, SECONDS, "the other one was refused")
        self._others = {"fenced": fenced, "serving": serving}

    def _configured(self) -> None:
        tables = self.tables_of(self.spare).partition("[[failover]]")[0]
        self.spare.root.mkdir(exist_ok=True)
        with self.spare.config.open("a", encoding="utf-8") as writer:
            writer.write(tables)

    def _unnamed(self) -> None:
        text = self.failover.config.read_text("utf-8").partition("[[failover]]")[0]
        self.failover.config.write_text(text, "utf-8")

    def _named(self) -> None:
        text = self.failover.config.read_text("utf-8")
        table = f'[[failover]]\nname = "prod-b"\naddress = "{self.spare.address}"\n{RETRY}'
        self.failover.config.write_text(text + table, "utf-8")


def _is_well(node: Node) -> bool:
    return bool(node.status()["exit_code"] == 0)


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
@pytest.mark.parametrize("page", sorted(path.name for path in PAGES.glob("*-*.md")))
def test_every_command_of_a_page_does_what_the_page_says(pair: OperatorsPair, tmp_path: Path, page: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    stage = Stage(pair.typed_on, pair.happenings(), home)
    assert stage.perform((PAGES / page).read_text("utf-8")) > 0


def test_the_pages_are_there_and_no_command_stands_outside_of_what_is_run() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} >= {
        "planned-switch",
        "disaster",
        "README",
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
