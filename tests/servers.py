"""Servers that triggers talk to, real ones on loopback: SMTP with STARTTLS and AUTH, HTTP and HTTPS."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER = "syncer"
PASSWORD = "correct-horse-battery-staple"


@dataclass(frozen=True)
class Certificate:
    """A self-made certificate for 127.0.0.1 and localhost, which is its own authority."""

    file: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file, self.key)
        return context


def make_certificate(folder: Path) -> Certificate:
    """Write a certificate and its key into `folder`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    made = Certificate(folder / "server.pem", folder / "server.key")
    made.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made


@dataclass
class MailBox:
    """What arrived at a mail server, and how it answers."""

    mails: list[EmailMessage] = field(default_factory=list)
    receivers: list[list[str]] = field(default_factory=list)
    """Those of the envelope, for each mail."""
    passwords: list[bytes] = field(default_factory=list)
    senders: list[str] = field(default_factory=list)
    answers: dict[str, list[str]] = field(default_factory=dict)
    """By "MAIL", "DATA" or a recipient: what is answered next, one after the other; then 250."""
    drops: int = 0
    """How many mails the server breaks off in the middle of DATA."""
    cut: int = 0
    """How many it has broken off."""

    def next_answer(self, what: str) -> str:
        waiting = self.answers.get(what, [])
        return waiting.pop(0) if waiting else "250 OK"

    @property
    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails]

    async def handle_MAIL(self, server: Any, session: Session, envelope: Envelope, address: str, options: Any) -> str:  # noqa: N802  # aiosmtpd's name
        answer = self.next_answer("MAIL")
        if answer.startswith("250"):
            envelope.mail_from = address
            self.senders.append(address)
        return answer

    async def handle_RCPT(self, server: Any, session: Session, envelope: Envelope, address: str, options: Any) -> str:  # noqa: N802
        answer = self.next_answer(address)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.drops > 0:
            self.drops -= 1
            self.cut += 1
            assert isinstance(server.transport, asyncio.WriteTransport)
            server.transport.abort()
            return "451 gone"
        answer = self.next_answer("DATA")
        if answer.startswith("250"):
            content = envelope.content
            assert isinstance(content, bytes)
            parsed = message_from_bytes(content, policy=policy.default)
            assert isinstance(parsed, EmailMessage)
            self.mails.append(parsed)
            self.receivers.append(list(envelope.rcpt_tos))
        return answer

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.passwords.append(data.password)
        # Not handled: the server itself answers who is refused.
        return AuthResult(handled=False, success=data == LoginPassword(USER.encode(), PASSWORD.encode()))


@contextlib.contextmanager
def mail_server(
    box: MailBox, port: int, certificate: Certificate | None = None, *, tls: bool = False
) -> Iterator[None]:
    """Run a mail server: with a certificate it demands STARTTLS (or with `tls`, TLS at once) and the password above."""
    context = certificate.server_context() if certificate is not None else None
    options: dict[str, Any] = {"hostname": "localhost"}
    if context is not None and not tls:
        options |= {"tls_context": context, "require_starttls": True, "auth_required": True}
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        sessions: list[SMTP] = []

        def session() -> SMTP:
            sessions.append(SMTP(box, authenticator=box.authenticate, loop=loop, **options))
            return sessions[-1]

        server = await loop.create_server(session, "127.0.0.1", port, ssl=context if tls else None)
        started.set_result((loop, stop))
        await stop.wait()
        server.close()
        for found in sessions:
            if isinstance(found.transport, asyncio.WriteTransport):
                found.transport.abort()
        # What was aborted is closed in the next rounds of the loop.
        for _ in range(20):
            await asyncio.sleep(0)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    loop, stop = started.result(60)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


def smtp_table(port: int, folder: Path, certificate: Certificate | None = None) -> str:
    """Return [smtp] for such a server; writes the file with the password."""
    table = f'[smtp]\nhost = "localhost"\nport = {port}\nfrom = "syncer@example.com"\ntimeout = "20s"\n'
    if certificate is None:
        return f"{table}starttls = false\n"
    secret = folder / "smtp.secret"
    secret.write_text(f"{PASSWORD}\n")
    secret.chmod(0o600)
    return f'{table}username = "{USER}"\npassword_file = "{secret}"\nca_file = "{certificate.file}"\n'


@dataclass
class Posted:
    """One request that came in."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Hook:
    """What was posted to an HTTP server, and how it answers."""

    posted: list[Posted] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """What is answered next, one after the other; then 200."""
    reason: str | None = None
    """What stands behind the code; None: the usual words."""
    before: Callable[[], None] = lambda: None
    """Runs before each answer."""
    port: int = 0


@contextlib.contextmanager
def http_server(hook: Hook, certificate: Certificate | None = None) -> Iterator[Hook]:
    """Run an HTTP server, with a certificate an HTTPS one; its port stands in `hook`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.posted.append(Posted(self.path, {key.lower(): value for key, value in self.headers.items()}, body))
            hook.before()
            code, headers = hook.answers.pop(0) if hook.answers else (200, {})
            self.send_response(code, hook.reason)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  # http.server's name
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Clients that go away, or do not trust the certificate, are part of the tests."""

    server = Server(("127.0.0.1", 0), Handler)
    if certificate is not None:
        server.socket = certificate.server_context().wrap_socket(server.socket, server_side=True)
    hook.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def dripping_server(words: bytes, seconds: float) -> Iterator[int]:
    """Run a TCP server that says `words` byte by byte, pauses after each, then waits for the end; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stopping = threading.Event()

        def serve() -> None:
            with contextlib.suppress(OSError):
                while not stopping.is_set():
                    connection, _ = listener.accept()
                    with connection:
                        for number in range(len(words)):
                            connection.sendall(words[number : number + 1])
                            stopping.wait(seconds)
                        # RACE: closed with words of the client unread, TCP would take back what was said.
                        while connection.recv(4096):
                            continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        stopping.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(20)
