"""Where a path lies: in which domain, and where beneath its root."""

from __future__ import annotations

import os

from syncer.config import DomainSettings, Settings
from syncer.substitution.attribution import Place


def domain_of(settings: Settings, absolute: bytes) -> DomainSettings | None:
    """Return the domain that an absolute path lies in, or None."""
    for domain in settings.domains:
        root = os.fsencode(domain.path)
        if absolute == root or absolute.startswith(root.rstrip(b"/") + b"/"):
            return domain
    return None


def place_of(settings: Settings, absolute: bytes) -> Place:
    """Return the place of an absolute path without "..": one without domain where it lies in none."""
    domain = domain_of(settings, absolute)
    if domain is None:
        return Place("", os.path.basename(absolute))
    relative = os.path.relpath(absolute, os.fsencode(domain.path))
    return Place(domain.name, b"" if relative == b"." else relative)
