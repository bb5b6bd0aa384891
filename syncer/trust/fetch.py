"""Fetches a server's certificate in a process of its own, for `syncer join`.

Python's ssl and gRPC bring a TLS library each, and once in some thousand handshakes both in one process ended in a
segmentation fault (seen with Python 3.11.7 and grpcio 1.85.1). An agent must not risk that for one certificate.
Reads the one-time key and certificate (PEM) from stdin, and writes one JSON document: `certificate` (PEM, "" for
none), `accepted` (the server took ours), `error` (errno of a connection that failed, 0 for none).
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import sys


def main(host: str, port: int, seconds: float) -> None:
    """Connect, shake hands, and print what was found; `seconds` bound each wait."""
    found: dict[str, object] = {"certificate": "", "accepted": False, "error": 0}
    context = _unverified_context(sys.stdin.buffer.read())
    try:
        with (
            socket.create_connection((host, port), timeout=seconds) as plain,
            context.wrap_socket(plain, server_hostname=host) as connection,
        ):
            found["certificate"] = ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True) or b"")
            try:
                # In TLS 1.3 a client learns only with the server's first byte that its certificate was accepted.
                found["accepted"] = bool(connection.recv(1))
            except OSError:
                found["accepted"] = False
    except OSError as error:
        found["error"] = error.errno or -1
    sys.stdout.write(json.dumps(found))


def _unverified_context(pem: bytes) -> ssl.SSLContext:
    """Return a context that takes any certificate: it is compared with the token's fingerprint instead."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    # Python's ssl reads keys from files only; this one never reaches a disk.
    descriptor = os.memfd_create("syncer-one-time-key", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    return context


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
