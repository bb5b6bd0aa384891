"""What gRPC says of a call that ended becomes a sentence that helps."""

from __future__ import annotations

import pytest

from syncer.replicate.link import last_word

CONNECT = "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:7443: "
PINNED = (
    f"{CONNECT}Tls handshake failed (TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: error:1000007d:SSL routines:"
    "OPENSSL_internal:CERTIFICATE_VERIFY_FAILED: unable to get local issuer certificate: OK"
)


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        (f"{CONNECT}Failed to connect to remote host: Connection refused", "Connection refused"),
        (PINNED, ("its certificate is not the one that it was paired with (unable to get local issuer certificate); "
                 "where it was set up anew, pair it again with `syncer invite` and `syncer join`")),
        (f"{CONNECT}Tls handshake failed (TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: wrong version number",
         "TLS was refused (wrong version number)"),
        ("Cancelling all calls", "Cancelling all calls"),
        ("", "no reason given"),
    ],
)  # fmt: skip  # a table
def test_the_last_word_of_grpc_is_what_an_operator_needs(details: str, expected: str) -> None:
    assert last_word(details) == expected
