"""Reads syncer.toml into settings, or says every error of it at once."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from syncer.config.settings import (
    BrakeSettings,
    DomainSettings,
    FailoverSettings,
    HistorySettings,
    HookSettings,
    NodeSettings,
    Settings,
)
from syncer.errors import ConfigurationError
from syncer.model import Mode, Patterns

if TYPE_CHECKING:
    # pydantic takes longer to import than all the rest: only who loads a file pays for it.
    from syncer.config.schema import DomainTable, FailoverTable, NodeTable

ENVIRONMENT_VARIABLE = "SYNCER_CONFIG"
DEFAULT_PATH = Path("/etc/syncer/syncer.toml")
DEFAULT_STATE = Path("/var/lib/syncer")
_POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def chosen_path(path: Path | None) -> Path:
    """Return `path`, else what $SYNCER_CONFIG names, else the place of an installed node."""
    if path is not None:
        return path
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    return Path(named) if named else DEFAULT_PATH


def load(path: Path | None = None) -> Settings:
    """Return the settings of the file at `path` (None: $SYNCER_CONFIG, else /etc/syncer/syncer.toml).

    Raises ConfigurationError with every error found: file, key, what is wrong, and the cure.
    """
    file = chosen_path(path)
    document = _read(file)
    from syncer.config.alarm_loader import alarm_settings
    from syncer.config.check import check

    checked = check(document)
    if checked.errors:
        raise ConfigurationError(*(f"{file}: {error}" for error in checked.errors))
    # check() gives every table or an error.
    assert checked.node is not None
    names = tuple(checked.domains)
    alarms = alarm_settings(checked.alarms)
    return Settings(
        node=_node(checked.node),
        domains=tuple(_domain(name, table) for name, table in checked.domains.items()),
        failover=tuple(_failover(table, names) for table in checked.failover),
        source=Path(os.path.abspath(file)),
        alarms=alarms,
        hooks=HookSettings(**checked.hooks.model_dump()),
        secret_files=alarms.secret_files(),
    )


def state_directory(path: Path | None = None) -> Path | None:
    """Return where the agent of a file that has errors keeps its state; None where the file does not tell."""
    file = chosen_path(path)
    try:
        text = file.read_bytes().decode("utf-8-sig", "replace")
    except OSError:
        return None
    node = _as_far_as_it_goes(text).get("node")
    state = node.get("state", str(DEFAULT_STATE)) if isinstance(node, dict) else None
    return Path(state) if isinstance(state, str) and state.startswith("/") else None


def _as_far_as_it_goes(text: str) -> dict[str, object]:
    """Return the tables above the first line that is no TOML, less the last of them, which may not be whole."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        position = _POSITION.search(str(error))
    lines = text.splitlines(keepends=True)
    good = lines[: int(position[1]) - 1] if position is not None and position[1] else lines
    headings = [number for number, line in enumerate(good) if line.startswith("[")]
    try:
        return tomllib.loads("".join(good[: headings[-1]])) if headings else {}
    except tomllib.TOMLDecodeError:
        return {}


def _read(file: Path) -> dict[str, object]:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise ConfigurationError(
            f"{file}: there is no such file: write one with `syncer init`, "
            f"or name another with --config or ${ENVIRONMENT_VARIABLE}"
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"{file}: cannot be read ({error.strerror}): let the user that runs syncer read this file"
        ) from error
    try:
        # Some editors begin a file with a byte order mark, which TOML does not allow.
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{file}, line {line}: is not UTF-8 text: save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{_syntax_error(file, str(error))}") from None


def _syntax_error(file: Path, message: str) -> str:
    position = _POSITION.search(message)
    text = _POSITION.sub("", message)
    if position is None:
        where = str(file)
    elif position[1] is None:
        where = f"{file}, at its end"
    else:
        where = f"{file}, line {position[1]}, column {position[2]}"
    return f"{where}: is not TOML ({text}): correct it there"


def _node(table: NodeTable) -> NodeSettings:
    return NodeSettings(
        name=table.name,
        mode=Mode(table.mode),
        state=Path(table.state),
        listen=table.listen,
        rescan=table.rescan,
        peer_timeout=table.peer_timeout,
        behind_after=table.behind_after,
        stop_services_when_fenced=table.stop_services_when_fenced,
        freeze_max=table.freeze_max,
        http=table.http,
    )


def _domain(name: str, table: DomainTable) -> DomainSettings:
    return DomainSettings(
        name=name,
        path=Path(table.path),
        patterns=Patterns(tuple(table.include), tuple(table.exclude)),
        settle=table.settle,
        settle_max=table.settle_max,
        keep_local=tuple(table.keep_local),
        brake=BrakeSettings(table.max_delete, table.max_delete_min, table.max_delete_window),
        drift=table.drift,
        verify=table.verify,
        verify_rate=table.verify_rate,
        check=table.check,
        reload=table.reload,
        start=table.start,
        stop=table.stop,
        status=table.status,
        freeze=table.freeze,
        command_timeout=table.command_timeout,
        owners=dict(table.owners),
        history=HistorySettings(table.history.generations, table.history.size),
    )


def _failover(table: FailoverTable, names: tuple[str, ...]) -> FailoverSettings:
    from syncer.config.substitution import rules_of

    return FailoverSettings(
        name=table.name,
        address=table.address,
        automatic=table.automatic,
        timeout=table.timeout,
        domains=tuple(table.domains) or names,
        retry_min=table.on_failure.retry[0],
        retry_max=table.on_failure.retry[1],
        start_services=table.start_services,
        rules=rules_of(table),
        suspend_after=table.on_failure.suspend_after,
        probe=table.on_failure.probe,
    )
