"""What substitution does is seen before and after it is done: previews, diffs, and what is left over; real agents."""

from __future__ import annotations

import datetime as dt
import ipaddress
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from syncer.demo.node import environment
from tests.documented import deviations, examples
from tests.e2e.harness import DOMAIN, TARGET, Node, Pair, paired, wait_until
from tests.e2e.test_substitution import LARGE, RULES, TREE, fill, synchronized

LIMITED = """
[[failover.substitute]]
from = "198.51.100.7"
to = "198.51.100.8"
paths = ["*.conf"]
"""
MISSING = "172.16.0.1"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with paired(tmp_path, rules=RULES + LIMITED, start=False) as found:
        fill(found.production.root, TREE)
        found.start()
        synchronized(found)
        yield found


def standing(result: dict[str, Any]) -> dict[str, list[tuple[int, str]]]:
    """Return what stands on the one target, by path; what this machine itself is called is not looked at."""
    [target] = result["targets"]
    found: dict[str, list[tuple[int, str]]] = {}
    for item in target["found"]:
        found.setdefault(item["path"], []).append((item["line"], item["text"]))
    return found


def printed(node: Node, *arguments: str) -> bytes:
    """Run a command and return the bytes that it printed, whatever they are."""
    line = [sys.executable, "-m", "syncer", "--config", str(node.config), *arguments]
    return subprocess.run(line, stdout=subprocess.PIPE, env=environment(), timeout=60, check=True).stdout


def certificate(common: str, names: list[str], addresses: list[str]) -> bytes:
    """Return a certificate for these names and addresses, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    day = dt.datetime(2026, 1, 31, tzinfo=dt.UTC)
    others: list[x509.GeneralName] = [x509.DNSName(item) for item in names]
    others += [x509.IPAddress(ipaddress.ip_address(item)) for item in addresses]
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(day).not_valid_after(day + dt.timedelta(days=1))
    made = builder.add_extension(x509.SubjectAlternativeName(others), critical=False).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM)


def reasons(result: dict[str, Any]) -> dict[str, str]:
    return {item["path"]: item["why"] for item in result["targets"][0]["found"]}


@pytest.mark.soak
def test_leftovers_names_place_reason_and_the_rule_that_is_missing(pair: Pair) -> None:
    production = pair.production
    (production.root / "notes.txt").write_bytes(b"one\ntwo 198.51.100.7\n")
    synchronized(pair)
    before = production.json("leftovers", TARGET, expected=(3,))
    assert deviations(examples()["leftovers"], before) == []
    assert standing(before) == {"binary": [(0, "10.0.1.10")], "notes.txt": [(2, "198.51.100.7")]}
    assert reasons(before) == {
        "binary": "the file is binary, which is left alone",
        "notes.txt": "the rule 198.51.100.7 → 198.51.100.8 is limited to other paths",
    }
    found = production.json("leftovers", TARGET, "--address", MISSING, "--domain", DOMAIN, expected=(3,))
    assert standing(found)["sub/deep/only.conf"] == [(1, MISSING)]
    assert reasons(found)["sub/deep/only.conf"] == "no rule names it"
    [missing] = found["targets"][0]["missing"]
    assert missing["from"] == MISSING
    # The table that is suggested is what the configuration takes, once a person has said what it becomes.
    pair.production.stop()
    pair.rules = RULES + LIMITED + "\n" + missing["table"].replace("…", "172.16.0.2")
    production.write_configuration(pair.tables_of(production))
    production.start()
    synchronized(pair)
    wait_until(
        lambda: (pair.failover.root / "sub/deep/only.conf").read_bytes() == b"172.16.0.2", 60, "the new rule applied"
    )
    assert "sub/deep/only.conf" not in standing(production.json("leftovers", "--address", MISSING, expected=(3,)))


CERTIFICATE_TEXT = (
    b"# 10.0.1.10 serves it\n-----BEGIN PGP PUBLIC KEY BLOCK-----\nComment: 10.0.1.10\n\nmQENBF\n"
    b"-----END PGP PUBLIC KEY BLOCK-----\n"
)


@pytest.mark.soak
def test_an_address_in_a_certificate_is_told_as_such(pair: Pair) -> None:
    root = pair.production.root
    (root / "key.asc").write_bytes(CERTIFICATE_TEXT.removeprefix(b"# 10.0.1.10 serves it\n"))
    (root / "tls.pem").write_bytes(
        b"# the new one\n" + certificate("www.example.org", ["prod.example.com"], ["10.1.2.3"])
    )
    synchronized(pair)
    result = pair.production.json("leftovers", expected=(3,))
    found = standing(result)
    assert found["key.asc"] == [(2, "10.0.1.10")]
    assert found["tls.pem"] == [(2, "prod.example.com"), (2, "10.1.2.3")]
    why = reasons(result)
    assert why["key.asc"] == why["tls.pem"] == "it stands in what begins as a certificate or key, which is left alone"
    # The same is found on failover's own disk.
    there = standing(pair.failover.json("leftovers", expected=(3,)))
    assert {path: there[path] for path in ("key.asc", "tls.pem")} == {
        path: found[path] for path in ("key.asc", "tls.pem")
    }


@pytest.mark.soak
def test_failover_searches_its_own_disk_with_what_nobody_synchronizes(tmp_path: Path) -> None:
    domain = 'exclude = ["*.local"]\nkeep_local = ["own/"]\n'
    with paired(tmp_path, rules=RULES, domain=domain, start=False) as pair:
        root = pair.failover.root
        fill(pair.production.root, {**TREE, "edited.conf": b"listen 10.0.1.10;\n", "edited.asc": CERTIFICATE_TEXT})
        pair.start()
        synchronized(pair)
        fill(root, {"peers.local": b"# us\n10.1.9.9\n192.0.2.1\n", "own/hosts": b"10.0.1.10\n"})
        (root / "edited.conf").write_bytes(b"# by hand\nlisten 10.0.1.10;\n")
        (root / "edited.asc").write_bytes(b"# by hand\n" + CERTIFICATE_TEXT.replace(b"# 10.0.1.10", b"# it"))
        (root / "link").symlink_to("/srv/prod.example.com")
        result = pair.failover.json("leftovers", expected=(3,))
        assert deviations(examples()["leftovers"], result) == []
        assert result["mode"] == "failover"
        assert standing(result) == {
            "binary": [(0, "10.0.1.10")],
            "edited.conf": [(2, "10.0.1.10")],
            "edited.asc": [(4, "10.0.1.10")],
            "link": [(0, "prod.example.com")],
            # 192.0.2.1 is what a rule makes of 192.0.2.2: it may be failover's own.
            "peers.local": [(2, "10.1.9.9")],
            "own/hosts": [(1, "10.0.1.10")],
        }
        why = reasons(result)
        assert why["edited.conf"] == "the file was edited on failover"
        assert why["edited.asc"] == "it stands in what begins as a certificate or key, which is left alone"
        assert why["peers.local"] == "it is not synchronized: the exclude pattern '*.local' matches it"
        assert why["own/hosts"] == "the keep_local pattern 'own/' keeps it as failover's own"
        asked = pair.failover.json("leftovers", "--address", "192.0.2.1", expected=(3,))
        assert standing(asked)["peers.local"] == [(2, "10.1.9.9"), (3, "192.0.2.1")]
        refused = pair.failover.cli("leftovers", TARGET, check=2)
        assert "leave the target out" in refused.stderr
        pair.stop()
        # Without production, and without agents.
        assert standing(pair.failover.json("leftovers", expected=(3,))) == standing(result)


@pytest.mark.soak
def test_a_full_synchronization_says_what_still_stands(pair: Pair) -> None:
    done = pair.production.json("snapshot", TARGET)
    assert deviations(examples()["snapshot"], done) == []
    assert done["targets"][0]["leftovers"] == {"addresses": 1, "files": 1}
    line = "1 address of production still stands on dr-a in 1 file: see `syncer leftovers dr-a`"
    assert line in pair.production.cli("snapshot", TARGET).stdout
    wait_until(lambda: pair.production.raised("leftovers.found"), 60, "the event was written")
    assert pair.production.raised("leftovers.found")[-1] == {
        "node": "prod-a", "target": TARGET, "domain": DOMAIN, "addresses": 1, "files": 1
    }  # fmt: skip  # one row
    (pair.production.root / "binary").unlink()
    synchronized(pair)
    assert pair.production.json("snapshot", TARGET)["targets"][0]["leftovers"] == {"addresses": 0, "files": 0}
    assert "still" not in pair.production.cli("snapshot", TARGET).stdout
    assert pair.production.json("leftovers", TARGET)["targets"][0]["total"] == 0
    # Without an agent it is scanned for the command: nothing is told from what was known before.
    pair.production.stop()
    fill(pair.production.root, {"late": b"\0 10.0.1.10"})
    assert standing(pair.production.json("leftovers", TARGET, expected=(3,))) == {"late": [(0, "10.0.1.10")]}


@pytest.mark.soak
def test_a_target_without_rules_is_not_searched_for_leftovers(tmp_path: Path) -> None:
    with paired(tmp_path, start=False) as pair:
        fill(pair.production.root, TREE)
        pair.start()
        synchronized(pair)
        assert pair.production.json("snapshot")["targets"][0]["leftovers"] is None
        assert pair.production.raised("leftovers.found") == []


@pytest.mark.soak
def test_substitute_previews_what_arrives_and_what_comes_home(pair: Pair) -> None:
    production, failover = pair.production, pair.failover
    names = [str(production.root / name) for name in TREE]
    ahead = production.json("substitute", *names)
    assert deviations(examples()["substitute"], ahead) == []
    found = {Path(item["path"]).relative_to(production.root).as_posix(): item for item in ahead["files"]}
    assert [item["from"] for item in found["nginx.conf"]["replacements"]] == [
        "10.0.1.10",
        "10.1.2.3",
        "prod.example.com",
    ]
    assert [item["line"] for item in found["nginx.conf"]["replacements"]] == [1, 2, 3]
    assert found["nginx.conf"]["replacements"][1]["rule"] == "10.1.0.0/16 → 10.2.0.0/16"
    assert found["nginx.conf"]["targets"] == [TARGET]
    assert (found["both"]["undo_record"], found["plain"]["undo_record"]) == (True, False)
    assert found["binary"]["left_alone"] == "binary"
    assert (found["large"]["replacements_total"], len(found["large"]["replacements"])) == (LARGE.count(b"\n"), 1000)
    for name in TREE:
        home = printed(failover, "substitute", "--reverse", "--print", str(failover.root / name))
        assert home == TREE[name], name
    for name in ("nginx.conf", "wide.ini", "binary"):
        made = printed(production, "substitute", "--print", str(production.root / name))
        assert made == (failover.root / name).read_bytes(), name
    ways = failover.json("substitute", "--reverse", *(str(failover.root / name) for name in TREE))
    assert deviations(examples()["substitute"], ways) == []
    kinds = {Path(item["path"]).name: item["way"] for item in ways["files"]}
    assert {name: kinds[Path(name).name] for name in ("plain", "both", "large", "binary", "wide.ini")} == {
        "plain": "same", "both": "restored", "large": "restored", "binary": "same", "wide.ini": "restored"
    }  # fmt: skip  # one row
    # What is edited is rewritten, and flagged where an undo record exists.
    (failover.root / "both").write_bytes(b"edited 10.0.2.10")
    (failover.root / "nginx.conf").write_bytes(b"listen 10.0.2.10;\n")
    edited = failover.json(
        "substitute", "--reverse", "--diff", *(str(failover.root / name) for name in ("both", "nginx.conf"))
    )
    assert [(item["way"], item["needs_person"]) for item in edited["files"]] == [("inverse", True), ("inverse", False)]
    assert "+listen 10.0.1.10;" in edited["files"][1]["diff"]
    pair.stop()
    assert printed(failover, "substitute", "--reverse", "--print", str(failover.root / "wide.ini")) == TREE["wide.ini"]
    assert production.json("substitute", *names)["files"] == ahead["files"]


def test_diff_shows_what_substitution_changes(pair: Pair) -> None:
    result = pair.production.json("diff", TARGET, "--rendered", "--most", "100")
    assert deviations(examples()["diff"], result) == []
    [target] = result["targets"]
    files = {item["path"]: item for item in target["rendered"]["files"]}
    assert sorted(files) == ["both", "large", "latin", "nginx.conf", "spelled", "swap", "wide.ini"]
    assert (files["both"]["undo_bytes"] > 0, files["nginx.conf"]["undo_bytes"]) == (True, 0)
    assert files["wide.ini"]["encoding"] == "UTF-16"
    assert "-host = 10.0.1.10\r\n+host = 10.0.2.10" in files["wide.ini"]["diff"]
    assert "-h\xf6st = 10.0.1.10" in files["latin"]["diff"]
    assert len(files["large"]["diff"].split("\n")) < 3000
    text = pair.production.cli("diff", TARGET, "--rendered", "--most", "1").stdout
    assert "substitution changes 6 more files: --most shows more" in text
    assert LARGE.count(b"\n") == files["large"]["replacements"]


@pytest.mark.soak
def test_explain_says_how_a_file_is_rendered(pair: Pair) -> None:
    production, failover = pair.production, pair.failover
    told = production.json("explain", str(production.root / "nginx.conf"))
    assert deviations(examples()["explain"], told) == []
    assert told["targets"][0]["rendering"] == {
        "rules": ["10.0.1.10 → 10.0.2.10", "10.1.0.0/16 → 10.2.0.0/16", "prod.example.com → dr.example.com"],
        "replacements": 3, "undo_record": False, "left_alone": "", "unended_line": 0,
    }  # fmt: skip  # one row
    said = production.cli("explain", str(production.root / "both")).stdout
    assert "rendered for dr-a by 2 rules (2 replacements); an undo record leads back" in said
    assert (
        "left alone for dr-a, because it is binary" in production.cli("explain", str(production.root / "binary")).stdout
    )
    there = failover.json("explain", str(failover.root / "both"))
    assert deviations(examples()["explain"], there) == []
    assert there["origin"]["undo_record"]
    assert "an undo record leads back" in failover.cli("explain", str(failover.root / "both")).stdout
    assert failover.json("explain", str(failover.root / "plain"))["origin"] is None
