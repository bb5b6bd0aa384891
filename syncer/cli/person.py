"""Who runs a command, as the records of the node name them."""

from __future__ import annotations

import getpass
import os


def person() -> str:
    """Return who asks: also behind sudo, where the account is root's."""
    return os.environ.get("SUDO_USER") or getpass.getuser()
