"""What templates may be written with: the part of Jinja that is known to end soon and to stay small (pure)."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from jinja2 import nodes

METHODS = frozenset(
    {
        *("capitalize", "casefold", "count", "endswith", "find", "isalnum", "isalpha", "isascii"),
        *("isdecimal", "isdigit", "islower", "isnumeric", "isprintable", "isspace", "istitle", "isupper"),
        *("join", "lower", "lstrip", "partition", "removeprefix", "removesuffix", "replace", "rfind"),
        *("rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip", "swapcase"),
        *("title", "upper"),
    }
)
"""What may be called of a text."""
LOOP = frozenset(
    {
        *("first", "index", "index0", "last", "length", "nextitem", "previtem", "revindex", "revindex0"),
        *("changed", "cycle"),
    }
)
"""What may be asked of `loop`."""

_TAGS = frozenset({nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Assign, nodes.With})
_VALUES = frozenset(
    {
        *(nodes.Name, nodes.Const, nodes.Tuple, nodes.List, nodes.Dict, nodes.Pair, nodes.Keyword, nodes.CondExpr),
        *(nodes.Filter, nodes.Test, nodes.Call, nodes.Getitem, nodes.Getattr, nodes.Slice, nodes.Concat, nodes.Compare),
        *(nodes.Operand, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Add, nodes.Sub, nodes.Mod, nodes.Pow),
        *(nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Pos),
    }
)
_OTHERS = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
_SPELLED = {
    "AssignBlock": "set … endset",
    "CallBlock": "call",
    "FilterBlock": "filter",
    "NSRef": "namespace",
    "Scope": "autoescape",
    "ScopedEvalContextModifier": "autoescape",
}


def refusals(tree: nodes.Template, filters: Collection[str]) -> Iterator[str]:
    """Yield why a template is not of the known part, each to be read on after its key."""
    for node in tree.find_all(nodes.Node):
        found = _refusal(node, filters)
        if found:
            yield found


def _refusal(node: nodes.Node, filters: Collection[str]) -> str:
    # What Jinja puts around a tag by itself has no line.
    line = f"(line {node.lineno or next((inner.lineno for inner in node.find_all(nodes.Node) if inner.lineno), 1)})"
    if isinstance(node, _OTHERS):
        return f"names another template {line}, and there is none: write it out here"
    if type(node) not in _TAGS | _VALUES:
        name = type(node).__name__
        return f"uses {_SPELLED.get(name, name.lower())} {line}: templates here know if, for, set and with only"
    if isinstance(node, nodes.For):
        inner = next(iter(node.find_all(nodes.For)), None)
        if inner is not None or node.recursive:
            where = line if inner is None else f"(line {inner.lineno})"
            return f"has a loop within a loop {where}: write it with one"
    if isinstance(node, nodes.Filter) and node.name not in filters:
        return f"uses the filter {node.name} {line}: known here are {', '.join(sorted(filters))}"
    if isinstance(node, nodes.Getattr) and node.attr not in METHODS | LOOP:
        return f"does what the sandbox refuses {_asks_for(node)}"
    if isinstance(node, nodes.Call) and not _is_known(node.node):
        return f"calls what is no method of a text {line}: use filters, or range"
    if isinstance(node, nodes.Div | nodes.FloorDiv) and isinstance(node.right, nodes.Const) and node.right.value == 0:
        return f"divides by zero {line}: correct it there"
    return ""


def _asks_for(node: nodes.Getattr) -> str:
    return f"(line {node.lineno}: .{node.attr}): of a text it may use {', '.join(sorted(METHODS))}"


def _is_known(called: nodes.Node) -> bool:
    # Which attributes there are to call is looked at by itself.
    return isinstance(called, nodes.Getattr) or (isinstance(called, nodes.Name) and called.name == "range")
