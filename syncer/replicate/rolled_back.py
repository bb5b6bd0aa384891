"""Says that a domain stands at a rollback, on both nodes."""

from __future__ import annotations

from datetime import UTC, datetime

from syncer.state.rolled_back import RolledBack


def rolled_back_sentence(domain: str, done: RolledBack | None) -> str:
    """Say who rolled a domain back and how to go on; "" where nobody did."""
    if done is None:
        return ""
    when = datetime.fromtimestamp(done.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return (
        f"domain {domain} was rolled back to generation {done.target} by {done.person} at {when}: nothing is applied "
        "until `syncer resume TARGET` on production, which compares everything"
    )
