"""Ends what talks to a server that is too slow: a socket's own timeout begins anew with every byte."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator


class TimeLimit:
    """Shuts a connection down when its time is over."""

    def __init__(self) -> None:
        self.is_over = False
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    def watch(self, connection: socket.socket | None) -> None:
        """Shut this connection down, also once TLS was begun on it, and no longer the one before."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
            # A descriptor of its own: TLS takes that of the connection over.
            self._socket = None if connection is None else socket.socket(fileno=os.dup(connection.fileno()))
            if self.is_over:
                self._end()

    def expire(self) -> None:
        """The time is over."""
        with self._lock:
            self.is_over = True
            self._end()

    def explains(self, error: BaseException) -> bool:
        """Tell whether an attempt failed since its time is over."""
        # RACE: a socket's own timeout of the same length may come first; smtplib hides it behind an error of its own.
        return self.is_over or isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError)

    def _end(self) -> None:
        # Closed already: then there is nothing to end.
        with contextlib.suppress(OSError):
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[TimeLimit]:
    """Let the body run for so long; then the connection that it watches is shut down."""
    limit = TimeLimit()
    timer = threading.Timer(seconds, limit.expire)
    timer.daemon = True
    timer.start()
    try:
        yield limit
    finally:
        timer.cancel()
        limit.watch(None)
