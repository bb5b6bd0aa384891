"""What an event is made of, and the variables that many events have; no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from syncer.model import EventValue


class Variable(NamedTuple):
    """One variable of an event."""

    kind: type[EventValue]
    meaning: str


class Definition(NamedTuple):
    """One kind of event."""

    meaning: str
    variables: Mapping[str, Variable]


NODE = Variable(str, "name of the node that raised it")
TARGET = Variable(str, "name of the failover server, as production's configuration calls it")
DOMAIN = Variable(str, "name of the domain")
PATHS = Variable(int, "how many paths")
SAMPLE = Variable(str, "one of the paths, relative to the domain's root")
COMMAND = Variable(str, "the command with its arguments")
EXIT = Variable(str, "its exit code in digits, or words: a signal, the time limit, or why it was not started")
OUTPUT = Variable(str, "what it printed last, shortened and without secrets")
SECONDS = Variable(float, "how long it ran, in seconds")
PATH = Variable(str, "the path, relative to the domain's root")

TRIGGER = Variable(str, "name of the trigger")
