"""What a change of roles would lack: commands of the domains with services, hooks, and the way home."""

from __future__ import annotations

from collections.abc import Iterator

from syncer.config import DomainSettings, parse_address
from syncer.config.address import DEFAULT_PORT, Address
from syncer.config.programs import HOOKS
from syncer.doctor.findings import Finding, fine, noted, warned
from syncer.doctor.subject import Subject
from syncer.errors import IdentityError, StateError
from syncer.state.inspection import Inspected
from syncer.trust import identity
from syncer.trust.identity import Identity

CONNECT_SECONDS = 3.0
"""For each wait of one handshake."""
ADDRESSES_MOST = 4
"""Tried of a node; what it can be reached by comes first."""

_LACKING = {
    "stop": "where this node gives production away, its services go on running beside those of the other",
    "status": "whether they run after a promotion cannot be told",
    "freeze": "in a planned promotion nothing keeps them from writing while the last changes are sent",
    "check": "nothing looks at what stands before they are started",
}


def switching(subject: Subject) -> Iterator[Finding]:
    """Yield what `syncer promote` and the way back would lack; each node needs it, whatever it is now."""
    for domain in subject.domains:
        yield from _commands(domain)
    hooks = subject.settings.hooks
    if not any(getattr(hooks, hook) for hook in HOOKS) and any(domain.start for domain in subject.domains):
        cure = "where clients follow an address or a name, have `after_promote` move it, and `before_demote` give it up"
        yield noted("no hook is configured: a promotion moves nothing but the configuration", "[hooks]", cure)
    if subject.receives and not isinstance(subject.stored, StateError):
        yield from _ways_home(subject, subject.stored)


def _commands(domain: DomainSettings) -> Iterator[Finding]:
    where = f"domains.{domain.name}"
    if not domain.start:
        named = [key for key in ("stop", "reload", "status", "freeze") if getattr(domain, key)]
        if named:
            what = f"has {' and '.join(f'`{key}`' for key in named)}, but no `start`: a promotion starts nothing for it"
            yield warned(what, where, "add `start`, or leave the others out")
        return
    lacking = [key for key in _LACKING if not getattr(domain, key)]
    for key in lacking:
        yield noted(f"has no `{key}`: {_LACKING[key]}", where, f"add `{key}`")
    if not lacking:
        yield fine("has all that a change of roles runs", where)


def _ways_home(subject: Subject, stored: Inspected) -> Iterator[Finding]:
    asked = {domain.name for domain in subject.domains}
    sources = {node_id for domain, node_id in stored.sources.items() if domain in asked}
    try:
        own = identity.load(subject.settings.node.state, stored.node_id)
    except IdentityError:
        # Said elsewhere; without it there is no handshake.
        return
    peers = {peer.node_id: peer for peer in stored.peers}
    for node_id in sorted(sources):
        peer = peers.get(node_id)
        if peer is None:
            what = f"the node that it came from ({node_id}) is not paired any more: nothing goes home there"
            yield warned(what, "the way home", "pair it again, where it still exists")
            continue
        yield _way_home(subject, own, peer.name, peer.fingerprint, _addresses(subject, stored, node_id))


def _addresses(subject: Subject, stored: Inspected, node_id: str) -> list[str]:
    named = [t.address for t in subject.settings.failover if stored.targets.get(t.name) == node_id]
    port, hosts = stored.ways.get(node_id, (0, ()))
    said = [str(Address(host, port or DEFAULT_PORT)) for host in hosts]
    return list(dict.fromkeys([*named, *said]))[:ADDRESSES_MOST]


def _way_home(subject: Subject, own: Identity, name: str, fingerprint: str, addresses: list[str]) -> Finding:
    where = f"the way home to {name}"
    faults = []
    for text in addresses:
        address = parse_address(text)
        reached = subject.reach(address.host, address.port, own, CONNECT_SECONDS)
        if not reached.error and reached.fingerprint == fingerprint:
            return fine(f"{text} answers", where)
        faults.append(f"{text}: {reached.error or 'another server answers there'}")
    if not faults:
        what = "where it is is not known here: it said nothing yet, and no [[failover]] table names it"
        return noted(what, where, "let it connect once, or add a [[failover]] table for it")
    what = f"it does not answer ({'; '.join(faults)}): a planned promotion needs it, and what is edited here then"
    return warned(what, where, "open its port for this node, and see that its agent runs")
