"""Tells systemd (Type=notify) what the agent does, over the datagram socket that it names (sd_notify(3)).

Thirty lines of our own: the libraries for it either need libsystemd's headers or swallow every error.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping
from typing import Self

log = logging.getLogger(__name__)

PATIENCE = 1.0
"""Seconds that a full queue of systemd's is waited for with what must not be lost."""
LONGEST_STATUS = 500
"""Characters of the STATUS line; systemd shows one line."""


class Notifier:
    """Says what systemd is to know; without systemd nobody listens, and nothing happens."""

    def __init__(self, address: str = "", watchdog: float = 0.0) -> None:
        """Send to the socket `address` ("@…" is an abstract one); `watchdog` is systemd's limit in seconds, 0: none."""
        self.address = address
        self.watchdog = watchdog
        self._failing = False

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> Self:
        """Return the one that systemd asked for when it started this process."""
        address = environment.get("NOTIFY_SOCKET", "")
        if address and not address.startswith(("/", "@")):
            log.warning("NOTIFY_SOCKET is no Unix socket (%s): systemd is told nothing", ascii(address))
            address = ""
        # A child of the process that systemd watches has inherited the variables, and is not meant.
        mine = environment.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        microseconds = environment.get("WATCHDOG_USEC", "")
        watched = bool(address) and mine and microseconds.isascii() and microseconds.isdigit()
        return cls(address, int(microseconds) / 1e6 if watched else 0.0)

    def ready(self) -> None:
        """The node serves; also the end of a reload."""
        self.send("READY=1", PATIENCE)

    def reloading(self) -> None:
        """A reload begins; `ready` ends it."""
        self.send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}", PATIENCE)

    def stopping(self) -> None:
        """The node ends."""
        self.send("STOPPING=1", PATIENCE)

    def status(self, line: str) -> None:
        """Have `systemctl status` show a line."""
        plain = "".join(letter if letter.isprintable() else "?" for letter in line)
        self.send(f"STATUS={plain[:LONGEST_STATUS]}")

    def moves(self) -> None:
        """Feed the watchdog."""
        self.send("WATCHDOG=1")

    def send(self, message: str, patience: float = 0.0) -> None:
        """Send one notification as it is, waiting `patience` seconds at most; one that is lost is logged."""
        if not self.address:
            return
        place = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                # A full queue must not stop the event loop for what is said again in a moment.
                channel.settimeout(patience)
                channel.connect(place)
                channel.sendall(message.encode("utf-8", "replace"))
        except OSError as error:
            level = logging.DEBUG if self._failing else logging.WARNING
            log.log(level, "systemd could not be told %s: %s", message.partition("\n")[0], error.strerror)
            self._failing = True
        else:
            self._failing = False
