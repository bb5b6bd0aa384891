"""What the operator wrote in syncer.toml, as frozen settings; pydantic is imported when a file is loaded."""

from __future__ import annotations

from syncer.config.address import Address, parse_address
from syncer.config.duration import parse_duration
from syncer.config.example import example
from syncer.config.loader import DEFAULT_PATH, ENVIRONMENT_VARIABLE, load
from syncer.config.settings import DomainSettings, FailoverSettings, NodeSettings, Settings
from syncer.config.warning import warnings_of

__all__ = [
    "DEFAULT_PATH",
    "ENVIRONMENT_VARIABLE",
    "Address",
    "DomainSettings",
    "FailoverSettings",
    "NodeSettings",
    "Settings",
    "example",
    "load",
    "parse_address",
    "parse_duration",
    "warnings_of",
]
