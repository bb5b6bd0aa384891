"""What is indexed against what was scanned: what a target must hear of, and what only this node (pure)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from syncer.model import Known


class Differences(NamedTuple):
    """What a group of scanned paths changes."""

    upserts: list[bytes]
    """New, or the entry differs: these get a seq each."""
    deletions: list[bytes]
    """Known and not scanned any more: these get a seq each and leave a tombstone."""
    refreshed: list[bytes]
    """The entry is as before, only the disk identity or the racy mark differs: no target need know."""


def differences(
    known: Mapping[bytes, Known], scanned: Mapping[bytes, Known], resend: Collection[bytes] = ()
) -> Differences:
    """Compare what is known of some paths with what stands there now; `resend` ones count as changed.

    `known` holds of these paths only those that are live.
    """
    upserts: list[bytes] = []
    refreshed: list[bytes] = []
    for path, found in scanned.items():
        before = known.get(path)
        if before is None or before.entry != found.entry or path in resend:
            upserts.append(path)
        elif before != found:
            refreshed.append(path)
    return Differences(upserts, [path for path in known if path not in scanned], refreshed)
