"""Renders a package's tree by the rules with the engine alone: what agents must put on failover, byte for byte."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NamedTuple

from syncer.substitution.rewrite import rewrite
from tests.packages.production import make_tree
from tests.packages.rules import rule_set

RULES = rule_set()


class Rendered(NamedTuple):
    """One tree before and after, and what restoring each file of it takes."""

    source: Path
    copy: Path
    undo: dict[str, bytes]
    left_alone: frozenset[str]


def rendered(name: str, folder: Path) -> Rendered:
    """Make production's tree of a package, and failover's copy of it by the rules."""
    source = make_tree(name, folder / "production" / name, data_of(folder / "production" / name))
    copy = folder / "failover" / name
    undo: dict[str, bytes] = {}
    left_alone = set()

    def render(taken: str, put: str) -> None:
        path = os.path.relpath(taken, source)
        data = Path(taken).read_bytes()
        mapping = RULES.for_path(name, os.fsencode(path))
        if mapping is not None:
            data, report = rewrite(data, mapping)
            undo[path] = report.undo
            if report.left_alone:
                left_alone.add(path)
        Path(put).write_bytes(data)
        shutil.copystat(taken, put)
        shutil.chown(put, os.stat(taken).st_uid, os.stat(taken).st_gid)

    shutil.copytree(source, copy, symlinks=True, copy_function=render)
    data_of(copy).symlink_to(data_of(source))
    return Rendered(source, copy, undo, frozenset(left_alone))


def data_of(tree: Path) -> Path:
    """Return where the checker expects what a server keeps beside its configuration."""
    return tree.with_name(f"{tree.name}.data")


def files_of(tree: Path) -> dict[str, bytes]:
    """Return the contents of each regular file by its path in the tree."""
    return {
        str(path.relative_to(tree)): path.read_bytes()
        for path in sorted(tree.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
