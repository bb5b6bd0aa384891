"""`syncer init`: a commented configuration, the state directory and the node's identity."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import click

from syncer.cli.invocation import Invocation, json_option, pass_invocation
from syncer.cli.output import note, print_json, printable, say
from syncer.errors import ConfigurationError

if TYPE_CHECKING:
    from syncer.config import Settings

MODES = ("production", "failover")


@click.command("init")
@click.option("--name", metavar="NAME", help="The node's name; else the host name.")
@click.option("--mode", type=click.Choice(MODES), help="What the node starts as.")
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The state directory; else /var/lib/syncer.",
)
@click.option("--listen", metavar="HOST:PORT", help="Where other nodes reach this one; else 0.0.0.0:7443.")
@click.option("--http", metavar="HOST:PORT", help='Health and metrics; else 127.0.0.1:7480. "" turns them off.')
@json_option
@pass_invocation
def command(
    invocation: Invocation,
    *,
    name: str | None,
    mode: str | None,
    state: Path | None,
    listen: str | None,
    http: str | None,
    as_json: bool,
) -> int:
    """Write a commented configuration, and make the state directory and the node's identity.

    What is there already stays as it is: an existing configuration is never overwritten, and options that say
    otherwise than it are refused. So it can be run again.
    """
    from syncer.config.loader import chosen_path

    file = chosen_path(invocation.config)
    written = not os.path.lexists(file)
    if written:
        if mode is None:
            raise ConfigurationError("say what this node starts as: --mode production, or --mode failover")
        _write(file, name or socket.gethostname(), mode, state, {"listen": listen, "http": http})
    settings = invocation.settings()
    _refuse_contradictions(settings, name=name, mode=mode, state=state, listen=listen, http=http)
    node_id, fingerprint = _make_state(settings)
    if as_json:
        result = {"config": str(file), "config_written": written, "state": str(settings.node.state)}
        print_json({**result, "node_id": node_id, "fingerprint": fingerprint, "exit_code": 0})
        return 0
    say(f"{'wrote' if written else 'kept'} {printable(str(file))}")
    say(f"node {printable(settings.node.name)}, id {node_id}, state in {printable(str(settings.node.state))}")
    note(f"next: name the trees to synchronize in {printable(str(file))}, then `syncer config check`")
    return 0


def _write(file: Path, name: str, mode: str, state: Path | None, addresses: dict[str, str | None]) -> None:
    from syncer.config import example
    from syncer.model import Mode

    changes = {} if state is None else {"state": os.path.abspath(state)}
    changes |= {key: address for key, address in addresses.items() if address is not None}
    text = example(name, Mode(mode), **changes)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # RACE: "x" refuses a file that somebody has written since it was looked for.
        with file.open("x", encoding="utf-8") as writer:
            writer.write(text)
            writer.flush()
            os.fsync(writer.fileno())
    except OSError as error:
        raise ConfigurationError(
            f"{file}: cannot be written ({error.strerror}); choose another place with --config"
        ) from error


def _refuse_contradictions(
    settings: Settings,
    *,
    name: str | None,
    mode: str | None,
    state: Path | None,
    listen: str | None,
    http: str | None,
) -> None:
    node = settings.node
    asked = {
        "name": (name, node.name),
        "mode": (mode, node.mode.value),
        "state": (None if state is None else os.path.abspath(state), str(node.state)),
        "listen": (listen, node.listen),
        "http": (http, node.http),
    }
    errors = [
        f"{settings.source}: node.{key} is {there!r} there; change it there, or leave --{key} out"
        for key, (wanted, there) in asked.items()
        if wanted not in (None, there)
    ]
    if errors:
        raise ConfigurationError(*errors)


def _make_state(settings: Settings) -> tuple[str, str]:
    """Make node.db, key and certificate where they are missing; returns node id and fingerprint."""
    from syncer.state.store import StateStore
    from syncer.trust import identity

    identity.require_whole(settings.node.state)
    with StateStore.open(settings.node.state, create=True) as store:
        found = identity.create(settings.node.state, store.node_id, settings.node.name)
        return store.node_id, found.fingerprint
