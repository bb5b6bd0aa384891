"""Whether two rules can meet in one file, and whether a rule applies wherever two others meet."""

from __future__ import annotations

from itertools import takewhile

from syncer.substitution.rule import EVERYWHERE, Scope

_WILDCARDS = frozenset("*?[\\")


def in_domain(scope: Scope, domain: str) -> bool:
    """Tell whether a rule of this scope can apply in `domain`."""
    return (not scope.domains or domain in scope.domains) and domain not in scope.except_domains


def meet(first: Scope, second: Scope) -> bool:
    """Tell whether one file may be in both scopes; where patterns leave it open, it may.

    They are apart where no domain is in both, where their patterns begin with different directories, and where one
    leaves out, by the same pattern or a directory above it, what the other names.
    """
    return _share_domain(first, second) and not _apart(first, second)


def covers(scope: Scope, first: Scope, second: Scope) -> bool:
    """Tell whether `scope` holds every file that is both in `first` and in `second`; in doubt it does not."""
    paths = (scope.paths, scope.except_paths)
    everywhere = paths == (EVERYWHERE, ())
    if not everywhere and paths not in ((first.paths, first.except_paths), (second.paths, second.except_paths)):
        return False
    named = first.domains or second.domains
    if named:
        return all(in_domain(scope, name) for name in named if in_domain(first, name) and in_domain(second, name))
    left_out = {*first.except_domains, *second.except_domains}
    return not scope.domains and left_out.issuperset(scope.except_domains)


def _share_domain(first: Scope, second: Scope) -> bool:
    named = first.domains or second.domains
    # Two scopes that name none share any domain that a configuration may have yet.
    return not named or any(in_domain(first, name) and in_domain(second, name) for name in named)


def _apart(first: Scope, second: Scope) -> bool:
    """Tell whether the patterns alone keep both scopes apart."""
    if first.paths == second.paths == EVERYWHERE and not first.except_paths and not second.except_paths:
        return False
    lines = (*first.paths, *first.except_paths, *second.paths, *second.except_paths)
    # No pattern at all is a flaw of its own, which is to hide no other.
    if not first.paths or not second.paths:
        return False
    # What a negated pattern brings back depends on the order: too clever to be proved.
    if any(line.startswith("!") for line in lines):
        return False
    ours = [line for line in first.paths if not _left_out(line, second.except_paths)]
    theirs = [line for line in second.paths if not _left_out(line, first.except_paths)]
    return all(_diverge(one, other) for one in ours for other in theirs)


def _left_out(line: str, excepted: tuple[str, ...]) -> bool:
    return any(line == other or _above(other, line) for other in excepted)


def _above(excepted: str, line: str) -> bool:
    """Tell whether all files that `line` matches lie below a directory, or are a file, that `excepted` names."""
    text = excepted.rstrip()
    if "/" not in text[:-1]:
        return False
    names = text.strip("/").split("/")
    only_below = text.endswith("/") or names[-1] == "**"
    if names[-1] == "**":
        names.pop()
    if any(_WILDCARDS.intersection(name) for name in names):
        return False
    pattern = line.rstrip()
    is_below = pattern.endswith("/") or len(pattern.strip("/").split("/")) > len(names)
    return _literal(line)[: len(names)] == names and (is_below or not only_below)


def _diverge(one: str, other: str) -> bool:
    """Tell whether two patterns begin with different directories or names."""
    return any(first != second for first, second in zip(_literal(one), _literal(other), strict=False))


def _literal(line: str) -> list[str]:
    """Return the names that a pattern begins with up to the first wildcard; [] where it may match at any depth."""
    text = line.rstrip()
    # Git: a pattern without a slash before its end matches in every directory.
    if "/" not in text[:-1]:
        return []
    names = text.strip("/").split("/")
    return list(takewhile(lambda name: not _WILDCARDS.intersection(name), names))
