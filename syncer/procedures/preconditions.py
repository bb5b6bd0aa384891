"""What is known of a failover node before a promotion, and what each of it means for one (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from syncer.events.standing import SKEWED_SECONDS
from syncer.model import Mode
from syncer.procedures.readiness import Finding, Level, Purpose

ROOM_SCARCE = 256 << 20
ROOM_NEEDED = 16 << 20
"""Bytes that must be free beside node.db: the index of what stands is made there, and each step is recorded."""
HEARD_SECONDS = 5.0
"""Heartbeats come every second: what is older is not known to be so any more."""

OK, WARNING, REFUSAL = Level.OK, Level.WARNING, Level.REFUSAL


class ProductionFacts(NamedTuple):
    """The node that this one receives from."""

    name: str
    answers: bool
    said: str
    """Why it does not answer; "" where it does."""
    mode: Mode | None = None
    """What it says that it is; None where it was not asked."""
    term: int | None = None
    """The counter of its term."""
    seconds_since_heard: float | None = None
    """None: not since the agent's start."""
    clock_skew_seconds: float | None = None


class DomainFacts(NamedTuple):
    """One domain here."""

    name: str
    is_received: bool = True
    trouble: str = ""
    """Why nothing may be written to its root, or what serves would not be what was received."""
    unsettled: str = ""
    """What a crash or the disk has left half done."""
    changes_behind: int | None = 0
    """At least so many are missing here, as production said last; None: it said nothing."""
    drift: int = 0
    problems: int = 0
    checks: bool = False
    """A check is configured."""
    check_ran: bool = False
    check_failure: str = ""
    starts: bool = False
    tells: bool = False
    """Commands `start` and `status` are configured."""
    missing: Mapping[str, str] = {}
    """What could not be started now: key of the configuration → program."""
    services: str = ""
    """How they are, in a word; "" where nothing tells."""
    services_trouble: str = ""
    home_trouble: str = ""
    """Why what stands here cannot go home; "" where it can."""


class Facts(NamedTuple):
    """One failover node."""

    node: str
    mode: Mode
    term: int
    production: ProductionFacts | None
    """None: nobody was received from, or it is not paired any more."""
    exposure: str
    """What `syncer status` leads with."""
    domains: tuple[DomainFacts, ...]
    free_bytes: int | None = None
    """Beside node.db; None where nobody could tell."""
    missing_hooks: Mapping[str, str] = {}
    hooks: tuple[str, ...] = ()
    """Those that are configured."""
    open_procedures: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
    """Domains that a freeze on this node still covers."""
    leftovers: tuple[int, int] | None = None
    """Addresses of production that stand here, in how many files; None: nobody looked."""
    is_searched: bool = True
    """All was looked through for them; False: time was over before."""
    retired: str = ""
    """Why this node is to be production never again; "" where it was not retired."""


def assess(facts: Facts, purpose: Purpose) -> list[Finding]:
    """Return what the facts mean for one promotion, in the order in which it is shown."""
    found = [_mode(facts)]
    if facts.mode is not Mode.FAILOVER or facts.retired:
        return found
    found += [_production(facts, purpose), _exposure(facts, purpose)]
    for domain in facts.domains:
        found += _domain(domain, purpose)
    found += [*_leftovers(facts), *_hooks(facts), _disk(facts, purpose), *_clock(facts)]
    found += [*_procedures(facts, purpose), *_frozen(facts)]
    return found


def _mode(facts: Facts) -> Finding:
    if facts.retired:
        return Finding("mode", REFUSAL, facts.retired, "promote a node that is paired")
    if facts.mode is Mode.FAILOVER:
        return Finding("mode", OK, f"{facts.node} is failover, and the highest term that it has seen is {facts.term}")
    if facts.mode is Mode.PRODUCTION:
        return Finding(
            "mode", REFUSAL, f"{facts.node} is production already", "run it on the failover node that is to take over"
        )
    return Finding("mode", REFUSAL, f"{facts.node} is fenced", f"run `syncer rejoin` on {facts.node} first")


def _production(facts: Facts, purpose: Purpose) -> Finding:
    other = facts.production
    if other is None:
        level = WARNING if purpose is Purpose.FORCED else REFUSAL
        what = "which node is production is not known here: nothing was received from one that is paired"
        return Finding("production", level, what, "pair the nodes, and synchronize once")
    if not other.answers:
        heard = _heard(other)
        level = {Purpose.PLANNED: REFUSAL, Purpose.FORCED: OK, Purpose.DRILL: WARNING}[purpose]
        sentence = f"production ({other.name}) does not answer: {other.said}; {heard}"
        return Finding("production", level, sentence, _unless_ok(level, "bring it back, or promote with --force"))
    if other.mode not in (None, Mode.PRODUCTION):
        assert other.mode is not None, "it said one"
        level = REFUSAL if purpose is Purpose.PLANNED else WARNING
        sentence = f"{other.name}, which this node received from, says that it is {other.mode.value}"
        return Finding("production", level, sentence, "promote the node that the production of now feeds, or --force")
    under = f" under term {other.term}" if other.term is not None else ""
    sentence = f"production ({other.name}) answers{under}"
    if purpose is Purpose.FORCED:
        cure = "promote without --force: then it hands over, and nothing is lost"
        return Finding("production", WARNING, f"{sentence}: by force it is fenced, and what it has not sent yet "
                       "stays there", cure)  # fmt: skip  # one sentence
    return Finding("production", OK, sentence)


def _heard(other: ProductionFacts) -> str:
    if other.seconds_since_heard is None:
        return "nothing was heard of it since the agent's start"
    return f"it was heard {other.seconds_since_heard:.0f} s ago"


def _exposure(facts: Facts, purpose: Purpose) -> Finding:
    other = facts.production
    fresh = other is not None and other.seconds_since_heard is not None and other.seconds_since_heard <= HEARD_SECONDS
    nothing = fresh and all(domain.changes_behind == 0 for domain in facts.domains)
    sentence = facts.exposure or _words(facts)
    if purpose is not Purpose.FORCED and other is not None and other.answers:
        return Finding("exposure", OK, f"{sentence}; a planned promotion waits until all of it is here")
    return Finding("exposure", OK if nothing else WARNING, sentence)


def _words(facts: Facts) -> str:
    """Say it where the agent has no sentence for it."""
    known = [domain for domain in facts.domains if domain.changes_behind is not None]
    behind = sum(domain.changes_behind or 0 for domain in known)
    if facts.production is None or not known or facts.production.seconds_since_heard is None:
        return "what taking over now would lose is unknown: production was not heard since the agent's start"
    ago = f"as of {facts.production.seconds_since_heard:.0f} s ago"
    return f"taking over now would lose at least {behind:,} changes, {ago}" if behind else f"nothing is lost, {ago}"


def _domain(domain: DomainFacts, purpose: Purpose) -> Iterator[Finding]:
    name = domain.name
    unless_forced = WARNING if purpose is Purpose.FORCED else REFUSAL
    if domain.unsettled:
        # Whatever the purpose: the change of the mode itself refuses it.
        yield Finding("settled", REFUSAL, domain.unsettled, "repair that first", name)
    if not domain.is_received:
        yield Finding("received", unless_forced, f"{name} was never received here", "run `syncer snapshot` on "
                      "production", name)  # fmt: skip  # one finding
        return
    if domain.trouble:
        yield Finding("root", unless_forced, domain.trouble, "put that right first", name)
    if domain.drift:
        what = (
            f"{domain.drift:,} paths of {name} were edited here since they were applied: they would serve as they are"
        )
        yield Finding("drift", WARNING, what, "see `syncer drift`", name)
    if domain.problems:
        what = f"{domain.problems:,} paths of {name} could not be applied here as production has them"
        yield Finding("problems", WARNING, what, "see `syncer status`", name)
    yield from _check(domain, unless_forced)
    yield from _services(domain, unless_forced)
    if domain.home_trouble:
        yield Finding(
            "home", WARNING, domain.home_trouble, "correct the rules before this node has to give it back", name
        )
    else:
        yield Finding("home", OK, f"the rules of {name} lead home", "", name)


def _check(domain: DomainFacts, unless_forced: Level) -> Iterator[Finding]:
    name = domain.name
    if not domain.checks:
        yield Finding("check", OK, f"{name} has no check", "", name)
    elif "check" in domain.missing:
        what = f"the check of {name} cannot be started: {domain.missing['check']} is not there"
        yield Finding("check", unless_forced, what, "install the program, or correct `check`", name)
    elif domain.check_failure:
        what = f"the check of {name} refuses what stands here: {domain.check_failure}"
        yield Finding("check", unless_forced, what, "correct what it refuses", name)
    else:
        how = "passes what stands here" if domain.check_ran else "passed what came last"
        yield Finding("check", OK, f"the check of {name} {how}", "", name)


def _services(domain: DomainFacts, unless_forced: Level) -> Iterator[Finding]:
    name = domain.name
    if "start" in domain.missing:
        what = f"the services of {name} cannot be started: {domain.missing['start']} is not there"
        yield Finding("services", unless_forced, what, "install the program, or correct `start`", name)
        return
    for key in ("status", "stop"):
        if key in domain.missing:
            what = f"the `{key}` command of {name} cannot be started: {domain.missing[key]} is not there"
            yield Finding("services", WARNING, what, f"install the program, or correct `{key}`", name)
    if domain.services_trouble:
        what = f"services of {name}: {domain.services}: {domain.services_trouble}"
        yield Finding("services", WARNING, what, "see `syncer service status`", name)
    elif domain.starts:
        proof = "" if domain.tells else "; no `status` command tells whether they run then"
        now = f", they are {domain.services} now" if domain.services else ""
        yield Finding("services", OK, f"the services of {name} are started by this node{now}{proof}", "", name)
    else:
        yield Finding("services", OK, f"{name} has no `start` command: nothing is started for it", "", name)


def _leftovers(facts: Facts) -> Iterator[Finding]:
    if facts.leftovers is None:
        return
    addresses, files = facts.leftovers
    most = "" if facts.is_searched else "at least "
    if addresses:
        what = f"{most}{addresses:,} of production's addresses still stand here, in {most}{files:,} files"
        yield Finding("leftovers", WARNING, what, "see `syncer leftovers`")
    elif facts.is_searched:
        yield Finding("leftovers", OK, "no address of production stands here")
    else:
        what = "no address of production was found in what could be searched quickly: `syncer leftovers` searches all"
        yield Finding("leftovers", OK, what)


def _hooks(facts: Facts) -> Iterator[Finding]:
    for hook, program in facts.missing_hooks.items():
        before = hook.startswith("before_")
        what = "so the procedure would stop at it" if before else "so it would fail when all is done"
        yield Finding(
            "hooks",
            REFUSAL if hook == "before_promote" else WARNING,
            f"{program}, the program of {hook}, is not there, {what}",
            "install it, or correct [hooks]",
        )
    if facts.hooks and not facts.missing_hooks:
        yield Finding("hooks", OK, f"{', '.join(facts.hooks)} can be started")


def _disk(facts: Facts, purpose: Purpose) -> Finding:
    free = facts.free_bytes
    if free is None:
        return Finding("disk", WARNING, "how much room there is beside node.db cannot be told", "look at its disk")
    room = f"{free >> 20:,} MiB are free beside node.db"
    if free < ROOM_NEEDED:
        level = WARNING if purpose is Purpose.FORCED else REFUSAL
        return Finding("disk", level, f"only {room}", f"free at least {ROOM_SCARCE >> 20} MiB")
    if free < ROOM_SCARCE:
        return Finding("disk", WARNING, f"only {room}", f"free at least {ROOM_SCARCE >> 20} MiB")
    return Finding("disk", OK, room)


def _clock(facts: Facts) -> Iterator[Finding]:
    skew = facts.production.clock_skew_seconds if facts.production is not None else None
    if skew is None:
        return
    if abs(skew) > SKEWED_SECONDS:
        what = (
            f"the clocks of both nodes differ by {abs(skew):.0f} s: nothing is decided by them, but logs will not match"
        )
        yield Finding("clock", WARNING, what, "set both by NTP")
    else:
        yield Finding("clock", OK, "the clocks of both nodes agree")


def _procedures(facts: Facts, purpose: Purpose) -> Iterator[Finding]:
    for procedure in facts.open_procedures:
        level = REFUSAL if purpose is Purpose.PLANNED else WARNING
        cure = "end it first: `syncer procedure`"
        yield Finding("procedure", level, f"a procedure is under way: {procedure}", cure)


def _frozen(facts: Facts) -> Iterator[Finding]:
    if facts.frozen:
        what = f"a freeze of {', '.join(facts.frozen)} on this node has not ended yet"
        yield Finding("frozen", WARNING, what, "run `syncer thaw` here")


def _unless_ok(level: Level, cure: str) -> str:
    return "" if level is OK else cure
