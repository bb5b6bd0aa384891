"""Which paths of a domain are syncer's own: never captured, never accepted, whatever the patterns say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from syncer.config import Settings


def protected_paths(settings: Settings, root: Path) -> list[bytes]:
    """Return syncer's own files and directories below `root`, relative to it.

    These are the configuration (with its directory where that is syncer's alone), editors' copies of it, the
    state directory with keys and sockets, and the files with secrets. Staging is known by its name
    everywhere, and needs no entry here.
    """
    top = os.path.realpath(os.fsencode(root))
    found = []
    for path in _own(settings):
        for form in {os.path.abspath(path), os.path.realpath(path)}:
            if form == top or not form.startswith(top.rstrip(b"/") + b"/"):
                continue
            found.append(form[len(top.rstrip(b"/")) + 1 :])
    return sorted(set(found))


def _own(settings: Settings) -> Iterator[bytes]:
    yield os.fsencode(settings.node.state)
    yield from (os.fsencode(path) for path in settings.secret_files)
    source = settings.source
    if source.parent.name == "syncer":
        yield os.fsencode(source.parent)
        return
    name = os.fsencode(source.name)
    directory = os.fsencode(source.parent)
    yield os.path.join(directory, name)
    # What editors leave beside a file they change holds the same secrets as the file.
    for form in (
        b".%b.swp",
        b".%b.swo",
        b".%b.swx",
        b"%b~",
        b"%b.bak",
        b"%b.orig",
        b"#%b#",
        b".#%b",
        b"%b.new",
    ):
        yield os.path.join(directory, form % name)
