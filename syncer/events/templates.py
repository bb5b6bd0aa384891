"""Templates of mails, in a sandbox: checked when the configuration loads, rendered with values that nobody trusts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template as Compiled

LONGEST = 65536
"""Characters of a template, of a value that it is given, and of what is made of one."""
MOST_SAID = 600
"""Characters of an error."""


class TemplateError(ValueError):
    """A template is none, or could not be rendered; the message reads on after the key."""


class Template:
    """One template: text, or HTML, in which every value is escaped."""

    def __init__(self, text: str, *, html: bool = False) -> None:
        """Compile `text`. Raises TemplateError with the line."""
        if len(text) > LONGEST:
            raise TemplateError(f"is longer than {LONGEST} characters: write a shorter template")
        try:
            self.names, self._compiled = _understood(text, html=html)
        except RecursionError:
            raise TemplateError("is nested too deeply: make it simpler") from None
        except (SyntaxError, ValueError, MemoryError, OverflowError) as error:
            # Python's own limits, of numbers and of how deep its code may be nested.
            reason = (
                str(error) if isinstance(error, TemplateError) else f"is too much for Python ({error}): make it simpler"
            )
            raise TemplateError(reason[:MOST_SAID]) from None

    def check(self, values: Mapping[str, Any]) -> None:
        """Make sure that it names known variables only, and nothing that the sandbox refuses. Raises TemplateError."""
        from jinja2.exceptions import SecurityError

        from syncer.events.sandbox import TooMuchError

        unknown = sorted(self.names - values.keys())
        if unknown:
            raise TemplateError(f"names unknown variables ({', '.join(unknown)}): known here are {', '.join(values)}")
        try:
            self._rendered(values)
        except TooMuchError as error:
            raise TemplateError(str(error)) from None
        except SecurityError as error:
            raise TemplateError(f"does what the sandbox refuses ({error}): use variables and filters only") from None
        except Exception:  # noqa: BLE001  # of any type
            # Made for other values than the samples: where it fails for real ones, the default text is sent.
            return

    def render(self, values: Mapping[str, Any]) -> str:
        """Return the text for these values. Raises TemplateError, whatever a template manages to do."""
        try:
            return self._rendered(values)
        except Exception as error:  # the template's own fault, of any type
            raise TemplateError(f"cannot be rendered ({type(error).__name__}: {error})"[:MOST_SAID]) from error

    def _rendered(self, values: Mapping[str, Any]) -> str:
        """Return the beginning of the text, no more of it than is kept: a template could make any amount."""
        given = {name: value[:LONGEST] if isinstance(value, str) else value for name, value in values.items()}
        pieces: list[str] = []
        length = 0
        for piece in self._compiled.generate(given):
            pieces.append(piece)
            length += len(piece)
            if length >= LONGEST:
                break
        # Joined, not added: what is escaped already would have what stands before it escaped again.
        return "".join(pieces)[:LONGEST]


def _understood(text: str, *, html: bool) -> tuple[frozenset[str], Compiled]:
    """Return the variables that it names, and what renders it. Raises TemplateError, and what Python's limits raise."""
    # Late: nothing but mails needs it.
    import jinja2
    from jinja2 import meta

    from syncer.events.sandbox import known_filters, metered, sandbox
    from syncer.events.template_syntax import refusals

    environment = sandbox(html=html)
    try:
        tree = environment.parse(text)
        for refusal in refusals(tree, known_filters()):
            raise TemplateError(refusal)
        # Metered first: to look for variables, Jinja computes in advance what has none.
        tree = metered(tree)
        return frozenset(meta.find_undeclared_variables(tree)), environment.from_string(tree)
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(
            f"is not a template in Jinja's syntax (line {error.lineno}: {error.message}): correct it there"
        ) from None
