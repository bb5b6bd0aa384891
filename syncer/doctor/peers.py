"""The other nodes: paired, reachable, and answering with the certificate that is pinned here."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from syncer.config import FailoverSettings, parse_address
from syncer.doctor.findings import Finding, broken, fine, noted, warned
from syncer.doctor.subject import Subject
from syncer.errors import IdentityError, StateError
from syncer.state.inspection import Inspected
from syncer.trust import identity
from syncer.trust.identity import Identity
from syncer.trust.reach import Reached

CONNECT_SECONDS = 5.0
"""For each wait of one handshake."""
AT_ONCE = 8


def peers(subject: Subject) -> Iterator[Finding]:
    """Yield how each target answers; on failover, whether there is a production node at all."""
    stored = subject.stored
    if isinstance(stored, StateError):
        # Without node.db nobody is known; that is said elsewhere.
        return
    if subject.receives:
        yield from _paired(stored)
        return
    asked = {domain.name for domain in subject.domains}
    targets = [target for target in subject.settings.failover if asked & set(target.domains) or not asked]
    try:
        own = identity.load(subject.settings.node.state, stored.node_id)
    except IdentityError:
        # Said elsewhere; without it there is no handshake.
        return

    def connect(target: FailoverSettings) -> Reached:
        address = parse_address(target.address)
        return subject.reach(address.host, address.port, own, min(CONNECT_SECONDS, target.timeout))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for number, (target, reached) in enumerate(zip(targets, pool.map(connect, targets), strict=True), 1):
            where = {"target": target.name, "domain": "", "phase": "connect"}
            subject.report({**where, "done": number, "total": len(targets), "bytes": 0})
            yield _judged(target, reached, stored, own)


def _paired(stored: Inspected) -> Iterator[Finding]:
    if not stored.peers:
        cure = "run `syncer invite` here, and the line that it prints on production"
        yield noted("paired with nobody: nothing can be received yet", "peers", cure)
    else:
        names = ", ".join(peer.name for peer in stored.peers)
        yield fine(f"paired with {names}", "peers")


def _judged(target: FailoverSettings, reached: Reached, stored: Inspected, own: Identity) -> Finding:
    where = f"target {target.name}"
    if reached.error:
        what = f"{target.address} cannot be reached ({reached.error})"
        return broken(what, where, "check the address and the firewall, and that the agent runs there")
    pinned = {peer.node_id: peer.fingerprint for peer in stored.peers}.get(stored.targets.get(target.name, ""))
    if pinned is None:
        what = f"{target.address} answers, but is not paired with this node"
        return broken(what, where, f"run `syncer invite` there, then `syncer join {target.address} -` here")
    if reached.fingerprint != pinned:
        what = f"another server answers at {target.address}: its certificate is not the one that was paired"
        return broken(what, where, "check the address; where the node was made anew, join it again")
    if not reached.is_let_in:
        what = f"{target.address} does not know this node ({own.fingerprint[:16]}…) any more"
        return warned(what, where, f"run `syncer invite` there, then `syncer join {target.address} -` here")
    return fine(f"{target.address} answers, and both nodes know each other", where)
