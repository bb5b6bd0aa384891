"""`syncer reverse`: brings the changes home to the old production, and gives it its role back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncer.cli.following import followed, say_result
from syncer.cli.home_plan import compared, read_plan, say_lines, write_plan
from syncer.cli.invocation import Invocation, json_option, pass_invocation, yes_option
from syncer.cli.output import confirm, note, print_json, printable, say
from syncer.errors import ConfigurationError, PlanError

if TYPE_CHECKING:
    from syncer.procedures.home_plan import Plan


@click.command("reverse")
@click.argument("node", metavar="[NODE]", required=False)
@click.option("--merge", is_flag=True, help="Take what each side changed alone; where both did, say with --prefer.")
@click.option(
    "--prefer",
    multiple=True,
    metavar="[DOMAIN:]PATH=here|there|NODE",
    help="Whose state of PATH stays; with a / at its end, of all below. May be repeated.",
)
@click.option("--plan", "plan_file", type=click.Path(path_type=Path), metavar="FILE", help="Only write the whole plan.")
@click.option(
    "--apply", "apply_file", type=click.Path(path_type=Path), metavar="FILE", help="Do exactly what that plan says."
)
@click.option("--keep-services", is_flag=True, help="Do not stop the services of the node that served meanwhile.")
@yes_option
@json_option
@pass_invocation
def command(
    invocation: Invocation,
    *,
    node: str | None,
    merge: bool,
    prefer: tuple[str, ...],
    plan_file: Path | None,
    apply_file: Path | None,
    keep_services: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Bring the changes home, and make the old production serve again, with the other node as its failover.

    Run it on either node; NODE, the one that is to be production again, is only needed on a production node that has
    received from several. `here` is the node that serves, `there` the old production. By default the serving node's
    state stays, as a whole. Interrupted, it goes on by itself: `syncer procedure`.
    """
    if apply_file is not None and (merge or prefer or plan_file is not None):
        raise ConfigurationError("--apply does what the plan says: give it alone, and edit `take` in the plan instead")
    arguments: dict[str, Any] = {"command": "reverse", "node": node, "prefer": list(prefer)}
    given = read_plan(apply_file) if apply_file is not None else None
    arguments["policy"] = given.policy.value if given is not None else "merge" if merge else "serving"
    result, fresh = compared(invocation, arguments, as_json=as_json)
    wishes = dict(result["wishes"])
    plan = given or fresh
    if given is not None:
        wishes |= _expected(given, fresh)
    if plan_file is not None:
        return _written(plan_file, fresh, result, yes=yes, as_json=as_json)
    _show(plan, result, as_json=as_json)
    confirm(printable(f"Make {result['production']} production again, and {result['failover']} its failover?"), yes=yes)
    began = {"node": node, "wishes": wishes, "keep_services": keep_services}
    return say_result(followed(invocation, "reverse", began, as_json=as_json), as_json=as_json)


def _expected(given: Plan, fresh: Plan | None) -> dict[str, Any]:
    """Return what makes the procedure do exactly this plan. Raises PlanError where it does not fit what stands."""
    from syncer.procedures.home_wishes import deviations
    from syncer.procedures.plan_file import require_same

    if fresh is None:
        raise PlanError(
            "the plan is for a node that was not home yet: it is failover by now, and nothing is to compare"
        )
    require_same(given, fresh)
    expect = {found.domain: found.fingerprint.hex() for found in given.domains}
    return {"prefer": deviations(given, fresh), "expect": expect}


def _written(path: Path, plan: Plan | None, result: dict[str, Any], *, yes: bool, as_json: bool) -> int:
    from syncer.cli.render_home import document, plan_lines, roles_line, undecided_lines

    if plan is None:
        raise PlanError(
            f"there is nothing to plan: {result['production']} is failover of {result['failover']} already, and has "
            "what that sends"
        )
    write_plan(path, plan, yes=yes)
    if as_json:
        roles = {"production": result["production"], "failover": result["failover"]}
        print_json({"plan": document(plan) | {"afterwards": roles}, "file": str(path), "exit_code": 0})
        return 0
    for line in (*plan_lines(plan), *undecided_lines(plan), roles_line(result)):
        say(printable(line))
    say(printable(f"the whole plan is in {path}: decide in it with `take`, then `syncer reverse --apply {path}`"))
    return 0


def _show(plan: Plan | None, result: dict[str, Any], *, as_json: bool) -> None:
    """Show what would be done; raises PlanError where a person must decide first."""
    from syncer.cli.render_home import plan_lines, roles_line, undecided_lines
    from syncer.procedures.home_plan import require_decided

    if plan is None:
        if not as_json:
            home = f"{result['production']} is failover of {result['failover']} already, and has what that sends"
            note(printable(f"{home}: only the roles are exchanged"))
            note(printable(roles_line(result)))
        return
    if not as_json:
        say_lines(plan_lines(plan))
        say_lines(undecided_lines(plan))
        note(printable(roles_line(result)))
    require_decided(plan)
