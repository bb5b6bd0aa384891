"""Which of its addresses a target is tried at: the one that answered last, or the next one after each that did not."""

from __future__ import annotations

from syncer.config import FailoverSettings


class Addresses:
    """Chooses for all streams of this node; on the event loop."""

    def __init__(self) -> None:
        self._tried: dict[tuple[str, str], str] = {}
        """What a stream tried last, and has not answered yet."""
        self._answered: dict[str, str] = {}

    def next(self, target: FailoverSettings, domain: str) -> str:
        """Return where a stream is to try its target now; who is at that address, the pinned certificate tells."""
        known = (target.address, *target.further)
        key = target.name, domain
        before, answered = self._tried.get(key), self._answered.get(target.name)
        if before in known:
            chosen = known[(known.index(before) + 1) % len(known)]
        else:
            chosen = answered if answered in known else known[0]
        assert chosen is not None, "one of known"
        self._tried[key] = chosen
        return chosen

    def answered(self, target: str, domain: str) -> None:
        """The target has answered a stream: it is tried there first the next time, by all of them."""
        address = self._tried.pop((target, domain), None)
        if address is not None:
            self._answered[target] = address
            for key in [key for key in self._tried if key[0] == target]:
                del self._tried[key]
