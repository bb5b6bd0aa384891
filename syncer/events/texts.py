"""The words of a notice: subject, text and HTML, from the operator's templates or the default ones."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from syncer.events.delivery import told
from syncer.events.notice import RECOVERY, TEST, Notice
from syncer.events.templates import Template, TemplateError
from syncer.model import EventValue

SUBJECT_LENGTH = 200
"""Characters of a subject; the rest is in the body."""
_FIRST = ("node", "target", "domain", "peer", "error", "reason")
"""Variables that the default text names first."""
_LONGEST_VALUE = 4000
_KEPT_TEMPLATES = 128
"""Compiled templates that are kept: to compile those of one mail takes some 15 ms of a core."""

_SUBJECT = (
    "{% if recovered %}Over: {% endif %}{% if test %}Test: {% endif %}{{ headline }} on {{ node }}"
    "{% if target is defined and target %} → {{ target }}{% endif %}"
    "{% if domain is defined and domain %} ({{ domain }}){% endif %}"
    "{% if count > 1 and not recovered %}, {{ count }} times{% endif %}"
)
_TEXT = """\
{{ sentence }}

{% for name, value in rows %}{{ name }}: {{ value }}
{% endfor %}{% if subjects | length > 1 %}
Concerns:
{% for subject in subjects %}  {{ subject }}
{% endfor %}{% endif %}{% if cure %}
What to do: {{ cure }}
{% endif %}"""
_HTML = """\
<p><strong>{{ sentence }}</strong></p>
<table>
{% for name, value in rows %}<tr><th align="left" valign="top">{{ name }}</th><td><pre>{{ value }}</pre></td></tr>
{% endfor %}</table>
{% if subjects | length > 1 %}<ul>
{% for subject in subjects %}<li>{{ subject }}</li>
{% endfor %}</ul>
{% endif %}{% if cure %}<p>What to do: {{ cure }}</p>
{% endif %}"""


class Words(NamedTuple):
    """What the operator wrote for a mail; None: the default."""

    subject: str | None = None
    body: str | None = None
    html: str | None = None


class Text(NamedTuple):
    """A rendered notice; `html` is "" where there is none. `trouble`: why a template was not used."""

    subject: str
    body: str
    html: str
    trouble: str = ""


def rendered(notice: Notice, words: Words, constants: Mapping[str, EventValue]) -> Text:
    """Return the notice in words; where a template fails, the default text says so instead of nothing being sent."""
    values = notice.values(constants)
    try:
        return _written(notice, words, values)
    except TemplateError as error:
        trouble = told(f"a template of trigger {notice.trigger} {error}")
        text = _written(notice, Words(), values)
        return text._replace(body=f"{text.body}\n({trouble}: this is the default text.)\n", trouble=trouble)


def _written(notice: Notice, words: Words, values: dict[str, Any]) -> Text:
    full = {**values, "rows": _rows(notice), "sentence": _sentence(notice, values)}
    subject = _template(words.subject if words.subject is not None else _SUBJECT)
    line = one_line(subject.render(full))
    # Who wrote a template without these cases in mind must still be able to tell them apart.
    if notice.kind == RECOVERY and "recovered" not in subject.names:
        line = f"Over: {line}"
    if notice.kind == TEST and "test" not in subject.names:
        line = f"Test: {line}"
    body = _body(notice, words.body, full)
    html = words.html if words.html is not None else (_HTML if words.body is None else "")
    return Text(line[:SUBJECT_LENGTH], body, _template(html, html=True).render(full) if html else "")


@lru_cache(_KEPT_TEMPLATES)
def _template(text: str, *, html: bool = False) -> Template:
    return Template(text, html=html)


def _body(notice: Notice, template: str | None, full: dict[str, Any]) -> str:
    if template is None:
        return _template(_TEXT).render(full)
    own = _template(template)
    body = own.render(full)
    tells = {RECOVERY: "recovered", TEST: "test"}.get(notice.kind, "count")
    if tells not in own.names and (notice.kind in (RECOVERY, TEST) or notice.times > 1):
        body = f"{full['sentence']}\n\n{body}"
    return body


def _sentence(notice: Notice, values: Mapping[str, Any]) -> str:
    if notice.kind == TEST:
        return f"This is a test of trigger {notice.trigger} on {notice.node}: nothing of what follows has happened."
    if notice.kind == RECOVERY:
        what = "the last of them lasted" if len(notice.subjects) > 1 else "it lasted"
        lasted = length_in_words(notice.lasted)
        return f"Over: {values['headline']} on {notice.node}, as told since {values['since']}; {what} {lasted}."
    over = " It is over now." if notice.is_over else ""
    if notice.times == 1:
        return f"{values['headline'].capitalize()} on {notice.node} at {values['since']}.{over}"
    return (
        f"{values['headline'].capitalize()} on {notice.node}, {notice.times} times since {values['since']}; "
        f"the latest is shown.{over}"
    )


def _rows(notice: Notice) -> list[tuple[str, Any]]:
    found = notice.values({})
    names = [*(name for name in _FIRST if name in notice.variables)]
    names += ["exposure", *(name for name in notice.variables if name not in names)]
    return [(name, _short(found[name])) for name in names if found[name] != ""]


def _short(value: Any) -> Any:  # noqa: ANN401  # texts are cut, other values stay as they are
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    if isinstance(value, str) and len(value) > _LONGEST_VALUE:
        return f"{value[:_LONGEST_VALUE]} …"
    return value


def length_in_words(seconds: float) -> str:
    """Return a length of time as a mail says it: "44 s", "12 min", "3 h 5 min"."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 2:
        return f"{60 * minutes + rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def one_line(text: str) -> str:
    """Return `text` as the value of a header can hold it: no line breaks, no control characters."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
