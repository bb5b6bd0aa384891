"""How one node asks another about its homecoming, each answer checked in form and in order."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from syncer.errors import PeerProtocolError, PeerRejectedError, Reason, RefusedError, UnreachableError
from syncer.procedures import home_messages as h
from syncer.procedures import messages as m
from syncer.procedures.client import PeerCaller
from syncer.procedures.wire import home as words

MOST_LINES = 8_000_000
"""Of a plan that a peer sends; all of its paths differ then."""
MOST_ENTRIES = 50_000_000
"""Of a domain that a peer tells of."""
MOST_SECONDS = 2 * 3600.0
"""For which a peer may tell what it has of a domain; a million paths take a minute or two."""


class HomeCaller:
    """Calls to one paired node; each raises as PeerCaller's, PeerRejectedError where it refuses."""

    def __init__(self, caller: PeerCaller, name: str, seconds: float = MOST_SECONDS) -> None:
        """Ask through `caller`, whose node errors call `name`; it has `seconds` to tell what it has of a domain."""
        self._caller = caller
        self._name = name
        self._seconds = seconds

    async def others(self, request: h.OthersRequest) -> AsyncGenerator[h.OthersPart, None]:
        """Yield what the peer has of a domain, piece by piece: one head first, one end last."""
        data = words.encode_others_request(await self._caller.speak(), request)
        what = f"what it has of {request.domain}"
        has_begun, entries, announced = False, 0, 0
        ends = time.monotonic() + self._seconds
        async with contextlib.aclosing(self._caller.events("Others", data, words.decode_others, what)) as events:
            async for event in events:
                part = self._accepted(event)
                if (part.head is None and part.others and not has_begun) or (part.head is not None and has_begun):
                    raise PeerProtocolError(f"{self._name} told out of order what it has of {request.domain}")
                has_begun = has_begun or part.head is not None
                entries += len(part.others)
                if part.head is not None:
                    announced = part.head.entries
                if announced > MOST_ENTRIES:
                    held = f"{announced:,} entries of {request.domain}"
                    raise PeerProtocolError(f"{self._name} has {held}, and at most {MOST_ENTRIES:,} are taken")
                # Whoever shows signs of life and tells nothing would keep every other homecoming waiting.
                if not part.end and time.monotonic() >= ends:
                    raise UnreachableError(
                        f"{self._name} did not tell within {self._seconds:g} s {what}: see how busy it is"
                    )
                if has_begun and entries > announced:
                    raise PeerProtocolError(f"{self._name} sent more of {request.domain} than it had announced")
                yield part
                if part.end:
                    if not has_begun:
                        raise PeerProtocolError(f"{self._name} said nothing of {request.domain}")
                    return

    async def compare(
        self, wishes: Mapping[str, Any], told: Callable[[m.Progress], None] = lambda progress: None
    ) -> list[str]:
        """Return the lines of the plan that the serving node would carry out."""
        data = words.encode_compare_request(await self._caller.speak(), h.Wishes(wishes))
        lines: list[str] = []
        async with contextlib.aclosing(self._caller.events("Compare", data, words.decode_compared, "it")) as events:
            async for event in events:
                if isinstance(event, m.Progress):
                    told(event)
                    continue
                part = self._accepted(event)
                lines.extend(part.lines)
                if len(lines) > MOST_LINES:
                    raise PeerProtocolError(f"{self._name} sent a plan that has no end")
                if part.end:
                    break
        return lines

    async def begin(self, kind: str, parameters: Mapping[str, Any]) -> str:
        """Have the peer lead a procedure; returns its id."""
        data = words.encode_begin(await self._caller.speak(), h.BeginWish(kind, parameters))
        answer = await self._caller.answer("Begin", data, words.decode_begun)
        return str(self._accepted(answer).procedure)

    async def close(self) -> None:
        """Close the channel."""
        await self._caller.close()

    def _accepted(self, answer: Any) -> Any:  # noqa: ANN401 - what the decoders return, less a refusal
        if not isinstance(answer, m.Refusal):
            return answer
        if answer.why is m.Why.IMPOSSIBLE:
            raise RefusedError(f"{self._name}: {answer.message}")
        raise PeerRejectedError(f"{self._name} refused: {answer.message}", Reason.UNSPECIFIED)
