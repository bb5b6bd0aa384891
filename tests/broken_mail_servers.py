"""Mail servers that follow a script and no standard: dead, slow, breaking off, refusing to encrypt."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence
from io import BufferedReader

SILENT = ""
"""In a script: say nothing from here on."""
HANG_UP = "hang up"
"""In a script: end the connection."""


class Script:
    """What a server says: to the connection, then to each line of the client; what is not said is silence."""

    def __init__(self, *answers: str, pause: float = 0.0) -> None:
        """Say `answers` one after the other, each `pause` seconds after it is due; several lines with breaks."""
        self.answers: Sequence[str] = answers
        self.pause = pause
        self.heard: list[bytes] = []
        self.over = threading.Event()

    def play(self, connection: socket.socket) -> None:
        """Serve one connection until it ends."""
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as reader:
            for number, answer in enumerate(self.answers):
                if number and not self._listen(reader, is_mail=self.answers[number - 1].startswith("354")):
                    return
                if answer == HANG_UP:
                    return
                if answer == SILENT:
                    break
                self.over.wait(self.pause)
                connection.sendall(answer.replace("\n", "\r\n").encode() + b"\r\n")
            while reader.readline():
                pass

    def _listen(self, reader: BufferedReader, *, is_mail: bool) -> bool:
        """Take the client's next line, or its mail with the dot; tells whether one came."""
        line = reader.readline()
        self.heard.append(line)
        while is_mail and line and line.rstrip() != b".":
            line = reader.readline()
        return bool(line)


@contextlib.contextmanager
def scripted_server(script: Script) -> Iterator[int]:
    """Run such a server; yields its port."""
    connections: list[socket.socket] = []
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while not script.over.is_set():
                    connections.append(listener.accept()[0])
                    threads.append(threading.Thread(target=script.play, args=(connections[-1],), daemon=True))
                    threads[-1].start()

        acceptor = threading.Thread(target=accept, daemon=True)
        acceptor.start()
        try:
            yield listener.getsockname()[1]
        finally:
            script.over.set()
            for found in (listener, *connections):
                with contextlib.suppress(OSError):
                    found.shutdown(socket.SHUT_RDWR)
            for thread in (acceptor, *threads):
                thread.join(5)
