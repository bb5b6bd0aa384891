"""The captures of a production node: one a domain, what each last told, and how they change with the configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping

from syncer.capture.capturer import Capturer, CaptureState
from syncer.capture.contents import ContentCache
from syncer.capture.ignore import Scope
from syncer.capture.watch import Watcher
from syncer.config import DomainSettings, Settings
from syncer.errors import SyncerError
from syncer.events.problems import StandingProblems
from syncer.index.store import IndexStore
from syncer.model import RecordEvent, RootShape
from syncer.node.capture_events import CaptureEvents
from syncer.node.protected import protected_paths
from syncer.node.reload_plan import Plan


class Captures:
    """What keeps the index equal to the domains' trees; used on the event loop but for what says so."""

    def __init__(
        self,
        settings: Settings,
        index: IndexStore,
        contents: ContentCache,
        record: RecordEvent,
        standing: StandingProblems,
        *,
        moved: Callable[[str], None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        """Build them; `moved(domain)` tells of news in the index or of the root, both callables from any thread."""
        self.states: dict[str, CaptureState] = {}
        self.shapes: dict[str, RootShape | None] = {}
        self._index = index
        self._contents = contents
        self._record = record
        self._standing = standing
        self._moved = moved
        self._on_failure = on_failure
        self._watcher = Watcher(on_failure=on_failure)
        self._events: dict[str, CaptureEvents] = {}
        self.capturers: Mapping[str, Capturer] = {
            domain.name: self._capturer(domain, settings) for domain in settings.domains
        }
        """Replaced as a whole, never changed: other threads read it."""

    def start(self) -> None:
        """Begin to capture."""
        for capturer in self.capturers.values():
            capturer.start()

    def stop(self) -> None:
        """End the threads; blocking."""
        for capturer in self.capturers.values():
            capturer.stop()
        self._watcher.close()

    def end(self) -> None:
        """End the threads while the agent goes on, each behind what it reads; blocking."""
        _end(list(self.capturers.values()))
        self._watcher.close()
        for events in self._events.values():
            events.ended(for_good=True)

    async def flush(self, domains: Collection[str] | None = None) -> None:
        """Return once everything that happened before the call is in the index; of these domains, None: of all.

        Raises UnavailableRootError where a root cannot be read.
        """
        chosen = self.capturers if domains is None else domains
        await asyncio.gather(*(self._flush(name) for name in chosen))

    async def _flush(self, domain: str) -> None:
        while (capturer := self.capturers.get(domain)) is not None:
            try:
                await asyncio.wrap_future(capturer.flush())
            except SyncerError:
                # RACE: the configuration was reloaded meanwhile: whoever captures the domain now can tell.
                if self.capturers.get(domain) is capturer:
                    raise
            else:
                return

    async def reload(self, plan: Plan) -> None:
        """Replace what the plan names; what changes meanwhile is found by the first scan of what begins."""
        before = self.capturers
        ended = {name: before[name] for name in plan.captures.ended}
        begun = {
            domain.name: self._capturer(domain, plan.settings)
            for domain in plan.settings.domains
            if domain.name in plan.captures.begun
        }
        # RACE: who asks for a flush from here on waits for the new one's first scan, not for an answer of the old one.
        self.capturers = {
            domain.name: begun.get(domain.name) or before[domain.name] for domain in plan.settings.domains
        }
        for domain in plan.settings.domains:
            if domain.name in plan.retimed:
                before[domain.name].retime(domain.settle, domain.settle_max, plan.settings.node.rescan)
        # RACE: one domain has one writer in the index: the old one has ended before the new one begins.
        await asyncio.to_thread(_end, list(ended.values()))
        for name in ended:
            self.states.pop(name, None)
            self.shapes.pop(name, None)
            self._events[name].ended(for_good=name not in begun)
        for capturer in begun.values():
            capturer.start()

    def _capturer(self, domain: DomainSettings, settings: Settings) -> Capturer:
        self._events.setdefault(domain.name, CaptureEvents(domain.name, self._record, self._standing))
        return Capturer(
            domain.name,
            domain.path,
            Scope(domain.patterns, protected_paths(settings, domain.path)),
            settle=domain.settle,
            settle_max=domain.settle_max,
            rescan=settings.node.rescan,
            index=self._index,
            watcher=self._watcher,
            contents=self._contents,
            on_head=lambda name, _: self._moved(name),
            on_state=self._on_state,
            on_failure=self._on_failure,
            on_shape=self._on_shape,
        )

    def _on_state(self, domain: str, state: CaptureState) -> None:
        # RACE: called on the capture thread; one assignment, read whole by the loop.
        self.states[domain] = state
        self._events[domain].now(state)
        self._moved(domain)

    def _on_shape(self, domain: str, shape: RootShape | None) -> None:
        # RACE: called on the capture thread; whoever takes a snapshot of the index after this sees it.
        self.shapes[domain] = shape
        self._moved(domain)


def _end(capturers: Collection[Capturer]) -> None:
    for capturer in capturers:
        capturer.stop()
    for capturer in capturers:
        # One that hashes a large file ends behind it.
        if capturer.is_alive():
            capturer.join()
