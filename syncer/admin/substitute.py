"""`syncer substitute`: what the rules make of files, by the configuration; and on failover what they are at home."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import blake3

from syncer.admin.places import domain_of, place_of
from syncer.admin.preview import LISTED, empty_document, read_whole, replacements_of, with_result
from syncer.capture.ignore import Scope
from syncer.config import FailoverSettings, Settings
from syncer.errors import ConfigurationError, PreviewError, SyncerError
from syncer.model import Kind, Known
from syncer.replicate.way_back import WayBack
from syncer.substitution.attribution import Place, unlimited
from syncer.substitution.mapping import Mapping
from syncer.substitution.preview import Replaced, preview
from syncer.substitution.rule import Rule
from syncer.substitution.rules import RulesError, RuleSet

if TYPE_CHECKING:
    from syncer.node.agent import Node

_OUTSIDE = "it lies in no domain: rules that are limited to domains or paths are left out"


def outward(settings: Settings, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return what the configured rules make of files for each target, or with `reverse` their inverse; blocking.

    Needs neither the agent nor its state: it shows the rules as they stand in the file, also before they are in
    force. Raises ConfigurationError.
    """
    targets = _targets(settings, arguments.get("target"))
    files = []
    for name in arguments["paths"]:
        path = os.fsencode(name)
        files += _for_targets(settings, path, targets, arguments)
    return {"mode": "production", "files": files, "exit_code": 1 if any(item["problem"] for item in files) else 0}


def homeward(node: Node, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return what files of a failover node are on production, told by this node alone; blocking.

    On production there is nothing to tell: the command line has the rules itself.
    """
    if node.production is not None:
        return {"mode": "production", "files": [], "exit_code": 0}
    files = [_home(node, os.fsencode(name), arguments) for name in arguments["paths"]]
    code = 1 if any(item["problem"] for item in files) else 0
    return {"mode": node.mode.value, "files": files, "exit_code": code}


def _targets(settings: Settings, name: str | None) -> list[FailoverSettings]:
    known = [target.name for target in settings.failover]
    if name is not None and name not in known:
        raise ConfigurationError(f"there is no target {name!a} (configured: {', '.join(known) or 'none'})")
    if not known:
        raise ConfigurationError(
            "no [[failover]] table is configured, so that there are no rules: on failover, ask with --reverse"
        )
    return [target for target in settings.failover if name in (None, target.name)]


def _for_targets(
    settings: Settings, path: bytes, targets: list[FailoverSettings], arguments: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return one document for all targets that the file becomes the same for."""
    place = place_of(settings, path)
    receiving = [target for target in targets if not place.domain or place.domain in target.domains]
    names = [target.name for target in receiving or targets]
    if not receiving:
        problem = f"lies in domain {place.domain}, which {' and '.join(names)} does not receive"
        return [empty_document(path, place, names) | {"problem": problem}]
    try:
        data = read_whole(path)
    except PreviewError as error:
        return [empty_document(path, place, names) | {"problem": str(error)}]
    reason = _reason(settings, path, place)
    found: list[dict[str, Any]] = []
    for target in receiving:
        document = _by_rules(path, place, target, data, arguments) | {"reason": reason}
        same = next((item for item in found if item | {"targets": []} == document | {"targets": []}), None)
        if same is None:
            found.append(document)
        else:
            same["targets"].append(target.name)
    return found


def _by_rules(
    path: bytes, place: Place, target: FailoverSettings, data: bytes, arguments: dict[str, Any]
) -> dict[str, Any]:
    is_back = bool(arguments.get("reverse"))
    rules = target.rules.inverse() if is_back else target.rules
    applying = rules if place.domain else unlimited(rules)
    document = empty_document(path, place, [target.name]) | {"way": "inverse" if is_back else "rendered"}
    return _rendered(document, place, applying, data, arguments)


def _rendered(
    document: dict[str, Any], place: Place, rules: RuleSet, data: bytes, arguments: dict[str, Any]
) -> dict[str, Any]:
    mapping = rules.for_path(place.domain, place.path) or Mapping()
    try:
        made = preview(data, mapping)
    except SyncerError as error:
        return document | {"problem": f"is not rendered: {error}"}
    replaced = replacements_of(made.replaced[:LISTED], place, rules.rules)
    document |= {
        "replacements": replaced,
        "replacements_total": len(made.replaced),
        "undo_record": bool(made.report.undo),
        "left_alone": made.report.left_alone,
        "unended_line": made.unended_line,
    }
    name = str(document["path"])
    return with_result(document, data, made.rendered, (name, f"{name} (substituted)"), arguments)


def _reason(settings: Settings, path: bytes, place: Place) -> str:
    """Say what is special about the file's place; "" where nothing is."""
    domain = domain_of(settings, path)
    if domain is None:
        return _OUTSIDE
    scope = Scope(domain.patterns)
    if not scope.wants(place.path, is_directory=False):
        return f"it is not synchronized: {scope.explain(place.path, is_directory=False)}"
    if os.path.islink(path):
        return "it is a symbolic link, and links are not substituted: this is the file that it leads to"
    return ""


def _home(node: Node, path: bytes, arguments: dict[str, Any]) -> dict[str, Any]:
    place = place_of(node.settings, path)
    document = empty_document(path, place, [])
    try:
        data = read_whole(path)
        if not place.domain:
            rules = unlimited(_all_received(node)).inverse()
            return _rendered(document | {"way": "inverse", "reason": _OUTSIDE}, place, rules, data, arguments)
        assert node.failover is not None, "every node has that side"
        known = node.failover.destinations[place.domain].known(place.path)
        return _from_base(WayBack(node.store, place.domain), known, document, place, data, arguments)
    except SyncerError as error:
        return document | {"problem": str(error)}


def _from_base(
    back: WayBack,
    known: Known | None,
    document: dict[str, Any],
    place: Place,
    data: bytes,
    arguments: dict[str, Any],
) -> dict[str, Any]:
    if known is None or known.entry.kind is not Kind.FILE:
        reason = "production never had this file"
        return _rendered(
            document | {"way": "inverse", "reason": reason}, place, back.rules().inverse(), data, arguments
        )
    entry = known.entry
    edited = blake3.blake3(data).digest() != entry.digest
    home = back.of(entry, (data,), edited=edited)
    after = b"".join(home.pieces)
    document |= {"undo_record": back.has_undo(entry), "needs_person": home.needs_person}
    if edited:
        document |= {"way": "inverse", "reason": "it was edited here since it was applied"}
        mapping = back.rules().for_path(place.domain, place.path) or Mapping()
        replaced = preview(data, mapping.inverse()).replaced
        rules: tuple[Rule, ...] = back.rules().inverse().rules
    elif entry.origin:
        document |= {"way": "restored", "reason": "it is as it was applied: this is production's file byte for byte"}
        replaced = _turned(preview(after, back.mapping(entry)).replaced)
        rules = back.rules().inverse().rules
    else:
        document |= {"way": "same", "reason": "it is as it was applied, and substitution had changed nothing in it"}
        replaced, rules = (), ()
    document |= {
        "replacements": replacements_of(replaced[:LISTED], place, rules),
        "replacements_total": len(replaced),
    }
    name = str(document["path"])
    return with_result(document, data, after, (name, f"{name} (production)"), arguments)


def _turned(replaced: tuple[Replaced, ...]) -> tuple[Replaced, ...]:
    return tuple(Replaced(item.line, item.after, item.before) for item in replaced)


def _all_received(node: Node) -> RuleSet:
    """Return the rules of all domains that hold for any file; raises PreviewError where they contradict."""
    found = [rule for domain in node.settings.domains for rule in WayBack(node.store, domain.name).rules().rules]
    try:
        return RuleSet.of(dict.fromkeys(found))
    except RulesError as error:
        raise PreviewError(
            "lies in no domain, and the rules of the domains do not fit together: give a file that lies in one"
        ) from error
