"""What looks like a secret never leaves a command's output."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.redaction import REDACTED, redact
from syncer.services.output import KEPT_BYTES, BoundedOutput

BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"


@pytest.mark.parametrize(
    "line",
    [
        "db_password = hunter2",
        'error in "password": "hunter2", line 3',
        "PGPASSWORD=hunter2",
        "api-key: hunter2",
        "token hunter2",
        "Authorization: Basic hunter2",
        "header Cookie: session=hunter2",
        "curl -H Bearer hunter2hunter2",
        "cannot connect to postgres://app:hunter2@db/app",
        "smtp_passphrase => 'a hunter2 b'",
        "AWS_SECRET_ACCESS_KEY=hunter2",
        "hunter2" + "aB3" * 12,
    ],
)
def test_a_secret_is_replaced(line: str) -> None:
    shown = redact(f"before\n{line}\nafter")
    assert "hunter2" not in shown
    assert REDACTED in shown
    assert shown.startswith("before\n")
    assert shown.endswith("\nafter")


@pytest.mark.parametrize(
    "line",
    [
        'nginx: [emerg] unknown directive "lisen" in /etc/nginx/nginx.conf:3',
        'cannot load certificate key "/etc/nginx/tls/key.pem": No such file or directory',
        "nginx: configuration file /var/lib/very/long/path/below/which/2/things/lie/nginx.conf test failed",
        "invalid token in line 3",
        "",
    ],
)
def test_what_an_operator_needs_stays(line: str) -> None:
    assert redact(line) == line


def test_a_pem_block_goes_whole() -> None:
    block = f"-----BEGIN PRIVATE KEY-----\n{BODY}\nshort==\n-----END PRIVATE KEY-----"
    assert redact(f"a\n{block}\nb") == f"a\n{REDACTED}\nb"
    assert redact(f"a\n-----BEGIN EC PRIVATE KEY-----\n{BODY}") == f"a\n{REDACTED}"
    assert BODY not in redact(f"{BODY}\n-----END PRIVATE KEY-----\nb")


@given(st.text())
def test_redacting_again_changes_nothing_that_was_not_there(text: str) -> None:
    assert redact(text).count("\n") <= text.count("\n")


def test_only_the_end_of_a_flood_is_kept_and_what_was_cut_is_said() -> None:
    output = BoundedOutput()
    for number in range(10_000):
        output.add(b"line %d\n" % number)
    shown = output.text()
    assert len(shown) < KEPT_BYTES + 100
    assert shown.endswith("line 9999")
    first, second, *_ = shown.split("\n")
    assert first.endswith("bytes before this are not shown]")
    assert second.startswith("line ")


def test_a_line_cut_in_its_middle_is_not_shown() -> None:
    output = BoundedOutput()
    output.add(b"password=" + b"x" * KEPT_BYTES + b"hunter2")
    assert "hunter2" not in output.text()


def test_output_cannot_speak_to_a_terminal() -> None:
    output = BoundedOutput()
    output.add(b"\x1b[31mred\x07 \xff\xfe\r\nnext\n")
    shown = output.text()
    assert shown == "?[31mred? \\xff\\xfe\nnext"
