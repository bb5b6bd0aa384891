"""Builds senders: how one domain goes to one target, and how that target is called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from syncer.capture.contents import ContentCache
from syncer.capture.ignore import pattern_hash
from syncer.config import DomainSettings, FailoverSettings, Settings
from syncer.errors import PeerRejectedError, Reason
from syncer.index.store import IndexStore
from syncer.model import RootShape
from syncer.node.circles import circle_of
from syncer.node.outlooks import Chosen, outlook_on
from syncer.node.seeking import Doubts, Seeking
from syncer.replicate.failing import Failing
from syncer.replicate.link import Link
from syncer.replicate.link import Stream as Call
from syncer.replicate.rendering import Rendering
from syncer.replicate.sender import Sender
from syncer.replicate.sending_brake import SendingBrake
from syncer.replicate.source import DiskSource
from syncer.replicate.stream import Production, Stream
from syncer.state.brake import BrakeStore
from syncer.state.cursors import read_progress, read_target
from syncer.state.failure_suspensions import FailureSuspensions
from syncer.state.peers import peer_by_node_id
from syncer.state.store import StateStore
from syncer.trust.identity import Identity
from syncer.trust.tls import open_channel


class Building:
    """What the senders of one production node share."""

    def __init__(
        self,
        production: Production,
        store: StateStore,
        identity: Identity,
        index: IndexStore,
        cache: ContentCache,
        shape: Callable[[str], RootShape | None],
        settings: Callable[[], Settings],
    ) -> None:
        """Build for `production`, which captures into `index` under `settings`.

        `shape` tells as what a domain's root was seen last.
        """
        self._production = production
        self._store = store
        self._identity = identity
        self._index = index
        self._cache = cache
        self._shape = shape
        self._settings = settings
        self._doubts: dict[str, Doubts] = {}
        self._renderings: dict[str, Rendering] = {}

    def sender(self, target: FailoverSettings, domain: DomainSettings, *, automatic: bool) -> Sender:
        """Return what sends a domain to a target; without `automatic` only what is asked for."""
        stream = stream_of(target, domain, automatic=automatic)
        before = {progress.domain: progress for progress in read_progress(self._store, target.name)}
        brake = SendingBrake(
            target.name,
            domain.name,
            str(domain.path),
            domain.brake,
            BrakeStore(self._store, domain.name, target.name),
            lambda: self._shape(domain.name),
        )
        progress = before.get(domain.name)
        shared = self._renderings.setdefault(domain.name, Rendering(self._index.renderings, self._cache))
        chosen = outlook_on(self._store, target, domain, stream.rules, shared, has_sent=progress is not None)
        stream = stream._replace(rules=chosen.rules)
        kept = FailureSuspensions(self._store, target.name, domain.name)
        failing = Failing(target.name, domain.name, stream.suspend_policy(), kept)

        def dial() -> Call:
            refusal = chosen.refusal or dict(target.refusals).get(domain.name, "")
            if refusal:
                raise PeerRejectedError(refusal, Reason.RULES_DISAGREE)
            return self._dial(target)

        source = DiskSource(Path(domain.path), self._cache)
        return Sender(stream, self._production, self._index, source, dial, progress, brake, chosen.outlook, failing)

    def undecided(self, target: FailoverSettings, domain: DomainSettings) -> tuple[Chosen, DiskSource]:
        """Return how a domain goes to a target before anything was decided of it, and its contents; for a comparison.

        Blocking; raises StateError.
        """
        before = {progress.domain for progress in read_progress(self._store, target.name)}
        shared = self._renderings.setdefault(domain.name, Rendering(self._index.renderings, self._cache))
        rules = target.rules.for_domain(domain.name)
        has_sent = domain.name in before
        chosen = outlook_on(self._store, target, domain, rules, shared, has_sent=has_sent, decided=False)
        return chosen, DiskSource(Path(domain.path), self._cache)

    def answered(self, target: str) -> None:
        """Believe the address again at which a target has answered."""
        if target in self._doubts:
            self._doubts[target].answered()

    def _dial(self, target: FailoverSettings) -> Call:
        record = read_target(self._store, target.name)
        circle = circle_of(target, self._settings(), self._store, record)
        if circle:
            raise PeerRejectedError(circle, Reason.LOOP)
        peer = peer_by_node_id(self._store, record.node_id) if record else None
        if peer is None:
            raise PeerRejectedError(
                f"{target.name} is not paired with this node: run `syncer invite` on {target.name}, then the "
                "`syncer join` line that it prints here",
                Reason.NOT_PAIRED,
            )
        certificate = peer.certificate_pem

        def call(address: str) -> Call:
            return Link(open_channel(address, self._identity, certificate), target.name)

        if not target.further:
            return call(target.address)
        doubts = self._doubts.setdefault(target.name, Doubts())
        return Seeking(target.name, (target.address, *target.further), doubts, call)


def stream_of(target: FailoverSettings, domain: DomainSettings, *, automatic: bool) -> Stream:
    """Return what is sent of a domain to a target, and how."""
    return Stream(
        target.name,
        domain.name,
        target.automatic and automatic,
        target.timeout,
        target.retry_min,
        target.retry_max,
        domain.patterns,
        pattern_hash(domain.patterns),
        target.start_services,
        target.rules.for_domain(domain.name),
        target.suspend_after,
        target.probe,
    )
