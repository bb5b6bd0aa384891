"""What a first synchronization would destroy on failover: asked for once, and allowed exactly as it was shown."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from syncer.replicate.brake import SAMPLE
from syncer.replicate.compare import Difference, destroys, plan_item
from syncer.replicate.messages import Approval, Begin
from syncer.state.base import Base


def first_approval(base: Base, domain: str, differences: Sequence[Difference], begin: Begin) -> Approval | None:
    """Return the approval that a first synchronization onto other files still lacks, else None.

    What was offered is kept in `base`, so that an approval lets pass exactly what the person saw, or less.
    """
    destroyed = [difference for difference in differences if destroys(difference)]
    if not destroyed:
        return None
    paths = {difference.change.path for difference in destroyed}
    if begin.approval:
        approved = base.approved_paths(domain, begin.approval)
        if approved is not None and paths <= approved:
            return None
    items = [plan_item(difference) for difference in destroyed]
    deletions = sum(1 for item in items if item.action == "delete")
    approval_id = "" if begin.dry_run and not begin.offer else secrets.token_hex(8)
    if approval_id:
        base.offer_approval(domain, approval_id, paths)
    return Approval(approval_id or "dry-run", deletions, len(items) - deletions, tuple(items[:SAMPLE]))
