"""A node to examine: real folders, a configuration of real keys, and no agent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from syncer.config import load
from syncer.doctor.packaged import Packages
from syncer.doctor.subject import Subject

Examined = Callable[..., Subject]


@pytest.fixture
def examined(tmp_path: Path) -> Examined:
    """Return a function that makes a Subject: `domains` by name with further lines, mode, `targets` with theirs."""

    def make(
        domains: dict[str, str] | None = None, *, mode: str = "production", targets: dict[str, str] | None = None
    ) -> Subject:
        text = f'[node]\nname = "n"\nmode = "{mode}"\nstate = "{tmp_path}/state"\n'
        text += 'listen = "127.0.0.1:0"\nhttp = ""\n'
        for name, lines in (domains or {"nginx": ""}).items():
            (tmp_path / name).mkdir(exist_ok=True)
            text += f'[domains.{name}]\npath = "{tmp_path}/{name}"\n{lines}\n'
        for number, (name, lines) in enumerate((targets or {}).items(), 1):
            text += f'[[failover]]\nname = "{name}"\naddress = "127.0.0.1:{number}"\n{lines}\n'
        file = tmp_path / "syncer.toml"
        file.write_text(text)
        settings = load(file)
        # The temporary folder is not a package's, whatever this machine has installed.
        return Subject(settings, settings.domains, packages=Packages(tmp_path / "status"))

    return make
