"""What stands on failover's disk, of production's own addresses as it named them, and why."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from syncer.capture.ignore import Scope
from syncer.capture.keep_local import KeepLocal
from syncer.errors import PeerProtocolError
from syncer.leftovers.findings import leftover_findings
from syncer.leftovers.needles import Needles
from syncer.leftovers.on_failover import Search, Standing
from syncer.leftovers.report import Report, document_of
from syncer.model import Cursor, Patterns, Term
from syncer.replicate import messages as m
from syncer.replicate.received_rules import take_rules
from syncer.replicate.wire import decode_from_production, encode_from_production
from syncer.state.peer_addresses import addresses_of, record_addresses
from syncer.state.store import StateStore
from syncer.substitution.attribution import Attribution


def hello(*addresses: str, node: str = "id") -> m.Hello:
    head = Cursor("index", "run", 1)
    return m.Hello(1, "", node, "prod-a", Term(1, node), "tree", head, Patterns(), b"", b"", (), addresses=addresses)


def searched(store: StateStore, root: Path, protected: tuple[bytes, ...] = ()) -> Report:
    attribution = Attribution(())
    report = Report("dr-a", attribution)
    standing = Standing("tree", root, Scope(Patterns(), protected), KeepLocal(()))
    Search(store, standing, Needles((), addresses_of(store)), attribution, report).run(
        threading.Event(), lambda *_: None
    )
    return report


def test_addresses_that_production_named_are_kept_and_replaced(store: StateStore) -> None:
    take_rules(store, hello("10.0.1.10", "fd00::1", "prod-a"), {})
    take_rules(store, hello("10.9.9.9", node="other"), {})
    assert addresses_of(store, "id") == ("10.0.1.10", "fd00::1", "prod-a")
    take_rules(store, hello("10.0.1.11"), {})
    assert addresses_of(store) == ("10.0.1.11", "10.9.9.9")
    record_addresses(store, "id", ())
    assert addresses_of(store, "id") == ()


def test_they_are_found_without_a_rule_and_the_missing_one_is_suggested(store: StateStore, root: Path) -> None:
    record_addresses(store, "id", ("10.0.1.10", "fd00::1"))
    (root / "a.conf").write_bytes(b"\nlisten [FD00:0::1]:80;\n")
    (root / "10.0.1.10").mkdir()
    (root / "own.toml").write_bytes(b"10.0.1.10")
    (root / ".syncer").mkdir()
    (root / ".syncer" / "staged").write_bytes(b"10.0.1.10")
    os.mkfifo(root / "pipe")
    found = document_of(searched(store, root, (b"own.toml",)))
    assert [(item["path"], item["line"], item["address"], item["where"]) for item in found["found"]] == [
        ("10.0.1.10", 0, "10.0.1.10", "name"),
        ("a.conf", 2, "fd00::1", "text"),
    ]
    assert (found["searched_files"], found["files"], found["addresses"], found["total"]) == (1, 2, 2, 2)


def test_what_cannot_be_read_is_told(store: StateStore, root: Path) -> None:
    record_addresses(store, "id", ("10.0.1.10",))
    report = Report("dr-a", Attribution(()))
    standing = Standing("tree", root / "gone", Scope(Patterns()), KeepLocal(()))
    with pytest.raises(FileNotFoundError):
        Search(store, standing, Needles((), ("10.0.1.10",)), Attribution(()), report).run(
            threading.Event(), lambda *_: None
        )


@pytest.mark.parametrize(
    "addresses",
    [
        ["10.0.0.0/8"],
        ["127.0.0.1"],
        ["::1"],
        [""],
        ["a b"],
        ["10.0.1.10\x1b[2J"],
        ["localhost"],
        ["x" * 10_000],
        ["10.0.1.10%eth0"],
        [f"10.0.{number // 256}.{number % 256}" for number in range(257)],
    ],
)
def test_hostile_addresses_are_refused(addresses: list[str]) -> None:
    with pytest.raises(PeerProtocolError, match="address"):
        decode_from_production(encode_from_production(hello(*addresses)))


def test_findings_for_the_doctor_say_where_what_and_the_cure(store: StateStore, root: Path) -> None:
    record_addresses(store, "id", ("10.0.1.10",))
    (root / "a.conf").write_bytes(b"10.0.1.10\n10.0.1.10\n")
    report = document_of(searched(store, root))
    [finding] = leftover_findings({"targets": [report]}, {"tree": Path("/srv/a tree")})
    assert finding.where == "target dr-a, domain tree"
    assert finding.text.startswith("10.0.1.10 of production still stands in a.conf, line 1, and 1 more: ")
    assert finding.cure.endswith("see `syncer leftovers` and `syncer explain '/srv/a tree/a.conf'`")
    [finding] = leftover_findings({"targets": [report]}, {})
    assert finding.cure.endswith("see `syncer leftovers`")
    assert list(leftover_findings({"targets": [report | {"found": []}]}, {})) == []
    [unread] = leftover_findings({"targets": [report | {"found": [], "unread_total": 3}]}, {})
    assert unread.text.startswith("3 files could not be read")
