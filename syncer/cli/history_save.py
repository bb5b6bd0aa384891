"""Writes what a generation displaced into a new folder."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

from syncer.errors import ConfigurationError
from syncer.model import path_flaw


class Folder:
    """A new folder that takes what the agent says, path by path; what is in it is its owner's alone."""

    def __init__(self, folder: Path) -> None:
        """Make it. Raises ConfigurationError where it is there already, or cannot be made."""
        self._folder = os.fsencode(folder)
        try:
            os.mkdir(self._folder, 0o700)
        except OSError as error:
            raise ConfigurationError(f"the folder {folder} cannot be made: {error.strerror}; name a new one") from error

    def take(self, event: dict[str, Any]) -> None:
        """Write one path, or the next piece of one. Raises ConfigurationError where the disk refuses."""
        path = os.fsencode(str(event["path"]))
        flaw = path_flaw(path)
        if flaw is not None:
            raise ConfigurationError(f"{event['path']!a} {flaw}: it is not saved")
        try:
            self._write(os.path.join(self._folder, path), event)
        except OSError as error:
            raise ConfigurationError(f"{event['path']!a} cannot be saved: {error.strerror}") from error

    def _write(self, place: bytes, event: dict[str, Any]) -> None:
        if event["kind"] == "directory":
            os.makedirs(place, 0o700, exist_ok=True)
            return
        os.makedirs(os.path.dirname(place), 0o700, exist_ok=True)
        if event["kind"] == "symlink":
            os.symlink(os.fsencode(str(event["link_target"])), place)
            return
        # The folder is new and its owner's alone: a link in it can only be one that was saved, and is not followed.
        is_first = not event["offset"]
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if is_first else os.O_APPEND)
        descriptor = os.open(place, flags, 0o600)
        with open(descriptor, "wb") as file:
            file.write(base64.b64decode(str(event["data"])))
            os.fchmod(file.fileno(), int(str(event["mode"]), 8) & 0o700 | 0o600)
