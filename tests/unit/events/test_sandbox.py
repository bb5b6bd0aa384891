"""The sandbox: no template makes much of little, runs for long, or reaches what it was not given."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from syncer.events.samples import sample_notice
from syncer.events.sandbox import MOST_WORK, known_filters
from syncer.events.template_syntax import METHODS
from syncer.events.templates import LONGEST, Template, TemplateError

VALUES: dict[str, Any] = {**sample_notice("t", "sync", "n", 0.0).values({"site": "north"}), "long": "y<&x" * 15000}

GROWS = "makes more than 65536 characters"
WIDE = "to more than 1000 columns"
BITS = "more than 128 bits"
WORK = f"more than {MOST_WORK} values and characters"
METHOD = "the sandbox refuses"
DEEP = "nested too deeply"
TOO_MUCH = [
    ("{{ 'x' * 3000000000 }}", GROWS),
    ("{{ 3000000000 * 'x' }}", GROWS),
    ("{{ [1] * 10 ** 10 }}", GROWS),
    ("{{ (1,) * 10 ** 10 }}", GROWS),
    ("{{ 10 ** 10 ** 10 }}", BITS),
    ("{{ (10 ** 30) ** 30 }}", BITS),
    ("{{ ('f' * 60000) | int(0, 16) }}", BITS),
    ("{{ 9" + "9" * 5000 + " }}", "too much for Python"),
    ("{{ 'x'.ljust(10 ** 9) }}", METHOD),
    ("{{ 'x'.rjust(10 ** 9) }}", METHOD),
    ("{{ 'x'.center(10 ** 9) }}", METHOD),
    ("{{ 'x'.zfill(10 ** 9) }}", METHOD),
    ("{{ 'x'['zfill'](10 ** 9) }}", "calls what is no method"),
    ("{{ '\t'.expandtabs(10 ** 9) }}", METHOD),
    ("{{ '{:1000000000}'.format(1) }}", METHOD),
    ("{{ '{a:1000000000}'.format_map({'a': 1}) }}", METHOD),
    ("{{ (3).to_bytes(10 ** 9, 'big') }}", METHOD),
    ("{{ '%1000000000d' % 1 }}", WIDE),
    ("{{ '%000000001000000000d' % 1 }}", WIDE),
    ("{{ '%.1000000000f' % 1.5 }}", WIDE),
    ("{{ '%.00000000001000000000f' % 1.5 }}", WIDE),
    ("{{ '%*d' % (1000000000, 1) }}", "computed widths"),
    ("{{ '%(a)1000000000d' % {'a': 1} }}", "formats with names"),
    ("{{ '%((a))1000000000d' % {'(a)': 1} }}", "formats with names"),
    ("{{ '%-1000000000s' | format(1) }}", WIDE),
    ("{{ '%r%r' | format(long, long) }}", GROWS),
    ("{{ 'x' | center(10 ** 9) }}", WIDE),
    ("{{ 'x' | indent(10 ** 9) }}", WIDE),
    ("{{ 'x\n' | indent(10 ** 9, true) }}", WIDE),
    ("{{ long | indent(long) }}", WIDE),
    ("{{ 5 | round(-1000000000) }}", "to more than 30 decimals"),
    ("{{ range(1000) | join(long) }}", GROWS),
    ("{{ long.join(long) }}", GROWS),
    ("{{ long | replace('', long) }}", GROWS),
    ("{{ long.replace('y', long) }}", GROWS),
    ("{{ long | replace('&', long) }}", GROWS),
    ("{{ range(10 ** 9) | list }}", "counts to 1000 at most"),
    ("{{ range(10 ** 30) }}", "counts to 1000 at most"),
    ("{% set a = long %}" + "{% set a = a ~ a %}" * 40, GROWS),
    ("{% set a = long %}" + "{% set a = a + a %}" * 40, GROWS),
    ("{% set a = [1] %}" + "{% set a = [a, a] %}" * 60, WORK),
    ("{% set a = {} %}" + "{% set a = {1: a, 2: a} %}" * 60, WORK),
    ("{{ " + " ~ ".join(["long"] * 100) + " }}", WORK),
    ("{{ [" + ",".join(["long"] * 100) + "] | join }}", WORK),
    ("{% for c in range(1000) %}{% if long in long ~ c %}{% endif %}{% endfor %}", WORK),
    ("{% for c in long %}{% if 1 == 2 or 3 == 4 or 5 == 6 or 7 == 8 or 9 == 0 %}{% endif %}{% endfor %}", WORK),
    ("{{ " + "(" * 300 + "1" + ")" * 300 + " }}", DEEP),
    ("{{ " + " + ".join(["1"] * 1500) + " }}", DEEP),
    ("{{ 1" + " | e" * 1500 + " }}", DEEP),
    ("{% if 1 %}" * 150 + "{% endif %}" * 150, "too much for Python"),
    ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "uses macro (line 1)"),
    ("\n{% block a %}{{ self.a() }}{% endblock %}", "uses block (line 2)"),
    ("{% filter upper %}x{% endfilter %}", "uses filter"),
    ("{% set a %}x{% endset %}", "uses set … endset"),
    ("{% for a in long recursive %}{{ loop(a) }}{% endfor %}", "a loop within a loop"),
    ("{{ lipsum(10 ** 9) }}", "calls what is no method"),
    ("{% set f = error.upper %}{{ f() }}", "calls what is no method"),
    ("{{ [1] | slice(10 ** 9) }}", "the filter slice (line 1)"),
    ("{{ [1] | batch(10 ** 9, 1) }}", "the filter batch"),
    ("{{ [1] | map('center', 10 ** 9) | list }}", "the filter map"),
    ("{{ {} | tojson(indent=10 ** 9) }}", "the filter tojson"),
]
"""Templates that would take all memory, or for ever, each with what is said instead."""


@pytest.mark.parametrize("html", [False, True])
@pytest.mark.parametrize(("text", "said"), TOO_MUCH, ids=[text[:40] for text, _ in TOO_MUCH])
def test_a_template_that_makes_much_of_little_is_refused_when_it_is_checked(text: str, said: str, html: bool) -> None:
    with pytest.raises(TemplateError) as caught:
        Template(text, html=html).check(VALUES)
    assert said in str(caught.value)


def test_refusing_costs_neither_memory_nor_time() -> None:
    """All of them in a process that is given 400 MiB and 60 s of a processor."""
    program = (
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (60, 60))\n"
        "from syncer.events.templates import Template, TemplateError\n"
        "from tests.unit.events.test_sandbox import TOO_MUCH, VALUES\n"
        "for text, _ in TOO_MUCH:\n"
        "    try:\n"
        "        Template(text).render(VALUES)\n"
        "    except TemplateError as error:\n"
        "        assert 'MemoryError' not in str(error), text\n"
        "    else:\n"
        "        raise AssertionError(text)\n"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("name", ["upper", "replace", "join", "split"])
def test_the_known_methods_do_what_they_do_elsewhere(name: str) -> None:
    arguments = {"upper": (), "replace": ("a", "bc"), "join": (["x", "y"],), "split": ("a",)}[name]
    written = ", ".join(map(repr, arguments))
    assert name in METHODS
    assert Template(f"{{{{ text.{name}({written}) }}}}").render({"text": "banana"}) == str(
        getattr("banana", name)(*arguments)
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{ '%-12s|%5.1f%%' % (domain, seconds) }}", "nginx       |  1.5%"),
        ("{{ '%s: %d' | format(target, changes) }}", "dr-a: 3"),
        ("{{ seconds * 1000 }} {{ changes ** 2 }} {{ changes % 2 }} {{ '=' * 5 }}", "1500.0 9 1 ====="),
        ("{{ [3, 1, 2] | sort(reverse=true) | join(', ') }}", "3, 2, 1"),
        ("{{ ['b', 'B', 'a'] | unique | sort | join }}{{ [1, 3] | max }}{{ [1, 3] | min }}", "ab31"),
        ("{{ [1, 2, 3] | reverse | join }}", "321"),
        ("{{ 'a\nb' | indent(2) }}", "a\n  b"),
        ("{{ 'ab' | center(6) }}", "  ab  "),
        ("{{ 2.345 | round(1) }}{{ 2.5 | round(0, 'ceil') | int }}", "2.33"),
        ("{{ missing | default('none') }}", "none"),
        ("{% for a in range(3) %}{{ loop.index }}{{ loop.cycle('a', 'b') }}{% endfor %}", "1a2b3a"),
        ("{% with a = 1 %}{{ a }}{% endwith %}{% set b = 2 %}{{ b }}", "12"),
        ("{{ error[:3] }}{{ 'x' if changes > 2 else 'y' }}{{ 'am' in error }}", "exaxTrue"),
        ("{{ (4 * 1024) | filesizeformat }}", "4.1 kB"),
    ],
)
def test_what_a_mail_needs_works_as_in_jinja(text: str, shown: str) -> None:
    assert Template(text).render(VALUES) == shown


def test_filters_that_a_template_knows_do_not_choose_by_attributes() -> None:
    for name in ("sort", "unique", "max", "min"):
        assert name in known_filters()
        for call in (f"{name}(attribute='0.0')", f"{name}(false, false, '0.0')"):
            with pytest.raises(TemplateError, match="takes no attribute"):
                Template(f"{{{{ error | {call} }}}}").render(VALUES)


def test_the_documentation_names_what_templates_know() -> None:
    text = (Path(__file__).parents[3] / "docs" / "events.md").read_text("utf-8")
    said = text.partition("Of Jinja they have")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([a-z]+)`", said))
    assert named == {*known_filters(), *METHODS, "if", "for", "set", "with", "range"}


def test_html_is_html_and_only_values_are_escaped() -> None:
    template = Template(
        "<p class='a'>{{ value }}</p>{% if value %}<b>{{ value | replace('<', '<i>') }}</b>{% endif %}", html=True
    )
    assert template.render({"value": "<&"}) == "<p class='a'>&lt;&amp;</p><b>&lt;i&gt;&amp;</b>"
    assert Template("{{ value | join('<br>') }}", html=True).render({"value": ["<", ">"]}) == "&lt;&lt;br&gt;&gt;"
    for text in ("{{ value | safe }}", "{% autoescape false %}{{ value }}{% endautoescape %}"):
        with pytest.raises(TemplateError, match=r"safe|autoescape"):
            Template(text, html=True)


def test_a_value_that_is_too_long_is_cut_before_the_template_sees_it() -> None:
    assert Template("{{ value | length }}").render({"value": "x" * (3 * LONGEST)}) == str(LONGEST)


def test_dividing_by_a_zero_that_is_written_there_is_refused() -> None:
    for text in ("\n{{ 1 / 0 }}", "\n{{ changes // 0.0 }}"):
        with pytest.raises(TemplateError, match=r"divides by zero \(line 2\)"):
            Template(text)
