"""The keys of syncer.toml with their types, defaults and the check of each value by itself (pydantic)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from syncer.config.address import parse_address
from syncer.config.amount import parse_share, parse_size
from syncer.config.duration import parse_duration, parse_range
from syncer.substitution.parse import parse_side

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
DOMAIN_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("is not text: write it in quotes")  # noqa: TRY004 - pydantic collects ValueError only
    return value


def _duration(*, zero: bool = False) -> Callable[[object], float]:
    def check(value: object) -> float:
        # A bare 0 needs no unit; any other number would be a guess.
        if zero and value == 0 and not isinstance(value, bool):
            return 0.0
        if isinstance(value, int | float) and not isinstance(value, bool):
            text = f'is a number without a unit: write for example "{value}s"'
            raise ValueError(text)  # noqa: TRY004 - pydantic collects ValueError only
        seconds = parse_duration(_text(value))
        if seconds == 0 and not zero:
            raise ValueError('must be longer than 0: write for example "1s"')
        return seconds

    return check


def _range(value: object) -> tuple[float, float]:
    return parse_range(_text(value))


def _address(value: object) -> str:
    return str(parse_address(_text(value)))


def _listen(value: object) -> str:
    return str(parse_address(_text(value), any_port=True))


def _http(value: object) -> str:
    return "" if value == "" else _listen(value)


def _path(value: object) -> str:
    path = _text(value)
    if not path.startswith("/"):
        raise ValueError("is not an absolute path: write it from the root, beginning with /")
    if "\0" in path:
        raise ValueError("contains a NUL byte, which no path can: remove it")
    # `..` is resolved differently before and after a symlink: what was meant cannot be known.
    if ".." in PurePosixPath(path).parts:
        raise ValueError('contains "..": write the path without it')
    return path


def _root(value: object) -> str:
    path = _path(value)
    if not path.strip("/"):
        raise ValueError("is the whole file system: name the directories that hold configuration")
    return path


def _name(value: object) -> str:
    name = _text(value)
    if NAME.fullmatch(name) is None:
        raise ValueError(
            "is not a name: write 1 to 63 letters, digits, dots, hyphens and underscores, "
            "beginning with a letter or digit"
        )
    return name


def _pattern(value: object) -> str:
    pattern = _text(value)
    if not pattern.strip() or pattern.strip() == "/":
        raise ValueError("is an empty pattern: remove it")
    if "\n" in pattern or "\0" in pattern:
        raise ValueError("contains a line break or a NUL byte: write one pattern for each line")
    if pattern.startswith("#"):
        raise ValueError(r"""is a comment in gitignore syntax: begin it with '\#'""")
    # Imported late: it is needed for patterns only.
    from pathspec import GitIgnoreSpec

    try:
        parsed = GitIgnoreSpec.from_lines([pattern]).patterns
    except ValueError:
        parsed = []
    if not any(part.include is not None for part in parsed):
        raise ValueError('is not a pattern in gitignore syntax: write for example "*.conf" or "/cache/**"')
    return pattern


def _size(value: object) -> int:
    return parse_size(_text(value))


def _deletions(value: object) -> int | float:
    """A whole number is a count of paths, a percentage a share of them."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ValueError('is neither a count nor a share: write for example 100 or "30%"')
        return value
    return parse_share(_text(value))


def _command(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError('is not a command: write its words as a list, such as ["nginx", "-t"]')  # noqa: TRY004 - as above
    words = tuple(_text(word) for word in value)
    if any("\0" in word for word in words):
        raise ValueError("contains a NUL byte, which no argument can: remove it")
    if words and not words[0]:
        raise ValueError('begins with an empty word: write the program first, such as ["nginx", "-t"]')
    return words


def _side(value: object) -> str:
    text = _text(value)
    parse_side(text)
    return text


Duration = Annotated[float, BeforeValidator(_duration())]
Settle = Annotated[float, BeforeValidator(_duration(zero=True))]
Name = Annotated[str, BeforeValidator(_name)]
AbsolutePath = Annotated[str, BeforeValidator(_path)]
Pattern = Annotated[str, BeforeValidator(_pattern)]
Command = Annotated[tuple[str, ...], BeforeValidator(_command)]
Size = Annotated[int, BeforeValidator(_size)]
Side = Annotated[str, BeforeValidator(_side)]


class Table(BaseModel):
    """What all tables share: no unknown keys, no silent conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class NodeTable(Table):
    """[node]."""

    name: Name = Field(examples=["prod-a"])
    mode: Literal["production", "failover"] = Field(examples=["production"])
    state: AbsolutePath = "/var/lib/syncer"
    listen: Annotated[str, BeforeValidator(_listen)] = "0.0.0.0:7443"
    http: Annotated[str, BeforeValidator(_http)] = "127.0.0.1:7480"
    rescan: Duration = 3600.0
    peer_timeout: Duration = 30.0
    behind_after: Duration = 30.0
    stop_services_when_fenced: bool = False
    freeze_max: Duration = 3600.0


class HistoryTable(Table):
    """[domains.NAME.history]."""

    generations: Annotated[int, Field(ge=0, le=100_000)] = 20
    size: Size = 1 << 30


class DomainTable(Table):
    """[domains.NAME]."""

    path: Annotated[str, BeforeValidator(_root)] = Field(examples=["/etc/nginx"])
    include: list[Pattern] = ["**"]
    exclude: list[Pattern] = []
    settle: Settle = 0.010
    settle_max: Settle = 0.500
    keep_local: list[Pattern] = []
    max_delete: Annotated[int | float, BeforeValidator(_deletions)] = 0.30
    max_delete_min: Annotated[int, Field(ge=0)] = 20
    max_delete_window: Duration = 600.0
    drift: Literal["report", "restore", "ignore"] = "report"
    verify: Settle = 7 * 86400.0
    verify_rate: Size = 20 << 20
    check: Command = ()
    reload: Command = ()
    start: Command = ()
    stop: Command = ()
    status: Command = ()
    freeze: Command = ()
    command_timeout: Duration = 30.0
    owners: dict[Name, Name] = {}
    history: HistoryTable = HistoryTable()


class OnFailureTable(Table):
    """[failover.on_failure]."""

    suspend_after: Annotated[int, Field(ge=0, le=1_000_000)] = 5
    retry: Annotated[tuple[float, float], BeforeValidator(_range)] = (1.0, 60.0)
    probe: bool = True


class SubstituteTable(Table):
    """[[failover.substitute]]; whether rules fit together is proved by RuleSet."""

    # `from` is a word of Python's.
    source: Side = Field(alias="from", examples=["10.0.1.10"])
    target: Side = Field(alias="to", examples=["10.0.2.10"])
    swap: bool = False
    domains: list[str] = []
    except_domains: list[str] = []
    paths: list[Pattern] = ["**"]
    except_paths: list[Pattern] = []


class FailoverTable(Table):
    """[[failover]]."""

    name: Name = Field(examples=["dr-a"])
    address: Annotated[str, BeforeValidator(_address)] = Field(examples=["10.0.2.10:7443"])
    automatic: bool = True
    timeout: Duration = 10.0
    domains: list[str] = []
    start_services: bool = False
    on_failure: OnFailureTable = OnFailureTable()
    substitute: list[SubstituteTable] = []


class HooksTable(Table):
    """[hooks]."""

    before_promote: Command = ()
    after_promote: Command = ()
    before_demote: Command = ()
    after_demote: Command = ()
    before_failback: Command = ()
    after_failback: Command = ()
    timeout: Duration = 60.0


TABLES: dict[str, type[Table]] = {
    "node": NodeTable,
    "domains": DomainTable,
    "domains.history": HistoryTable,
    "failover": FailoverTable,
    "failover.on_failure": OnFailureTable,
    "failover.substitute": SubstituteTable,
    "hooks": HooksTable,
}
"""The tables by the keys that lead to them, without the names that the operator chooses."""
