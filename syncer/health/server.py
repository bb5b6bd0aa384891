"""Serves health and metrics over HTTP/1.1, on a thread and an event loop of its own.

Of its own, because the one question that matters most is whether the node's event loop still moves. asyncio's streams
do it in a page; http.server has neither a limit of connections nor one for a whole request, and aiohttp or uvicorn
would be a large dependency for six paths. One request a connection: there is no state between two.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

from syncer.config.address import parse_address
from syncer.errors import StateError, SyncerError
from syncer.health.answers import Answer, Answers, document
from syncer.health.request import LONGEST_HEAD, BadRequestError, Request, read_request

log = logging.getLogger(__name__)

MOST_CONNECTIONS = 128
REQUEST_SECONDS = 5.0
"""For a whole request to arrive, and again for its answer to be taken: no client holds a place for longer."""
LOOK_SECONDS = 5.0
"""For the node to be looked at; a disk that hangs must not hang who asks."""
BACKLOG = 512


def listen_on(address: str) -> socket.socket:
    """Open the port of `address` (host:port, 0: any); StateError where that cannot be."""
    host, port = parse_address(address, any_port=True)
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            found.bind(place)
            found.listen(BACKLOG)
        except BaseException:
            found.close()
            raise
    except OSError as error:
        raise StateError(
            f"cannot listen on {address} for health and metrics ({error.strerror}): another program has the port, or "
            'the address is not of this machine; change node.http, or turn it off with http = ""'
        ) from error
    found.setblocking(False)
    return found


class HealthServer:
    """The HTTP service of one agent: from `start` to `close`."""

    def __init__(self, address: str, answers: Answers) -> None:
        """Open the port; StateError where it cannot be had. Connections wait until `start`."""
        self._socket = listen_on(address)
        self._answers = answers
        host, port = self._socket.getsockname()[:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        """Where it listens, with the port that was chosen."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        # Apart, so that who asks for the mode never waits behind a look at everything.
        self._looking = ThreadPoolExecutor(2, "http-view")
        self._asking = ThreadPoolExecutor(1, "http-mode")
        self._reading: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._open = 0

    def start(self) -> None:
        """Begin to answer."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(self._loop,), name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering; returns when the thread has ended."""
        if self._loop is not None and self._thread is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(2.0)
        self._socket.close()
        # Not waited for: one that hangs at a disk would hold up the end of everything else.
        for pool in (self._looking, self._asking):
            pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        serving = loop.run_until_complete(
            asyncio.start_server(self._connected, sock=self._socket, limit=LONGEST_HEAD, backlog=BACKLOG)
        )
        try:
            loop.run_forever()
        finally:
            serving.close()
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            loop.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection. Where all places are taken, the one that has been asking for longest gives way."""
        task = asyncio.current_task()
        assert task is not None, "this is one"
        self._open += 1
        try:
            if self._open > MOST_CONNECTIONS and not self._make_room():
                return
            self._reading[task] = writer
            await self._exchange(reader, writer, lambda: self._reading.pop(task, None))
        except (OSError, TimeoutError) as error:
            log.debug("a client of the health service was lost: %s", error)
        finally:
            self._reading.pop(task, None)
            self._open -= 1
            # What was not taken by now never will be.
            writer.transport.abort()

    def _make_room(self) -> bool:
        """End the connection that has been asking for longest; False where all have asked, and wait for answers."""
        for oldest in self._reading:
            self._reading.pop(oldest).transport.abort()
            return True
        return False

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, was_read: Callable[[], object]
    ) -> None:
        method = "GET"
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                head = await _head(reader)
            was_read()
            request = read_request(head)
            method = request.method
            answer = await self._answer(request)
        except asyncio.IncompleteReadError:
            return
        except TimeoutError:
            answer = document(408, {"error": f"no whole request came within {REQUEST_SECONDS:.0f} s"})
        except BadRequestError as error:
            answer = document(error.status, {"error": str(error)})
        writer.write(_encoded(answer, method))
        async with asyncio.timeout(REQUEST_SECONDS):
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    async def _answer(self, request: Request) -> Answer:
        refusal = self._answers.refusal(request)
        if refusal is not None:
            return refusal
        if self._answers.looks_at_beat_alone(request):
            return self._answers.answer(request)
        pool = self._asking if request.path in ("/production", "/failover") else self._looking
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                return await asyncio.get_running_loop().run_in_executor(pool, self._answers.answer, request)
        except TimeoutError:
            return document(503, {"error": f"this node did not answer within {LOOK_SECONDS:.0f} s"})
        except SyncerError as error:
            return document(503, {"error": str(error)})
        except Exception:  # a fault in one answer must not end the service; it is logged whole and told
            log.exception("%s failed by a fault in syncer", request.path)
            return document(500, {"error": "a fault in syncer: the agent's log has more"})


async def _head(reader: asyncio.StreamReader) -> bytes:
    """Return a request's head, whose lines may end with LF alone (RFC 9112, 2.2). Raises BadRequestError."""
    head = b""
    read = 0
    while read <= LONGEST_HEAD:
        try:
            line = await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            break
        read += len(line)
        if line not in (b"\n", b"\r\n"):
            head += line
        # An empty line before the first one counts for nothing, says the same section.
        elif head:
            return head
    raise BadRequestError(431, f"the head of a request has at most {LONGEST_HEAD} bytes here")


def _encoded(answer: Answer, method: str) -> bytes:
    """Return the bytes of an answer: to HEAD without the body that GET would get, to OPTIONS without any."""
    body = b"" if method == "OPTIONS" else answer.body
    fields = {
        "Content-Type": answer.kind,
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "Connection": "close",
        **answer.fields,
    }
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    head = "\r\n".join(lines).encode("ascii") + b"\r\n\r\n"
    return head if method == "HEAD" else head + body
