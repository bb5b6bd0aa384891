"""Templates: what is wrong is said when the configuration loads, the sandbox holds, the words are the right ones."""

from __future__ import annotations

import re
from typing import Any

import pytest

from syncer.events.catalogue import CATALOGUE
from syncer.events.cures import cure_of, headline_of
from syncer.events.notice import RECOVERY, TEMPLATE_VARIABLES, TEST, Notice
from syncer.events.samples import sample_notice, sample_variables
from syncer.events.templates import LONGEST, Template, TemplateError
from syncer.events.texts import SUBJECT_LENGTH, Text, Words, length_in_words, rendered
from tests.unit.events.conftest import FAILED, notice

CONSTANTS: dict[str, Any] = {"site": "north"}


def default_text(found: Notice) -> Text:
    return rendered(found, Words(), {})


@pytest.mark.parametrize("event", CATALOGUE)
def test_every_event_has_words_of_its_own(event: str) -> None:
    found = sample_notice("t", event, "prod-a", 0.0)
    text = default_text(found)
    assert text.trouble == ""
    assert text.subject.startswith("Test: ")
    assert headline_of(event, found.variables) != event
    assert "prod-a" in text.body
    for part in (text.subject, text.body, cure_of(event, found.variables)):
        assert "{" not in part


def test_a_notice_survives_the_outbox_and_knows_every_documented_variable() -> None:
    found = notice(variables={**FAILED, "error": "a\udcff"})
    assert Notice.loaded(found.dumped()) == found
    assert TEMPLATE_VARIABLES.keys() <= found.values({}).keys()


def test_the_default_words_say_what_it_stands_for() -> None:
    assert "12 times since 2027-01-15T08:00:00+00:00" in default_text(notice(times=12)).body
    assert "over now" in default_text(notice(times=12, lasting=False)).body
    assert "over now" not in default_text(notice(times=12)).body
    recovery = default_text(notice(kind=RECOVERY, times=12))
    assert recovery.subject == "Over: synchronization failed on prod-a → dr-a (nginx)"
    assert "What to do" not in recovery.body
    several = default_text(notice(subjects=("dr-a, nginx", "dr-b, nginx"))).body
    assert "  dr-a, nginx\n  dr-b, nginx\n" in several


def test_what_is_missing_in_the_operators_words_is_added() -> None:
    words = Words("{{ target }} at {{ site }}", "{{ error }}")
    assert rendered(notice(), words, CONSTANTS)[:3] == ("dr-a at north", FAILED["error"], "")
    assert rendered(notice(kind=RECOVERY), words, CONSTANTS).subject == "Over: dr-a at north"
    assert rendered(notice(kind=RECOVERY), words, CONSTANTS).body.startswith("Over: synchronization failed")
    assert rendered(notice(kind=TEST), words, CONSTANTS).subject == "Test: dr-a at north"
    assert "is a test" in rendered(notice(kind=TEST), words, CONSTANTS).body
    assert "12 times" in rendered(notice(times=12), words, CONSTANTS).body
    own = Words("{{ 'up' if recovered else 'down' }}", "{{ count }}{{ recovered }}")
    assert rendered(notice(kind=RECOVERY, times=12), own, CONSTANTS)[:2] == ("up", "12True")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ targt }}", "names unknown variables (targt): known here are"),
        ("a\n{% if %}", "line 2"),
        ("{{ x", "line 1"),
        ("{% include '/etc/passwd' %}", "names another template (line 1)"),
        ("{% import 'x' as y %}", "names another template"),
        ("{% extends 'x' %}", "names another template"),
        ("x" * (LONGEST + 1), "longer than"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "the sandbox refuses"),
        ("{{ error.__init__.__globals__ }}", "the sandbox refuses"),
        ("{{ error['__class__'] }}", "the sandbox refuses"),
        ("{{ error|attr('__class__') }}", "uses the filter attr"),
        ("{{ '{0.__class__}'.format(error) }}", "the sandbox refuses"),
        ("{{ subjects.append('x') }}", "the sandbox refuses"),
    ],
)
def test_a_wrong_or_hostile_template_is_refused(text: str, said: str) -> None:
    values = {**sample_variables("sync", "n"), **sample_notice("t", "sync", "n", 0.0).values(CONSTANTS)}
    with pytest.raises(TemplateError) as caught:
        Template(text).check(values)
    assert said in str(caught.value)


def test_a_template_that_fails_when_it_is_used_harms_nothing() -> None:
    values = sample_notice("t", "sync", "n", 0.0).values(CONSTANTS)
    for text in ("{{ 1 // (changes - 3) }}", "{{ error.split(':')[1] }}"):
        template = Template(text)
        template.check(values)
        with pytest.raises(TemplateError):
            template.render(values)


def test_values_are_never_templates_and_html_escapes_them() -> None:
    hostile = {**FAILED, "error": "{{ 7 * 7 }}{% raw %}<img src=x onerror=alert(1)>"}
    text = default_text(notice(variables=hostile))
    assert "{{ 7 * 7 }}{% raw %}<img" in text.body
    assert text.html.startswith("<p><strong>Synchronization failed")
    assert "<img" not in text.html
    assert "&lt;img src=x" in text.html


def test_a_subject_is_one_line_and_not_endless() -> None:
    found = rendered(
        notice(variables={**FAILED, "error": "a\r\nBcc: x\0\x1b[31m" + "y" * 1000}), Words("{{ error }}"), {}
    )
    assert found.subject.isprintable()
    assert found.subject.startswith("a Bcc: x")
    assert len(found.subject) == SUBJECT_LENGTH


def test_what_failing_over_would_lose_and_how_long_it_lasted_is_told() -> None:
    sentence = "failing over to dr-a now would lose 3 changes in nginx, the oldest 41 s old"
    text = default_text(notice(exposure=sentence))
    assert f"\nexposure: {sentence}\n" in text.body
    assert f"<pre>{sentence}</pre>" in text.html
    assert "exposure" not in default_text(notice()).body
    over = default_text(notice(kind=RECOVERY, lasted=44.4))
    assert over.body.startswith(
        "Over: synchronization failed on prod-a, as told since 2027-01-15T08:00:00+00:00; it lasted 44 s.\n"
    )
    two = default_text(notice(kind=RECOVERY, lasted=7260.0, subjects=("a", "b")))
    assert "; the last of them lasted 2 h 1 min." in two.body
    assert [length_in_words(seconds) for seconds in (0.2, 119, 120, 3600)] == ["0 s", "119 s", "2 min", "1 h 0 min"]


def test_no_node_is_its_own_peer_in_a_test() -> None:
    for event, definition in CATALOGUE.items():
        for node in ("dr-a", "prod-a", "other", "dr-b"):
            found = sample_variables(event, node)
            assert found["node"] == node
            for name in {"peer", "target"} & definition.variables.keys():
                assert found[name] != node, event
    assert sample_variables("peer.silent", "dr-a")["peer"] == "prod-a"
    assert sample_variables("clock.skewed", "prod-a")["peer"] == "dr-a"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{% for a in range(9) %}{% for b in range(9) %}x{% endfor %}{% endfor %}", "a loop within a loop (line 1)"),
        ("{% for a in range(99999) %}x{% endfor %}", "counts to 1000 at most"),
    ],
)
def test_a_template_that_could_run_for_long_is_refused(text: str, said: str) -> None:
    with pytest.raises(TemplateError, match=re.escape(said)):
        Template(text).render({})


def test_no_more_of_a_text_is_made_than_is_kept() -> None:
    assert len(Template("{% for a in range(1000) %}" + "x" * 1000 + "{% endfor %}").render({})) == LONGEST
