"""The sandbox of templates: whatever one asks for, it ends soon and stays small (pure).

What a template may be written with is a list of what is known to be harmless (template_syntax). Whatever is computed
is metered: each value counts by its size, and a rendering that has used up its measure ends. What makes much of
little (`*`, `**`, formats, paddings, replacing, joining) is bounded before it is computed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from typing import Any, cast

from jinja2 import Environment, StrictUndefined, Undefined, nodes, pass_context, pass_environment, pass_eval_context
from jinja2.filters import FILTERS
from jinja2.nodes import EvalContext
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from syncer.events.template_syntax import LOOP, METHODS
from syncer.events.templates import LONGEST

MOST_WORK = 1_000_000
"""Values and characters that one rendering may compute: about a second of a slow machine."""
MOST_TURNS = 1000
"""Numbers that `range` counts in a template."""
WIDEST = 1000
"""Columns that a template may pad or indent to."""
MOST_BITS = 128
"""Of a whole number."""
MOST_DIGITS = 30
"""Decimals that a template may round to."""

_SOME = 8 * LONGEST
"""Characters that may come into being before the meter sees that they are too many."""
_METER = "metered"
_UNMETERED = (nodes.TemplateData, nodes.Slice)


class TooMuchError(Exception):
    """A template would make or compute more than it may; the message reads on after its key."""


class Metered(Context):
    """What one rendering knows, and how much it has computed."""

    work = 0

    def spend(self, amount: int) -> None:
        """Count `amount`. Raises TooMuchError."""
        self.work += amount
        if self.work > MOST_WORK:
            raise TooMuchError(f"computes more than {MOST_WORK} values and characters: make it simpler")


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja with the known filters and methods, and nothing else."""

    context_class = Metered
    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401  # as Jinja has it
        """Compute what could make much of little, once it is known to stay small. Raises TooMuchError."""
        if operator == "*":
            _check_product(left, right)
        elif operator == "**":
            _check_power(left, right)
        elif isinstance(left, str):
            _check_format(left)
        return super().call_binop(context, operator, left, right)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:  # noqa: ANN401  # as Jinja has it
        """Tell whether a template may have it: methods of texts, and what `loop` knows."""
        allowed = METHODS if isinstance(obj, str) else LOOP if isinstance(obj, LoopContext) else frozenset()
        return attr in allowed and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:  # noqa: ANN401  # as Jinja has it
        """Bound the methods that make much of little; `format` is none of those that may be called."""
        owner, name = getattr(value, "__self__", None), getattr(value, "__name__", "")
        if isinstance(owner, str) and name == "replace":
            return partial(_replaced, owner)
        if isinstance(owner, str) and name == "join":
            return partial(_joined, owner)
        return None


@cache
def sandbox(*, html: bool) -> Sandbox:
    """Return the environment of templates for text, or for HTML, where every value is escaped."""
    found = Sandbox(undefined=StrictUndefined, autoescape=html)
    found.globals.clear()
    found.globals["range"] = _counted
    found.filters.clear()
    found.filters.update(known_filters())
    found.filters[_METER] = _metered
    return found


def known_filters() -> dict[str, Callable[..., Any]]:
    """Return the filters that templates may use."""
    plain = (
        "abs capitalize count d default e escape filesizeformat first float forceescape int last length list lower "
        "reverse string title trim truncate upper urlencode wordcount"
    )
    bounded = {"center": _center, "format": _format, "indent": _indent, "join": _join, "replace": _replace}
    whole = {name: _without_attributes(name) for name in ("max", "min", "sort", "unique")}
    return {**{name: FILTERS[name] for name in plain.split()}, **bounded, **whole, "round": _round}


class _Metering(NodeTransformer):
    """Has every value metered as it is computed; so nothing is computed in advance either."""

    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # as Jinja has it
        self.generic_visit(node, *args, **kwargs)
        is_stored = getattr(node, "ctx", "load") != "load"
        if not isinstance(node, nodes.Expr) or isinstance(node, _UNMETERED) or is_stored:
            return node
        return nodes.Filter(node, _METER, [], [], None, None, lineno=node.lineno)


def metered(tree: nodes.Template) -> nodes.Template:
    """Return the template with its metering; it is changed."""
    return cast("nodes.Template", _Metering().visit(tree))


@pass_context
def _metered(context: Context, value: Any) -> Any:  # noqa: ANN401  # any value of a template
    """Return the value, counted and found to be small enough. Raises TooMuchError."""
    assert isinstance(context, Metered), "the sandbox makes no other"
    if isinstance(value, Undefined):
        return value
    if isinstance(value, Iterator) and not isinstance(value, LoopContext):
        # Made on demand, it would escape the meter.
        value = list(value)
    context.spend(_size(value))
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        raise TooMuchError(f"makes a whole number of more than {MOST_BITS} bits: make it smaller")
    if isinstance(value, str | list | tuple) and len(value) > LONGEST:
        raise _too_long()
    return value


def _size(value: Any) -> int:  # noqa: ANN401  # any value of a template
    """Return how many values and characters it holds, counted no further than is allowed at all."""
    found = 0
    left = [value]
    while left and found <= MOST_WORK:
        item = left.pop()
        found += 1
        if isinstance(item, str):
            found += len(item)
        elif isinstance(item, list | tuple):
            left.extend(item)
        elif isinstance(item, dict):
            left.extend(item)
            left.extend(item.values())
    return found


def _too_long() -> TooMuchError:
    return TooMuchError(f"makes more than {LONGEST} characters or items: make it shorter")


def _too_wide() -> TooMuchError:
    return TooMuchError(f"pads or indents to more than {WIDEST} columns: write a smaller number")


def _check_product(left: Any, right: Any) -> None:  # noqa: ANN401  # any values of a template
    for text, times in ((left, right), (right, left)):
        if isinstance(text, str | list | tuple) and isinstance(times, int) and len(text) * times > LONGEST:
            raise _too_long()


def _check_power(left: Any, right: Any) -> None:  # noqa: ANN401  # any values of a template
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() * abs(right) > 2 * MOST_BITS:
        raise TooMuchError(f"makes a whole number of more than {MOST_BITS} bits: make it smaller")


_CONVERSION = re.compile(r"%[-#0 +]*(\*|[0-9]*)(?:\.(\*|[0-9]*))?[hlL]?(.?)", re.DOTALL)
"""One conversion as Python reads it, but for names in brackets: those could repeat a value."""


def _check_format(form: str) -> None:
    for width, decimals, kind in _CONVERSION.findall(form):
        if kind == "(" or "*" in (width, decimals):
            raise TooMuchError("formats with names or computed widths: write the values in their order, widths as such")
        if any(int(digits.lstrip("0")[:9] or 0) > WIDEST for digits in (width, decimals)):
            raise _too_wide()


def _counted(*bounds: int) -> range:
    """Count as `range` does, but not for long. Raises TooMuchError."""
    found = range(*bounds)
    # Not its length: that may be more than Python can say.
    if found[MOST_TURNS:]:
        raise TooMuchError(f"counts to more than {MOST_TURNS}: a template counts to {MOST_TURNS} at most")
    return found


def _replaced(text: str, old: str, new: str, count: int = -1) -> str:
    _check_replacing(text, old, new)
    return text.replace(old, new, count)


def _check_replacing(text: str, old: str, new: str) -> None:
    if len(text) + text.count(old) * len(new) > _SOME:
        raise _too_long()


def _joined(between: str, parts: Iterable[Any]) -> str:
    found = list(parts)
    if len(found) * len(between) > _SOME:
        raise _too_long()
    return between.join(found)


@pass_eval_context
def _replace(context: EvalContext, value: Any, old: Any, new: Any, count: int | None = None) -> str:  # noqa: ANN401
    text = FILTERS["escape"](value) if context.autoescape else str(value)
    _check_replacing(text, str(old), str(new))
    return cast("str", FILTERS["replace"](context, value, old, new, count))


@pass_eval_context
def _join(context: EvalContext, value: Iterable[Any], between: Any = "") -> str:  # noqa: ANN401  # any value of a template
    found = list(value)
    if len(found) * len(str(between)) > _SOME:
        raise _too_long()
    return cast("str", FILTERS["join"](context, found, between))


def _format(form: Any, *values: Any) -> str:  # noqa: ANN401  # any values of a template
    _check_format(str(form))
    return cast("str", FILTERS["format"](form, *values))


def _center(value: Any, width: int = 80) -> str:  # noqa: ANN401  # any value of a template
    if width > WIDEST:
        raise _too_wide()
    return cast("str", FILTERS["center"](value, width))


def _indent(value: Any, width: Any = 4, first: Any = False, blank: Any = False) -> str:  # noqa: ANN401  # as Jinja has it
    columns = len(width) if isinstance(width, str) else int(width)
    if columns > WIDEST:
        raise _too_wide()
    if len(value) + (len(value.splitlines()) + 1) * columns > _SOME:
        raise _too_long()
    return cast("str", FILTERS["indent"](value, width, first, blank))


def _round(value: float, precision: int = 0, method: Any = "common") -> float:  # noqa: ANN401  # as Jinja has it
    if abs(precision) > MOST_DIGITS:
        raise TooMuchError(f"rounds to more than {MOST_DIGITS} decimals: write a smaller number")
    return cast("float", FILTERS["round"](value, precision, method))


def _without_attributes(name: str) -> Callable[..., Any]:
    """Return the filter without its parameter `attribute`, which could name a long way for each of many items."""

    @pass_environment
    def chosen(environment: Environment, value: Any, *options: Any, **named: Any) -> Any:  # noqa: ANN401  # any values
        if "attribute" in named or len(options) > (2 if name == "sort" else 1):
            raise TypeError(f"the filter {name} takes no attribute here")
        return FILTERS[name](environment, value, *options, **named)

    return chosen
