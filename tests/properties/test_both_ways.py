"""Whatever rules rendered a text: other rules lead from it to its rendering and back, with what is written down."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from syncer.substitution.both_ways import both_ways
from syncer.substitution.mapping import Mapping
from syncer.substitution.rewrite import restore, rewrite
from syncer.substitution.rules import Rule, RuleSet

SETS = [
    [Rule("10.0.1.10", "10.0.2.10")],
    [Rule("10.0.1.10", "10.0.2.10", swap=True)],
    [Rule("prod.example.com", "DR-A.Example.com"), Rule("10.1.0.0/16", "10.2.0.0/16")],
    [Rule("2001:db8:1::10", "2001:db8:2::10"), Rule("10.0.1.10", "10.0.1.111")],
]
MAPPINGS = [mapping for rules in SETS if (mapping := RuleSet.of(rules).for_path("d", b"f")) is not None]
TOKENS = [
    "10.0.1.10", "10.0.2.10", "10.0.1.111", "10.1.2.3", "10.2.2.3", "prod.example.com", "Dr-a.example.COM",
    "2001:DB8:0001::10", "[::ffff:10.0.1.10]", " ", "\n", "-", "word", "\u00f6", "\0",
]  # fmt: skip  # a few a line
texts = st.lists(st.sampled_from(TOKENS), max_size=12).map("".join)
encoded = st.builds(str.encode, texts, st.sampled_from(["utf-8", "utf-16"]))


@given(
    encoded, st.sampled_from(MAPPINGS), st.sampled_from([*MAPPINGS, *(one.inverse() for one in MAPPINGS), Mapping()])
)
def test_the_records_lead_there_and_back(source: bytes, made_by: Mapping, other: Mapping) -> None:
    rendered, report = rewrite(source, made_by)
    found = both_ways(rendered, made_by, report.undo, other)
    assert found.source == source
    assert restore(source, other, found.undo) == rendered
    again = rewrite(rendered, other)[0]
    if not found.redo:
        assert again == source
    elif other.inverse().inverse() == other:
        assert restore(rendered, other.inverse(), found.redo) == source


@given(encoded, st.sampled_from(MAPPINGS))
def test_the_inverse_needs_no_more_than_rendering_once_more(source: bytes, made_by: Mapping) -> None:
    rendered, report = rewrite(source, made_by)
    if made_by.inverse().inverse() == made_by:
        # So that what stands as it was applied goes home unread.
        assert restore(source, made_by.inverse(), b"") == rendered
        assert both_ways(rendered, made_by, report.undo, made_by.inverse()).undo == b""
