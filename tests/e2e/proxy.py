"""A TCP proxy that tests cut, freeze and delay: the network between two nodes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from concurrent.futures import Future
from types import TracebackType
from typing import Self

CHUNK_BYTES = 64 * 1024


class Proxy:
    """Forwards 127.0.0.1:`port` to 127.0.0.1:`target_port`, in a thread of its own.

    `cut` refuses new connections and closes those there are; `freeze` keeps them open and forwards nothing,
    so that a peer must find out by itself; `delay` holds back everything for a while; `restore` ends all
    of these.
    """

    def __init__(self, port: int, target_port: int) -> None:
        self.port = port
        self.connections = 0
        """How many were accepted and forwarded since the start."""
        self._target_port = target_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="proxy")
        self._listening: Future[None] = Future()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_cut = False
        self._delay = 0.0
        self._flowing = asyncio.Event()
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._listening.result(60)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def cut(self) -> None:
        """Close every connection hard (RST), and refuse new ones."""
        self._in_loop(self._cut)

    def freeze(self) -> None:
        """Forward nothing any more, and close nothing; new connections are accepted and stay silent."""
        self._in_loop(self._flowing.clear)

    def delay(self, seconds: float) -> None:
        """Hold back each piece of data for so long."""
        self._in_loop(lambda: setattr(self, "_delay", seconds))

    def restore(self) -> None:
        """Forward everything at once again; what was held back while frozen flows."""

        def restore() -> None:
            self._is_cut = False
            self._delay = 0.0
            self._flowing.set()

        self._in_loop(restore)

    def _in_loop(self, act: object) -> None:
        async def run() -> None:
            assert callable(act)
            act()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(60)

    def _cut(self) -> None:
        self._is_cut = True
        for writer in list(self._writers):
            _reset(writer)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._flowing.set()
        self._loop.run_until_complete(self._listen())
        self._listening.set_result(None)
        self._loop.run_forever()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port)

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        self._cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._connect(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            _reset(writer)
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            # Nobody listens behind: the caller must see much what it would see without a proxy.
            _reset(writer)
            return
        self.connections += 1
        ends = {writer, back}
        self._writers |= ends
        try:
            await asyncio.gather(self._forward(reader, back), self._forward(there, writer))
        finally:
            self._writers -= ends
            for end in ends:
                end.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                if self._delay:
                    # Not a wait of a test: the length of the way is what this stands for.
                    await asyncio.sleep(self._delay)
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN: no goodbye, as when the network or the machine is gone."""
    connection = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
