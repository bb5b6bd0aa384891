"""What a transaction is built from: one state of the index, judged by the brake and rendered for the target.

Blocking; called on the sender's worker thread.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from syncer.index.snapshot import IndexSnapshot
from syncer.index.store import IndexStore
from syncer.model import Problem
from syncer.replicate.content import ContentSource
from syncer.replicate.messages import Begin
from syncer.replicate.progress import Progress
from syncer.replicate.rendered_tree import Outlook, Plain, Tree
from syncer.replicate.sending_brake import SendingBrake
from syncer.replicate.stream import Request, opening_of


class Prepared(NamedTuple):
    """What is to be sent; `snapshot` must be closed."""

    snapshot: IndexSnapshot
    begin: Begin
    tree: Tree
    source: ContentSource


class Preparation:
    """Takes states of one domain's index for one target."""

    def __init__(
        self,
        domain: str,
        index: IndexStore,
        source: ContentSource,
        brake: SendingBrake,
        rendering: Outlook | None,
    ) -> None:
        """Render by `rendering`; None: no rules apply to the domain."""
        self._domain = domain
        self._index = index
        self._source = source
        self._brake = brake
        self._rendering = rendering

    def take(self, progress: Progress, request: Request | None, unstable: frozenset[bytes], *, full: bool) -> Prepared:
        """Return one state of the index and how its transaction opens; one visit to the thread, for latency.

        Raises BrakedError where a person must agree first, ContentChangedError where a file changed as it was rendered.
        """
        snapshot = self._index.snapshot(self._domain)
        try:
            preview = request is not None and request.dry_run
            # RACE: this very state is judged, not an earlier one.
            approved = not preview and self._brake.judge(snapshot, self._index, progress.cursor, time.monotonic())
            tree, source = self._rendered(snapshot, unstable)
            return Prepared(snapshot, opening_of(tree, progress, request, full=full, approved=approved), tree, source)
        except BaseException:
            snapshot.close()
            raise

    def problems(self) -> tuple[Problem, ...]:
        """Return the files that this target is not sent, since they could not come home; for any thread."""
        if self._rendering is None:
            return ()
        return tuple(Problem(self._domain, path, why) for path, why in self._rendering.flaws.items())

    def _rendered(self, snapshot: IndexSnapshot, unstable: frozenset[bytes]) -> tuple[Tree, ContentSource]:
        if self._rendering is None:
            return Plain(snapshot), self._source
        # The disk is read as the tree is rendered: the root may have been replaced since the last time.
        self._source.refresh()
        tree = self._rendering.tree(snapshot, self._source, unstable)
        return tree, self._rendering.source(self._source, snapshot)
