"""Runs the pages of docs/runbooks on real agents: each command in the order of the page, with what comes back.

A page has blocks ```console; a line `NAME# COMMAND` is typed on the node NAME, the lines below are what it says, in
that order and among others, `…` standing for anything. A command that ends otherwise than with 0 is followed by
`echo $?` with its exit code.
What happens without being typed is a comment: <!-- then: WHAT HAPPENS -->.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.e2e.harness import Node

PROMPT = re.compile(r"(?P<node>[a-z][a-z0-9-]*)# (?P<command>.+)")
HAPPENS = re.compile(r"<!-- then: (?P<what>.+) -->")
ANYTHING = "…"
ASK_CODE = "echo $?"
ROOT, HOME = "/etc/nginx", "/root"


class Typed(NamedTuple):
    """A command on one node, with what must come back."""

    line: int
    node: str
    command: str
    says: tuple[str, ...]
    code: int


class Happens(NamedTuple):
    """Something that nobody types."""

    line: int
    what: str


def events_of(page: str) -> Iterator[Typed | Happens]:
    """Yield what a page has its reader type, and what happens in between, in the order of the page."""
    within = False
    typed: Typed | None = None
    for number, line in enumerate(page.splitlines(), 1):
        happens = HAPPENS.fullmatch(line.strip())
        prompt = PROMPT.fullmatch(line) if within else None
        if prompt is not None and prompt["command"] == ASK_CODE:
            assert typed is not None, f"line {number}: of no command"
            typed = typed._replace(code=-1)
        elif typed is not None and typed.code == -1:
            typed = typed._replace(code=int(line))
        elif within and prompt is None and line != "```":
            assert typed is not None, f"line {number}: said by no command"
            typed = typed._replace(says=(*typed.says, line))
        else:
            if typed is not None:
                yield typed
                typed = None
            if prompt is not None:
                typed = Typed(number, prompt["node"], prompt["command"], (), 0)
            if happens is not None:
                yield Happens(number, happens["what"])
        if line.startswith("```"):
            within = line == "```console"


class Stage:
    """The nodes of a page, and what can happen to them."""

    def __init__(
        self, nodes: Callable[[], Mapping[str, Node]], happenings: Mapping[str, Callable[[], None]], folder: Path
    ) -> None:
        """Let `folder` stand for the operator's home; `nodes` says at each time whose prompt is whose."""
        self._nodes = nodes
        self._invited: list[tuple[str, str]] = []
        self._happenings = happenings
        self._folder = folder

    def perform(self, page: str) -> int:
        """Do everything that a page says; returns how many commands that were."""
        count = 0
        for event in events_of(page):
            if isinstance(event, Happens):
                self._happenings[event.what]()
            else:
                self._type(event)
                count += 1
        return count

    def _type(self, typed: Typed) -> None:
        node = self._nodes()[typed.node]
        words = typed.command.split()
        if words[:1] == ["systemctl"]:
            if words[1] in ("stop", "restart"):
                node.stop()
            if words[1] in ("start", "restart"):
                node.start()
            return
        if words[:1] == ["syncer"]:
            done = node.cli(*self._arguments(words[1:], node), check=False)
            self._invited += re.findall(r"syncer join (\S+) (\S+)", done.stdout)[:1]
        else:
            done = subprocess.run(
                self._here(typed.command, node), shell=True, text=True, capture_output=True, timeout=60, check=False
            )
        said = [self._there(text, node).splitlines() for text in (done.stdout, done.stderr)]
        where = f"line {typed.line}: {typed.node}# {typed.command}"
        assert done.returncode == typed.code, (where, done.returncode, said)
        missing = missing_of(typed.says, *said)
        assert not missing, f"{where}\nnever said: {missing}\nbut: {said}"

    def _arguments(self, words: list[str], node: Node) -> list[str]:
        """Return what is typed, with what differs where many nodes share a machine."""
        if words[0] == "init":
            return [*words, "--state", str(node.state), "--listen", node.address, "--http", ""]
        if words[0] == "join":
            return ["join", *self._invited.pop()]
        return [self._here(word, node) for word in words]

    def _here(self, text: str, node: Node) -> str:
        places = {ROOT: str(node.root), HOME: str(self._folder)}
        return re.sub(f"{ROOT}|{HOME}", lambda found: places[found[0]], text)

    def _there(self, text: str, node: Node) -> str:
        return text.replace(str(node.root), ROOT).replace(str(self._folder), HOME)


def missing_of(says: tuple[str, ...], *streams: list[str]) -> str:
    """Return the first line that none of the streams says, or not in that order; "" where all are said."""
    at = [0] * len(streams)
    for line in says:
        pattern = re.compile(r"\s+".join(re.escape(word).replace(ANYTHING, ".*") for word in line.split()))
        for number, stream in enumerate(streams):
            found = [place for place in range(at[number], len(stream)) if pattern.search(stream[place])]
            if found:
                at[number] = found[0] + 1
                break
        else:
            if line.strip() not in ("", ANYTHING):
                return line
    return ""
