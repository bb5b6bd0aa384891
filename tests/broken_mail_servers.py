"""Mail servers that follow a script and no standard: dead, slow, breaking off, refusing to encrypt."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence

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


@contextlib.contextmanager
def scripted_server(script: Script) -> Iterator[int]:
    """Run such a server; yields its port."""
    stopping = threading.Event()
    connections: list[socket.socket] = []
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve(connection: socket.socket) -> None:
            with contextlib.suppress(OSError), connection, connection.makefile("rb") as reader:
                for number, answer in enumerate(script.answers):
                    if number:
                        line = reader.readline()
                        script.heard.append(line)
                        if not line:
                            return
                        if script.answers[number - 1].startswith("354"):
                            while line and line.rstrip() != b".":
                                line = reader.readline()
                    if answer == HANG_UP:
                        return
                    if answer == SILENT:
                        break
                    stopping.wait(script.pause)
                    connection.sendall(answer.replace("\n", "\r\n").encode() + b"\r\n")
                while reader.readline():
                    pass

        def accept() -> None:
            with contextlib.suppress(OSError):
                while not stopping.is_set():
                    connections.append(listener.accept()[0])
                    threads.append(threading.Thread(target=serve, args=(connections[-1],), daemon=True))
                    threads[-1].start()

        acceptor = threading.Thread(target=accept, daemon=True)
        acceptor.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stopping.set()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            acceptor.join(5)
            for connection in connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(5)
