"""Reads a secret from its file when it is used; it is never kept, logged or shown."""

from __future__ import annotations

import os
import stat
from pathlib import Path

LONGEST = 4096
"""Bytes of a secret."""


class SecretError(Exception):
    """A file with a secret cannot be used; the message says why and what to do, not what is in it."""


def read_secret(path: Path) -> str:
    """Return the first line of a file that nobody else can read. Raises SecretError."""
    try:
        # Not blocking: a pipe in its place must not hold anybody up.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        cure = "write the secret there, with mode 0600" if missing else "let the agent's user read it"
        raise SecretError(f"{path} cannot be read ({error.strerror}): {cure}") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise SecretError(f"{path} is not a file: write the secret into a file")
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise SecretError(f"{path} can be read or changed by other users: run `chmod 600 {path}`")
        if found.st_uid not in (os.geteuid(), 0):
            raise SecretError(f"{path} belongs to user {found.st_uid}: give it to the agent's user")
        data = os.read(descriptor, LONGEST + 1)
    finally:
        os.close(descriptor)
    try:
        secret = data.decode("utf-8").split("\n", 1)[0].rstrip("\r")
    except UnicodeDecodeError:
        raise SecretError(f"{path} is not UTF-8 text: write the secret as text") from None
    if not secret or len(data) > LONGEST:
        raise SecretError(f"{path} is empty or too long: write the secret into its first line")
    return secret
