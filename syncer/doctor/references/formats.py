"""Which parser reads which file, by its name and place alone (pure); any other file is not guessed at."""

from __future__ import annotations

from collections.abc import Mapping

from syncer.doctor.references import apache, haproxy, nginx, systemd
from syncer.doctor.references.reference import Parser

PARSERS: Mapping[str, Parser] = {
    nginx.NAME: nginx.parse,
    haproxy.NAME: haproxy.parse,
    haproxy.CERTIFICATE_LIST: haproxy.parse_certificate_list,
    apache.NAME: apache.parse,
    systemd.NAME: systemd.parse,
}

MAIN_FILES = {"nginx.conf": nginx.NAME, "apache2.conf": apache.NAME, "httpd.conf": apache.NAME}
"""Files from which a program reads all others; where a domain holds one, nothing else of that format is begun with."""
PROGRAM_FOLDERS = {"nginx": nginx.NAME, "apache2": apache.NAME, "httpd": apache.NAME, "haproxy": haproxy.NAME}
_READ_FOLDERS = ("-enabled", "conf.d", ".d")
_UNITS = (".service", ".socket", ".mount", ".swap", ".timer", ".path", ".slice", ".target")


def main_format(path: str) -> str | None:
    """Return the format of a file that its program reads for itself, or None."""
    folders, name = _split(path)
    if name in MAIN_FILES:
        return MAIN_FILES[name]
    if name == "haproxy.cfg" or (name.endswith(".cfg") and "haproxy" in folders):
        return haproxy.NAME
    if "systemd" in folders and (name.endswith(_UNITS) or (name.endswith(".conf") and _is_drop_in(folders))):
        return systemd.NAME
    return None


def part_format(path: str) -> str | None:
    """Return the format of a file that a main file outside of the domain probably includes, or None.

    It lies below a folder of the program's name, and is called *.conf or lies in a folder such as sites-enabled.
    """
    folders, name = _split(path)
    if not (name.endswith(".conf") or (folders and folders[-1].endswith(_READ_FOLDERS))):
        return None
    if folders and folders[-1].endswith("-available"):
        return None
    found = [PROGRAM_FOLDERS[folder] for folder in folders if folder in PROGRAM_FOLDERS]
    return found[-1] if found and found[-1] in (nginx.NAME, apache.NAME) else None


def _is_drop_in(folders: list[str]) -> bool:
    return folders[-1].endswith(tuple(f"{unit}.d" for unit in _UNITS))


def _split(path: str) -> tuple[list[str], str]:
    *folders, name = path.split("/")
    return folders, name
