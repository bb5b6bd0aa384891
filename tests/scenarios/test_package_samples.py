"""The example configurations that packages ship: each is judged after rendering as before, and comes back."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from syncer.substitution.mapping import Mapping
from syncer.substitution.rewrite import restore, rewrite
from syncer.substitution.rules import Rule, RuleSet
from tests.conftest import IN_CI
from tests.packages.namespace import run
from tests.packages.rendering import files_of

RULES = RuleSet.of(
    (
        Rule("192.168.0.0/16", "172.29.0.0/16"),
        Rule("10.0.0.0/8", "11.0.0.0/8"),
        Rule("2001:db8::/32", "2001:db9::/32"),
        Rule("www.example.com", "failover.example.org"),
    )
)

GENERATE = "/usr/libexec/netplan/generate"
"""What `netplan generate` runs, without starting Python for each file."""

# What a checker says of each file of the tree: its name, and the exit code.
EACH = 'cd /run/configuration; for file in *; do code=0; {} >/dev/null 2>&1 || code=$?; echo "$file: $code"; done'
KEEPALIVED = EACH.format('keepalived --config-test --use-file "$PWD/$file"')
HAPROXY = EACH.format('haproxy -c -f "$file"')
NETPLAN = EACH.format(
    'rm -rf /run/rendered && mkdir -p /run/rendered/etc/netplan && install -m 600 "$file" /run/rendered/etc/netplan '
    f"&& {GENERATE} --root-dir /run/rendered"
)


class Samples(NamedTuple):
    """Where a package ships its examples, and how many of them its own checker accepts at least."""

    folder: Path
    pattern: str
    tool: str
    script: str
    accepted: int


SAMPLES = {
    "keepalived": Samples(Path("/usr/share/doc/keepalived/samples"), "*.conf.*", "keepalived", KEEPALIVED, 10),
    "haproxy": Samples(Path("/usr/share/doc/haproxy/examples"), "*.cfg", "haproxy", HAPROXY, 3),
    "netplan": Samples(Path("/usr/share/doc/netplan/examples"), "*.yaml", GENERATE, NETPLAN, 10),
}

PARAMETERS = [
    pytest.param(name, marks=[pytest.mark.needs("unshare", samples.tool), pytest.mark.needs_root])
    for name, samples in SAMPLES.items()
]


def copied(samples: Samples, folder: Path) -> Path:
    """Return a copy of the examples; small machines leave documentation out."""
    found = sorted(samples.folder.glob(samples.pattern))
    if not found and not IN_CI:
        pytest.skip(f"{samples.folder} holds no examples: this machine was installed without documentation")
    folder.mkdir()
    for path in found:
        shutil.copyfile(path, folder / path.name)
    return folder


def verdicts(samples: Samples, tree: Path) -> dict[str, str]:
    """Return the exit code of the checker for each file."""
    done = run(samples.script, tree, "/nowhere", ())
    assert done.returncode == 0, done.stdout
    return dict(line.rsplit(": ", 1) for line in done.stdout.splitlines())


@pytest.mark.parametrize("name", PARAMETERS)
def test_examples_are_judged_as_before_and_come_back(name: str, tmp_path: Path) -> None:
    samples = SAMPLES[name]
    source, copy = copied(samples, tmp_path / "source"), tmp_path / "copy"
    copy.mkdir()
    replacements = 0
    for path, data in files_of(source).items():
        mapping = RULES.for_path(name, os.fsencode(path)) or Mapping()
        rewritten, report = rewrite(data, mapping)
        (copy / path).write_bytes(rewritten)
        assert restore(rewritten, mapping, report.undo) == data, path
        replacements += report.replacements
    before = verdicts(samples, source)
    assert verdicts(samples, copy) == before
    # Not all can be good: some name programs and interfaces that this machine lacks.
    assert list(before.values()).count("0") >= samples.accepted
    assert replacements >= samples.accepted
