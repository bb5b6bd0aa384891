"""How a homecoming is to be decided, as procedures and commands carry it: checked, and turned to paths (pure)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from syncer.errors import ConfigurationError, PlanError
from syncer.model import path_flaw, shown
from syncer.procedures.comparison import Compared
from syncer.procedures.home_plan import FINGERPRINT_SIZE, Plan, Policy, Take


class HomeWishes(NamedTuple):
    """What is wished for."""

    policy: Policy = Policy.SERVING
    prefer: Mapping[str, Mapping[str, Take]] = {}
    """Domain → path as shown → whose state stays; with a "/" at its end, of all below it, too."""
    expect: Mapping[str, bytes] | None = None
    """Domain → fingerprint of what was compared before; None: whatever stands now."""
    decided: bool = False
    """No path may be left that waits for a person."""
    unseen: bool = False
    """Nobody was asked: more than a few deletions are refused."""


def wishes_of(document: Mapping[str, Any]) -> HomeWishes:
    """Return the wishes in a document, which may be a peer's word. Raises PlanError."""
    policy = document.get("policy", Policy.SERVING.value)
    if not isinstance(policy, str) or policy not in {item.value for item in Policy}:
        raise PlanError(f"{policy!a} is no policy: choose of {', '.join(item.value for item in Policy)}")
    prefer = {domain: _choices(found) for domain, found in _mapping(document.get("prefer"), "prefer").items()}
    expect = document.get("expect")
    expected = None
    if expect is not None:
        expected = {domain: _fingerprint(found) for domain, found in _mapping(expect, "expect").items()}
    decided = document.get("decided") is True or Policy(policy) is Policy.MERGE
    return HomeWishes(Policy(policy), prefer, expected, decided, document.get("unseen") is True)


def chosen_paths(prefer: Mapping[str, Take], domain: str, compared: Compared) -> dict[bytes, Take]:
    """Return the choices by path: those for a path alone go before those for all below a directory."""
    alone: dict[bytes, Take] = {}
    below: dict[bytes, Take] = {}
    for text, take in prefer.items():
        is_tree = text.endswith("/")
        path = _path(text.rstrip("/") or ".")
        if not is_tree:
            alone[path] = take
            continue
        found = [one.path for one in compared.differences if is_below(one.path, path)]
        if not found:
            raise PlanError(f"nothing below {text!a} of domain {domain} differs: name paths that stand in the plan")
        # The nearest directory that was named counts.
        below.update({one: take for one in found if _is_nearest(one, path, prefer)})
    return {**below, **alone}


def is_below(path: bytes, directory: bytes) -> bool:
    """Tell whether a path is a directory or lies below it."""
    return not directory or path == directory or path.startswith(directory + b"/")


def _is_nearest(path: bytes, directory: bytes, prefer: Mapping[str, Take]) -> bool:
    trees = (_path(text.rstrip("/") or ".") for text in prefer if text.endswith("/"))
    return not any(len(tree) > len(directory) and is_below(path, tree) for tree in trees)


def _choices(found: object) -> dict[str, Take]:
    takes = {item.value: item for item in Take}
    choices = {}
    for text, said in _mapping(found, "prefer").items():
        if not isinstance(said, str) or said not in takes:
            raise PlanError(f"{said!a} is no choice for {text!a}: here or there")
        _path(text.rstrip("/") or ".")
        choices[text] = takes[said]
    return choices


def _path(text: str) -> bytes:
    try:
        path = b"" if text == "." else text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise PlanError(f"{text!a} is no path") from error
    flaw = path_flaw(path)
    if flaw is not None:
        raise PlanError(f"the path {shown(path[:256])!a} {flaw}")
    return path


def _fingerprint(found: object) -> bytes:
    try:
        digest = bytes.fromhex(found) if isinstance(found, str) else b""
    except ValueError:
        digest = b""
    if len(digest) != FINGERPRINT_SIZE:
        raise PlanError("a fingerprint of a plan is none")
    return digest


def _mapping(found: object, what: str) -> Mapping[str, Any]:
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise PlanError(f"{what} is no object")
    return found


def prefer_of(said: Sequence[str], domains: Collection[str], here: str, there: str) -> dict[str, dict[str, str]]:
    """Return the choices that a person typed as [DOMAIN:]PATH=here|there|NODE, by domain. Raises ConfigurationError.

    `here` and `there` are the names of the nodes. Without a domain, the only one is meant.
    """
    takes = {Take.HERE.value: Take.HERE.value, Take.THERE.value: Take.THERE.value}
    takes |= {here: Take.HERE.value, there: Take.THERE.value}
    found: dict[str, dict[str, str]] = {}
    for text in said:
        path, _, side = text.rpartition("=")
        if not path or side not in takes:
            raise ConfigurationError(
                f"--prefer {text!a}: write [DOMAIN:]PATH={here} or ={there}; =here is {here}, which serves, and =there "
                f"{there}"
            )
        domain, colon, rest = path.partition(":")
        if colon and rest and domain in domains:
            path = rest
        elif len(domains) == 1:
            [domain] = domains
        else:
            unknown = f"there is no domain {domain!a}" if colon and rest else "it does not say of which domain"
            names = ", ".join(f"{name}:" for name in sorted(domains))
            raise ConfigurationError(f"--prefer {text!a}: {unknown}: begin with one of {names}")
        found.setdefault(domain, {})[path] = takes[side]
    return found


def deviations(given: Plan, fresh: Plan) -> dict[str, dict[str, str]]:
    """Return what people have decided in a plan otherwise than it is decided by itself, by domain and path."""
    found: dict[str, dict[str, str]] = {}
    for ours, now in zip(given.domains, fresh.domains, strict=True):
        for item, default in zip(ours.items, now.items, strict=True):
            if item.take is not None and item.take is not default.take:
                found.setdefault(ours.domain, {})[shown(item.difference.path)] = item.take.value
    return found
