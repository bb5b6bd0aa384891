"""The entry of the command line: commands by name, and every failure as one sentence with an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

import click

from syncer import __version__
from syncer.cli.invocation import Invocation
from syncer.cli.lazy import Deferred, LazyGroup
from syncer.cli.output import note, print_json, report_error, say
from syncer.errors import ConfigurationError, SyncerError

COMMANDS = {
    "demo": Deferred("syncer.cli.demo", "Show two real nodes at work, in a temporary folder."),
    "init": Deferred("syncer.cli.init", "Write a commented configuration, the state directory and identity."),
    "config": Deferred("syncer.cli.config", "Check the configuration."),
    "doctor": Deferred("syncer.cli.doctor", "Preflight: look at everything that this node needs."),
    "invite": Deferred("syncer.cli.invite", "On failover: print the line that pairs production with it."),
    "join": Deferred("syncer.cli.join", "On production: pair with a failover server."),
    "agent": Deferred("syncer.cli.agent", "Run the node in the foreground."),
    "status": Deferred("syncer.cli.status", "Show what failing over now would lose, and every target's state."),
    "snapshot": Deferred("syncer.cli.snapshot", "Make failover an exact copy now."),
    "diff": Deferred("syncer.cli.diff", "Show what differs on failover, from the indexes."),
    "verify": Deferred("syncer.cli.verify", "Read every byte again on both sides, and say what differs."),
    "drift": Deferred("syncer.cli.drift", "On failover: show what was edited there, and who wins."),
    "wait": Deferred("syncer.cli.wait", "Return when the agent serves, or all has arrived."),
    "explain": Deferred("syncer.cli.explain", "Say whether and why a path is synchronized, and where it is."),
    "substitute": Deferred("syncer.cli.substitute", "Preview what the substitution rules make of files."),
    "leftovers": Deferred("syncer.cli.leftovers", "Say where production's addresses still stand on failover."),
    "approve": Deferred("syncer.cli.approve", "Let a synchronization pass that waits for a person."),
    "history": Deferred("syncer.cli.history", "On failover: show the states that can be gone back to."),
    "rollback": Deferred("syncer.cli.rollback", "On failover: go back to an earlier state."),
    "service": Deferred("syncer.cli.service", "Start, stop, reload or check a domain's services on this node."),
    "events": Deferred("syncer.cli.events", "Show what has happened on this node."),
    "suspend": Deferred("syncer.cli.suspend", "Send nothing to a target for a while."),
    "resume": Deferred("syncer.cli.resume", "Go on after a suspension, a failed hold or a rollback."),
    "hold": Deferred("syncer.cli.hold", "Run a command; all that it changes becomes one transaction."),
    "freeze": Deferred("syncer.cli.freeze", "On production: take no more changes, for a while."),
    "thaw": Deferred("syncer.cli.thaw", "End a freeze."),
    "trigger": Deferred("syncer.cli.trigger", "Show the triggers, or have one do its actions as a test."),
    "outbox": Deferred("syncer.cli.outbox", "Show which actions of triggers wait or were given up."),
    "rejoin": Deferred("syncer.cli.rejoin", "On an old production: become failover of the node that serves."),
    "reverse": Deferred("syncer.cli.reverse", "Bring the changes home, and the old production back to its role."),
    "promote": Deferred("syncer.cli.promote", "On failover: take over, planned or by force."),
    "procedure": Deferred("syncer.cli.procedure", "Show the procedures of this node; abort one, or have it go on."),
    "retire": Deferred("syncer.cli.retire", "Have the identity of a node that is lost refused everywhere."),
    "state": Deferred("syncer.cli.state", "Back up this node's own state, or restore it."),
    "target": Deferred("syncer.cli.target", "Forget a target that is gone."),
}


def _begin(config: Path | None) -> None:
    click.get_current_context().obj = Invocation(config)


def _print_version(context: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked and not context.resilient_parsing:
        say(f"syncer {__version__}")
        context.exit(0)


cli = LazyGroup(
    "syncer",
    COMMANDS,
    callback=_begin,
    doc="Keeps a failover server's configuration an exact copy of production's, within milliseconds.",
    params=[
        click.Option(
            ["--config"],
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="The configuration; else $SYNCER_CONFIG, else /etc/syncer/syncer.toml.",
        ),
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help="Print the version.",
        ),
    ],
)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code; whatever happens, there is no traceback."""
    given = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            # A terminal that is not UTF-8 gets escapes, not an error.
            reconfigure(errors="backslashreplace")
    try:
        code = _run(given)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone, as in `syncer diff | head`; Python would complain again when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SyncerError.exit_code
    return code


def _run(given: list[str]) -> int:
    # Behind "--" stands the command line of another program.
    as_json = "--json" in (given[: given.index("--")] if "--" in given else given)
    try:
        found = cli.main(given, prog_name="syncer", standalone_mode=False)
        return found if isinstance(found, int) else 0
    except SyncerError as error:
        _trace()
        return report_error(error, as_json=as_json)
    except click.exceptions.NoArgsIsHelpError as error:
        note(error.format_message())
        return ConfigurationError.exit_code
    except click.ClickException as error:
        return report_error(_usage(error), as_json=as_json)
    except (click.Abort, KeyboardInterrupt):
        return report_error(SyncerError("interrupted"), as_json=as_json)
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001  # the last resort: a fault in syncer is told in one sentence, too
        _trace()
        return _fault(error, as_json=as_json)


def _usage(error: click.ClickException) -> ConfigurationError:
    context = getattr(error, "ctx", None)
    cure = f"see `{context.command_path} --help`" if context is not None else "see `syncer --help`"
    return ConfigurationError(f"{error.format_message().rstrip('.')}; {cure}")


def _fault(error: Exception, *, as_json: bool) -> int:
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    sentence = (
        f"internal error: {' '.join(what.split())} "
        "(this is a fault in syncer; run with SYNCER_DEBUG=1 for the traceback)"
    )
    note(f"syncer: {sentence}")
    if as_json:
        print_json({"error": sentence, "exit_code": SyncerError.exit_code})
    return SyncerError.exit_code


def _trace() -> None:
    if os.environ.get("SYNCER_DEBUG"):
        traceback.print_exc()
