"""Whether and why a path is synchronized, and where it is on the way to each target."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from syncer.admin.documents import entry_document
from syncer.admin.places import domain_of
from syncer.admin.rendering import origin_document, rendering_document
from syncer.capture.ignore import Scope
from syncer.capture.keep_local import KeepLocal
from syncer.config import DomainSettings
from syncer.errors import ConfigurationError
from syncer.model import Known, shown
from syncer.node.protected import protected_paths
from syncer.replicate.sender import Sender

if TYPE_CHECKING:
    from syncer.node.agent import Node


def explain(node: Node, path: str) -> dict[str, Any]:
    """Return what is known of an absolute path, as docs/json.md describes it; blocking."""
    absolute = os.path.abspath(os.fsencode(path))
    domain = domain_of(node.settings, absolute)
    if domain is None:
        roots = ", ".join(str(item.path) for item in node.settings.domains)
        return _answer(path, None, False, f"lies in none of the configured domains ({roots})")
    relative = _relative(absolute, domain)
    scope = Scope(domain.patterns, protected_paths(node.settings, domain.path))
    is_directory = os.path.isdir(absolute) and not os.path.islink(absolute)
    wanted = scope.wants(relative, is_directory)
    answer = _answer(path, domain.name, wanted, scope.explain(relative, is_directory))
    production = node.production
    if production is None:
        pattern = KeepLocal(domain.keep_local).pattern_of(relative, is_directory)
        if wanted and pattern is not None:
            why = f"the keep_local pattern {pattern!r} matches it: it is this node's own, whatever arrives"
            answer |= {"synchronized": False, "reason": why}
        destination = node.failover.destinations.get(domain.name) if node.failover else None
        known = destination.known(relative) if destination else None
        return answer | {"entry": _entry(known), "origin": origin_document(known)}
    known = production.index.get(domain.name, relative)
    seq = production.index.seq_of(domain.name, relative)
    state = production.states.get(domain.name)
    problems = state.problems if state is not None else ()
    problem = next((item.reason for item in problems if item.path == relative), None)
    return answer | {
        "entry": _entry(known),
        "problem": problem,
        "last_change_seq": seq,
        "targets": [
            _on_the_way(sender, seq) | {"rendering": rendering_document(sender.stream, absolute, relative, known)}
            for (_, name), sender in production.senders.items()
            if name == domain.name
        ],
    }


def _relative(absolute: bytes, domain: DomainSettings) -> bytes:
    relative = os.path.relpath(absolute, os.fsencode(domain.path))
    if relative.startswith(b"../"):
        raise ConfigurationError(f"{shown(absolute)} leaves the domain {domain.name}")
    return b"" if relative == b"." else relative


def _answer(path: str, domain: str | None, wanted: bool, reason: str) -> dict[str, Any]:
    return {
        "path": path,
        "domain": domain,
        "synchronized": wanted,
        "reason": reason,
        "entry": None,
        "origin": None,
        "problem": None,
        "targets": [],
        "last_change_seq": None,
        "exit_code": 0,
    }


def _entry(known: Known | None) -> dict[str, Any] | None:
    return None if known is None else {**entry_document(known.entry), "note": known.entry.note}


def _on_the_way(sender: Sender, seq: int | None) -> dict[str, Any]:
    view = sender.view()
    cursor = view.progress.cursor
    if seq is None or cursor is None:
        state = "not sent"
    elif cursor.seq >= seq and not view.progress.trusted:
        # Under other rules or patterns, say: whether this path differs is known once all of them are compared.
        state = "not compared"
    elif cursor.seq >= seq:
        state = "acknowledged"
    else:
        state = "in flight" if view.progress.connected else "waiting"
    return {
        "name": sender.stream.target,
        "state": state,
        "seq": seq,
        "cursor_seq": cursor.seq if cursor else None,
        "reason": view.decision.reason,
    }
