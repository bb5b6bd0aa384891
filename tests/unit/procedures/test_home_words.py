"""What a peer says of what it has is checked in form and in order; wishes and choices are checked before they count."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, cast

import pytest

from syncer.errors import (
    ConfigurationError,
    PeerProtocolError,
    PeerRejectedError,
    PlanError,
    RefusedError,
    UnreachableError,
)
from syncer.model import Change, Entry, Head, Kind, Mode, Term
from syncer.pb import procedures_pb2 as pb
from syncer.procedures import home_messages as h
from syncer.procedures import messages as m
from syncer.procedures.client import PeerCaller
from syncer.procedures.comparison import Compared, Difference, Other, Side, State, What
from syncer.procedures.home_client import MOST_ENTRIES, HomeCaller
from syncer.procedures.home_plan import Policy, Take, decide
from syncer.procedures.home_wishes import chosen_paths, prefer_of, wishes_of
from syncer.procedures.pulled import Pulled
from syncer.procedures.wire import home as words
from syncer.replicate.wire.transaction import change_out

NODE = "0d8cbb3e-0a4f-4a44-8a6e-3f5f4f1f2a11"
SPEAKER = m.Speaker(NODE, "b", Term(2, NODE), Mode.PRODUCTION)
HEAD = h.OthersHead(Head("i", "r", 7), False, 3)
SAID = b"x" * 32


def file(path: bytes, digest: bytes = SAID) -> Entry:
    return Entry(path, Kind.FILE, 0o644, 0, 0, "root", "root", 1, 3, digest, b"")


def other(path: bytes) -> Other:
    return Other(file(path), True)


class Said:
    """A peer that says what it likes."""

    def __init__(self, *events: Any) -> None:
        self._events = events

    async def speak(self) -> m.Speaker:
        return SPEAKER

    async def events(self, *_: Any) -> AsyncGenerator[Any, None]:
        for event in self._events:
            yield event
        raise UnreachableError("it ended")

    async def answer(self, *_: Any) -> Any:
        return self._events[0]


def caller(*events: Any) -> HomeCaller:
    return HomeCaller(cast(PeerCaller, Said(*events)), "a")


async def taken(*events: Any) -> list[bytes]:
    """Return what is taken of a peer's word, on a thread as a comparison takes it."""
    pulled = Pulled("tree", caller(*events).others(h.OthersRequest("tree", None)))
    await pulled.head()
    return await asyncio.to_thread(lambda: [one.entry.path for one in pulled.others()])


PART, END = h.OthersPart, h.OthersPart(end=True)


def test_what_a_peer_has_is_taken_piece_by_piece_with_signs_of_life_between() -> None:
    found = asyncio.run(taken(PART(), PART(HEAD), PART(), PART(None, (other(b"a"), other(b"b"))), PART(), END))
    assert found == [b"a", b"b"]


@pytest.mark.parametrize(
    ("events", "words_said", "kind"),
    [
        ([PART(None, (other(b"a"),)), PART(HEAD), END], "out of order", PeerProtocolError),
        ([PART(HEAD), PART(HEAD), END], "out of order", PeerProtocolError),
        ([PART(HEAD), PART(None, (other(b"b"), other(b"a"))), END], "out of order", PeerProtocolError),
        ([PART(HEAD), PART(None, (other(b"a"),)), PART(None, (other(b"a"),)), END], "out of order", PeerProtocolError),
        ([PART(HEAD), PART(None, tuple(other(b"%d" % n) for n in range(4))), END], "announced", PeerProtocolError),
        ([PART(HEAD._replace(entries=MOST_ENTRIES + 1)), END], "at most", PeerProtocolError),
        ([END], "nothing", PeerProtocolError),
        ([PART(HEAD), PART(None, (other(b"a"),))], "it ended", UnreachableError),
        ([m.Refusal(m.Why.IMPOSSIBLE, "not you")], "not you", RefusedError),
        ([m.Refusal(m.Why.STALE_TERM, "too low")], "too low", PeerRejectedError),
        ([PART(HEAD), m.Refusal(m.Why.STALE_TERM, "too low")], "too low", PeerRejectedError),
    ],
)
def test_what_breaks_the_order_of_what_a_peer_has_is_refused(
    events: list[Any], words_said: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind, match=words_said):
        asyncio.run(taken(*events))


def test_signs_of_life_alone_do_not_hold_a_comparison_for_ever() -> None:
    async def work() -> None:
        asked = HomeCaller(cast(PeerCaller, Said(PART(HEAD), PART(), END)), "a", seconds=0.0)
        with pytest.raises(UnreachableError, match="did not tell within 0 s what it has of tree"):
            _ = [part async for part in asked.others(h.OthersRequest("tree", None))]

    asyncio.run(work())


def test_whoever_gives_up_ends_the_thread_that_compares() -> None:
    async def work() -> None:
        never = asyncio.Event()

        async def parts() -> AsyncGenerator[h.OthersPart, None]:
            yield h.OthersPart(HEAD)
            await never.wait()

        pulled = Pulled("tree", parts())
        await pulled.head()
        working = asyncio.create_task(asyncio.to_thread(lambda: list(pulled.others())))
        await asyncio.sleep(0)
        pulled.stop()
        with pytest.raises(UnreachableError):
            await working

    asyncio.run(work())


def spoilt(change: Callable[[pb.Other], None]) -> bytes:
    event = pb.OthersEvent.FromString(words.encode_others(SPEAKER, h.OthersPart(None, (other(b"a"),))))
    change(event.others[0])
    return event.SerializeToString()


def deleted(found: pb.Other) -> None:
    found.entry.CopyFrom(change_out(Change(0, b"a", None)))


def outside(found: pb.Other) -> None:
    found.entry.path = b"../etc/passwd"


def without_digest(found: pb.Other) -> None:
    found.entry.digest = b""


def enormous(found: pb.Other) -> None:
    found.entry.size = 1 << 63


@pytest.mark.parametrize("change", [deleted, outside, without_digest, enormous])
def test_an_entry_that_cannot_be_is_refused(change: Callable[[pb.Other], None]) -> None:
    assert words.decode_others(spoilt(lambda found: None))[1] == h.OthersPart(None, (other(b"a"),))
    with pytest.raises(PeerProtocolError):
        words.decode_others(spoilt(change))


def test_messages_are_bounded_in_entries_bytes_and_lines() -> None:
    sizes = [len(piece) for piece in words.others_at_once(other(b"%06d" % number) for number in range(5000))]
    assert sum(sizes) == 5000
    assert max(sizes) <= words.OTHERS_AT_ONCE
    large = Other(file(b"a")._replace(attributes=b"x" * words.BYTES_AT_ONCE), True)
    assert [len(piece) for piece in words.others_at_once(iter([large] * 3))] == [1, 1, 1]
    many = h.OthersPart(None, (other(b"a"),) * (words.OTHERS_MAX + 1))
    with pytest.raises(PeerProtocolError, match="more entries"):
        words.decode_others(words.encode_others(SPEAKER, many))
    lines = h.PlanLines(("x",) * (words.LINES_MAX + 1))
    with pytest.raises(PeerProtocolError, match="more lines"):
        words.decode_compared(words.encode_compared(SPEAKER, lines))
    assert [len(piece) for piece in words.lines_at_once(iter(["x" * words.BYTES_AT_ONCE] * 2))] == [1, 1]
    for decode in (words.decode_others, words.decode_compared, words.decode_begun, words.decode_begin):
        with pytest.raises(PeerProtocolError):
            decode(b"\xff\xff")


@pytest.mark.parametrize(
    "document",
    [
        {"policy": "mine"},
        {"policy": ["merge"]},
        {"prefer": ["a"]},
        {"prefer": {"tree": {"a": ["here"]}}},
        {"prefer": {"tree": {"a": "nowhere"}}},
        {"prefer": {"tree": {"../a": "here"}}},
        {"prefer": {"tree": {"\ud800": "here"}}},
        {"expect": {"tree": "00"}},
        {"expect": {"tree": 5}},
        {"expect": "all"},
    ],
)
def test_wishes_that_are_none_are_refused(document: dict[str, Any]) -> None:
    with pytest.raises(PlanError):
        wishes_of(document)


EDITED = Side(What.EDITED, Kind.FILE, 1)


def conflict(path: bytes) -> Difference:
    return Difference(path, State.CONFLICT, EDITED, EDITED)


def test_a_choice_for_a_path_goes_before_one_for_all_below_and_the_nearest_directory_counts() -> None:
    compared = Compared([conflict(b"a/b/c"), conflict(b"a/b/d"), conflict(b"a/e"), conflict(b"f")])
    prefer = {"a/": Take.HERE, "a/b/": Take.THERE, "a/b/c": Take.HERE}
    found = chosen_paths(prefer, "tree", compared)
    assert found == {b"a/b/c": Take.HERE, b"a/b/d": Take.THERE, b"a/e": Take.HERE}
    assert len(chosen_paths({"./": Take.HERE}, "tree", compared)) == 4
    with pytest.raises(PlanError, match="nothing below"):
        chosen_paths({"g/": Take.HERE}, "tree", compared)


def test_choices_are_typed_with_or_without_a_domain_by_side_or_by_the_name_of_a_node() -> None:
    assert prefer_of(["a=b=here", "tree:c/=old"], ["tree"], "new", "old") == {"tree": {"a=b": "here", "c/": "there"}}
    assert prefer_of(["x:y=new"], ["tree"], "new", "old") == {"tree": {"x:y": "here"}}
    for text, domains, said in (
        ("a", ["tree"], "write .DOMAIN:.PATH=new or =old"),
        ("a=other", ["tree"], "write .DOMAIN:.PATH=new or =old"),
        ("=here", ["tree"], "write .DOMAIN:.PATH=new or =old"),
        ("a=here", ["tree", "etc"], "it does not say of which domain: begin with one of etc:, tree:"),
        ("foo:a=here", ["tree", "etc"], "there is no domain 'foo': begin with one of etc:, tree:"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            prefer_of([text], domains, "new", "old")


def test_what_was_never_sent_stays_with_its_directories_or_goes_where_they_are_another_thing_now() -> None:
    gone = Side(What.DELETED, None, 0)
    never = Difference(b"d/x", State.NEVER_SENT, None, Side(What.CREATED, Kind.FILE, 1))
    compared = Compared([Difference(b"d", State.HERE, gone, None), never, Difference(b"d/y", State.HERE, gone, None)])
    plan = decide("tree", compared, Policy.SERVING, {}, b"")
    assert [item.take for item in plan.items] == [Take.THERE, Take.THERE, Take.HERE]
    replaced = Difference(b"d", State.HERE, Side(What.KIND, Kind.FILE, 1), None)
    plan = decide("tree", Compared([replaced, never]), Policy.SERVING, {}, b"")
    assert [item.take for item in plan.items] == [Take.HERE, Take.HERE]
