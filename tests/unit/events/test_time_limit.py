"""What is too slow is called so, whichever clock noticed first."""

from __future__ import annotations

import smtplib

import pytest

from syncer.events.time_limit import TimeLimit


def hidden_timeout() -> Exception:
    """Return what smtplib makes of a socket's timeout."""
    try:
        try:
            raise TimeoutError("timed out")
        except OSError as error:
            raise smtplib.SMTPServerDisconnected(f"Connection unexpectedly closed: {error}")  # noqa: B904 - as there
    except smtplib.SMTPServerDisconnected as found:
        return found


@pytest.mark.parametrize(
    ("error", "expected"),
    [(TimeoutError(), True), (hidden_timeout(), True), (ConnectionResetError(), False), (OSError(), False)],
)
def test_a_timeout_of_the_socket_is_explained_by_the_limit(error: Exception, expected: bool) -> None:
    limit = TimeLimit()
    assert limit.explains(error) is expected
    limit.expire()
    assert limit.explains(error)
