"""What the tests of triggers share: a certificate, and notices to deliver."""

from __future__ import annotations

from typing import Any

import pytest

from syncer.events.delivery import Parcel
from syncer.events.notice import ALARM, Notice
from tests.servers import Certificate, make_certificate

FAILED: dict[str, Any] = {
    "success": False,
    "kind": "partial",
    "node": "prod-a",
    "target": "dr-a",
    "domain": "nginx",
    "changes": 0,
    "bytes": 0,
    "seconds": 0.0,
    "error": "dr-a did not answer within 10 s",
    "error_class": "unreachable",
    "consecutive_failures": 5,
}


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


def notice(**changes: Any) -> Notice:
    found = Notice(
        ALARM, "sync failed", "sync", "prod-a", 1_800_000_000.0, 1_800_000_000.0, 1, True, ("dr-a, nginx",), FAILED
    )
    return found._replace(**changes)


def parcel(*receivers: str, **changes: Any) -> Parcel:
    return Parcel("0123456789abcdef", notice(**changes), receivers)
