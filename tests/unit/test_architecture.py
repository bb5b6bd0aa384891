"""Holds the shape of the code: imports point one way, pure modules stay pure, files stay small."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "syncer"

LEVELS = [
    [
        "model",
        "errors",
        "summary",
        "access_list",
        "attributes",
        "migrations",
        "origin",
        "observations",
        "patterns",
        "redaction",
        "pb",
        "__init__",
    ],
    # The configuration proves its rules as it loads.
    ["substitution"],
    ["config", "files", "state"],
    ["capture", "index", "apply", "trust", "events"],
    ["replicate", "services"],
    ["procedures", "status", "drift", "doctor", "leftovers", "health", "drill", "backup"],
    # admin sits beside node, demo beside cli: both drive a whole node.
    ["node", "admin"],
    ["cli", "demo", "__main__"],
]
"""From low to high; a room imports lower levels only, and of its own level nothing but itself."""

SIBLINGS = {
    ("errors", "model"): "both are the words of the system",
    ("summary", "model"): "it digests entries",
    ("patterns", "errors"): "a pattern that cannot be understood is an error",
    ("attributes", "access_list"): "access lists are attributes",
    ("origin", "model"): "it holds digests",
    ("doctor", "leftovers"): "the doctor tells what still stands",
    ("status", "procedures"): "a status shows the procedure that runs",
    ("drill", "procedures"): "it reports as the preconditions do",
    ("node", "admin"): "the composition root starts the admin service",
    ("status", "drift"): "a status shows the drift",
    ("status", "node"): "a type only: the status is a view of the whole node",
    ("admin", "node"): "without an agent, a command runs on the node itself",
    ("cli", "demo"): "the demo is a command",
    ("demo", "cli"): "the demo prints as the commands do",
    ("config", "events"): "triggers are proved as the configuration loads: see PROVED_WITH",
    ("__main__", "cli"): "it starts the command line",
}
"""Imports within a level that are allowed, each with its reason."""

PROVED_WITH = ["catalogue", "conditions", "notice", "samples", "states", "templates"]
"""What config may import of events: they know neither the configuration nor any I/O."""

PURE = [
    "events.catalogue",
    "events.conditions",
    "events.cures",
    "events.definition",
    "events.freeze_events",
    "events.home_events",
    "events.delivery",
    "events.memory",
    "events.notice",
    "events.samples",
    "events.sandbox",
    "events.states",
    "events.template_syntax",
    "events.templates",
    "events.texts",
    "events.triggers",
    "model",
    "summary",
    "access_list",
    "attributes",
    "origin",
    "patterns",
    "capture.ignore",
    "capture.settle",
    "capture.keep_local",
    "capture.pace",
    "index.diff",
    "apply.groups",
    "replicate.groupings",
    "replicate.brake",
    "replicate.pauses",
    "replicate.progress",
    "replicate.failures",
    "replicate.fencing",
    "replicate.streak",
    "replicate.lag",
    "events.standing",
    "replicate.drifted",
    "replicate.compare",
    "replicate.link_numbers",
    "procedures.comparison",
    "procedures.home_plan",
    "procedures.plan_file",
    "procedures.switching",
    "procedures.homecoming",
    "procedures.home_wishes",
    "substitution.both_ways",
    "replicate.shape",
    "replicate.causes",
    "health.catalogue",
    "health.answers",
    "health.pulse",
    "health.readiness",
    "health.request",
    "health.samples",
    "redaction",
    "services.lifecycle",
    "config.changes",
    "procedures.freezing",
    "doctor.local_databases",
    "doctor.local_hosts",
    "doctor.key_context",
    "node.reload_plan",
    "apply.retention",
    "apply.rollback",
    "doctor.findings",
    "doctor.references.reference",
    "doctor.references.nginx",
    "doctor.references.haproxy",
    "doctor.references.apache",
    "doctor.references.systemd",
    "doctor.references.formats",
    "substitution.mapping",
    "substitution.rule",
    "substitution.parse",
    "substitution.scope",
    "substitution.proof",
    "substitution.canonical",
    "substitution.encoding",
    "substitution.selection",
    "substitution.normal",
    "substitution.chains",
    "substitution.rules",
    "substitution.tokens",
    "substitution.spelling",
    "substitution.literals",
    "substitution.matcher",
    "substitution.scanner",
    "substitution.encoding",
    "substitution.passage",
    "substitution.reversal",
    "substitution.undo",
    "substitution.rewrite",
    "substitution.finder",
    "substitution.attribution",
    "substitution.preview",
    "procedures.steps",
    "procedures.sequence",
    "procedures.messages",
    "procedures.readiness",
    "procedures.preconditions",
    "drill.report",
    "procedures.kinds",
    "leftovers.needles",
    "leftovers.certificates",
    "leftovers.search",
    "leftovers.report",
    "leftovers.findings",
]
IMPURE = {"os", "time", "grpc", "sqlite3", "socket", "subprocess", "threading", "asyncio"}

MOST_FILE_LINES = 400
MOST_FUNCTION_LINES = 60
VAGUE_NAMES = ("utils", "util", "manager", "helper", "helpers", "common", "misc")


def module_of(file: Path) -> str:
    """Return the module name of `file` without the leading "syncer."."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


FILES = [file for file in sorted(PACKAGE.rglob("*.py")) if "pb" not in file.relative_to(PACKAGE).parts]
MODULES = {module_of(file): file for file in FILES}


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_bytes(), str(file))


def imports_of(file: Path) -> Iterator[tuple[str, int]]:
    """Yield the full name of each imported module or member, with its line."""
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: a relative import"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def room_of(module: str) -> str:
    return module.partition(".")[0]


def level_of(room: str) -> int:
    for number, rooms in enumerate(LEVELS):
        if room in rooms:
            return number
    raise AssertionError(f"syncer.{room} has no level: add it to LEVELS")


def wrong_direction(importer: str, imported: str) -> bool:
    """Tell whether one room may not import another."""
    if importer == imported or (importer, imported) in SIBLINGS:
        return False
    return level_of(imported) >= level_of(importer)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module: str) -> None:
    for name, line in imports_of(MODULES[module]):
        if not name.startswith("syncer."):
            continue
        imported = room_of(name.removeprefix("syncer."))
        if imported.startswith("__"):
            imported = "__init__"
        assert not wrong_direction(room_of(module), imported), (
            f"{MODULES[module]}:{line}: {room_of(module)} may not import {imported}"
        )


def test_the_configuration_knows_of_events_only_what_triggers_are_proved_with() -> None:
    for module, file in MODULES.items():
        if room_of(module) == "config":
            found = [name.split(".")[2] for name, _ in imports_of(file) if name.startswith("syncer.events.")]
            assert set(found) <= set(PROVED_WITH), f"{file} imports {sorted(set(found) - set(PROVED_WITH))} of events"
    for name in PROVED_WITH:
        for imported, line in imports_of(MODULES[f"events.{name}"]):
            assert not imported.startswith("syncer.config"), f"events/{name}.py:{line}: a circle with config"
            assert room_of(imported) not in IMPURE, f"events/{name}.py:{line}: imports {imported}"


@pytest.mark.parametrize("module", [module for module in PURE if module in MODULES])
def test_pure_modules_touch_nothing(module: str) -> None:
    for name, line in imports_of(MODULES[module]):
        assert room_of(name) not in IMPURE, f"{MODULES[module]}:{line}: a pure module imports {name}"


@pytest.mark.parametrize("module", MODULES)
def test_only_wire_modules_know_the_protobuf_messages(module: str) -> None:
    if "wire" in module.split("."):
        return
    for name, line in imports_of(MODULES[module]):
        assert not name.startswith("syncer.pb"), f"{MODULES[module]}:{line}: only wire imports syncer.pb"


@pytest.mark.parametrize("module", MODULES)
def test_files_and_functions_stay_small(module: str) -> None:
    file = MODULES[module]
    lines = len(file.read_bytes().splitlines())
    assert lines <= MOST_FILE_LINES, f"{file}: {lines} lines: split it"
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            length = node.end_lineno - node.lineno + 1
            assert length <= MOST_FUNCTION_LINES, f"{file}:{node.lineno}: {node.name} has {length} lines: split it"


@pytest.mark.parametrize("module", MODULES)
def test_every_file_says_its_job_and_has_a_telling_name(module: str) -> None:
    assert ast.get_docstring(tree_of(MODULES[module])), f"{MODULES[module]}: the first line must say the job"
    assert not set(module.split(".")) & set(VAGUE_NAMES), f"{MODULES[module]}: the name says nothing"


def test_no_star_imports_and_postponed_annotations_everywhere() -> None:
    for file in FILES:
        names = [name for name, _ in imports_of(file)]
        assert not any(name.endswith(".*") for name in names), f"{file}: a star import"
        # An empty file needs none.
        assert "__future__.annotations" in names or len(tree_of(file).body) <= 1, f"{file}: from __future__ …"


def imported_with(module: str) -> set[str]:
    """Return the modules of syncer that the import of this one needs at once."""
    found: set[str] = set()
    for node in tree_of(MODULES[module]).body:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.update({f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)})
    names = {name.removeprefix("syncer.") for name in found if name.startswith("syncer.")}
    parts = [name.split(".")[:length] for name in names for length in range(1, name.count(".") + 2)]
    own = [".".join(module.split(".")[:length]) for length in range(1, module.count(".") + 2)]
    # The packages around it are being imported already when it is.
    return {".".join(part) for part in parts} & MODULES.keys() - set(own)


def test_every_module_can_be_imported_first() -> None:
    left = {module: imported_with(module) for module in MODULES}
    while free := [module for module, needs in left.items() if not needs]:
        for module in free:
            del left[module]
        left = {module: needs - set(free) for module, needs in left.items()}
    assert not left, f"these import each other in a circle, or import one that does: {sorted(left)}"


def test_the_rules_themselves_can_fail() -> None:
    assert wrong_direction("capture", "replicate")
    assert wrong_direction("capture", "index")
    assert wrong_direction("model", "errors")
    assert not wrong_direction("replicate", "capture")
    assert not wrong_direction("cli", "config")
