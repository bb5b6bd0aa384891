"""Templates of mails, in a sandbox: checked when the configuration loads, rendered with values that nobody trusts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

LONGEST = 65536
"""Characters of a template, and of what is made of one."""
MOST_TURNS = 1000
"""Numbers that `range` counts in a template; loops are not nested, so that none runs for long."""


class TemplateError(ValueError):
    """A template is none, or could not be rendered; the message reads on after the key."""


class Template:
    """One template: text, or HTML, in which every value is escaped."""

    def __init__(self, text: str, *, html: bool = False) -> None:
        """Compile `text`. Raises TemplateError with the line."""
        import jinja2
        from jinja2 import meta, nodes

        if len(text) > LONGEST:
            raise TemplateError(f"is longer than {LONGEST} characters: write a shorter template")
        environment = _environment(html=html)
        try:
            tree = environment.parse(text)
            self._compiled = environment.from_string(text)
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(
                f"is not a template in Jinja's syntax (line {error.lineno}: {error.message}): correct it there"
            ) from None
        for node in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
            raise TemplateError(f"names another template (line {node.lineno}), and there is none: write it out here")
        for loop in tree.find_all(nodes.For):
            inner = next(iter(loop.find_all(nodes.For)), None)
            if inner is not None:
                raise TemplateError(f"has a loop within a loop (line {inner.lineno}): write it with one")
        self.names = frozenset(meta.find_undeclared_variables(tree))
        """The variables that it names."""

    def check(self, values: Mapping[str, Any]) -> None:
        """Make sure that it names known variables only, and nothing that the sandbox refuses. Raises TemplateError."""
        import jinja2
        from jinja2.exceptions import SecurityError

        unknown = sorted(self.names - values.keys())
        if unknown:
            raise TemplateError(f"names unknown variables ({', '.join(unknown)}): known here are {', '.join(values)}")
        try:
            self._rendered(values)
        except SecurityError as error:
            raise TemplateError(f"does what the sandbox refuses ({error}): use variables and filters only") from None
        except jinja2.TemplateError:
            # Made for other values than the samples: where it fails for real ones, the default text is sent.
            return
        except Exception:  # noqa: BLE001  # as above: a template may fail in any way that Python knows
            return

    def render(self, values: Mapping[str, Any]) -> str:
        """Return the text for these values. Raises TemplateError, whatever a template manages to do."""
        try:
            return self._rendered(values)
        except Exception as error:  # the template's own fault, of any type
            raise TemplateError(f"cannot be rendered ({type(error).__name__}: {error})"[:300]) from error

    def _rendered(self, values: Mapping[str, Any]) -> str:
        """Return the beginning of the text, no more of it than is kept: a template could make any amount."""
        text = ""
        for piece in self._compiled.generate(values):
            text += piece
            if len(text) >= LONGEST:
                break
        return text[:LONGEST]


def _few(*bounds: int) -> range:
    """Count as `range` does, but not for long. Raises OverflowError."""
    counted = range(*bounds)
    if len(counted) > MOST_TURNS:
        raise OverflowError(f"a template counts to {MOST_TURNS} at most")
    return counted


@cache
def _environment(*, html: bool) -> ImmutableSandboxedEnvironment:
    # Late: nothing but mails needs it.
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined, autoescape=html)
    environment.globals["range"] = _few
    return environment
