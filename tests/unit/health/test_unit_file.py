"""The unit file that the documentation offers: systemd understands every line of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[3] / "docs" / "syncer.service"


def verified(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    file = folder / "syncer.service"
    # Whether the program is there depends on the machine, not on the unit.
    file.write_text(text.replace("/opt/syncer/bin/syncer", "/bin/true"))
    return subprocess.run(["systemd-analyze", "verify", file], capture_output=True, text=True, check=False)


@pytest.mark.needs("systemd-analyze")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    text = UNIT.read_text("utf-8")
    done = verified(tmp_path, text)
    said = [line for line in done.stderr.splitlines() if "syncer.service" in line]
    assert (done.returncode, said) == (0, [])
    spoiled = verified(tmp_path, text.replace("WatchdogSec", "WatchdogSeconds"))
    assert "'WatchdogSeconds'" in spoiled.stderr


def test_the_unit_asks_for_what_the_agent_tells() -> None:
    lines = UNIT.read_text("utf-8").splitlines()
    for line in ("Type=notify", "NotifyAccess=main", "WatchdogSec=30", "ExecReload=/bin/kill -HUP $MAINPID"):
        assert line in lines
    assert "Restart=on-failure" in lines
