"""Runs the command of a trigger: as all commands are run, with the event in its environment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from syncer.errors import CommandError
from syncer.events.delivery import Answer, Outcome, Parcel, told
from syncer.events.notice import Notice
from syncer.model import EventValue
from syncer.services.command import Command, CommandRunner

LONGEST_VALUE = 32768
"""Bytes of a variable: the kernel takes 128 KiB, and some 2 MiB of all of them."""


class CommandAction:
    """Runs what one trigger's `exec` names."""

    def __init__(
        self, words: Sequence[str], seconds: float, constants: Mapping[str, EventValue], runner: CommandRunner
    ) -> None:
        """Run `words` for at most so many seconds; `constants` is the table [variables]."""
        self._words = words
        self._seconds = seconds
        self._constants = constants
        self._runner = runner

    @property
    def shown(self) -> str:
        """The command, without what looks like a secret."""
        return Command(self._words, {}, self._seconds).shown

    def deliver(self, parcel: Parcel) -> Answer:
        """Make one attempt; only exit code 0 is done."""
        command = Command(self._words, environment_of(parcel.notice, self._constants, parcel.key), self._seconds)
        try:
            ended = self._runner.run(command, may_leave_others=True)
        except CommandError as error:
            return Answer(Outcome.LATER, str(error))
        if ended.is_ok:
            return Answer(Outcome.DONE, "ended with 0")
        how = "took longer than its time limit" if ended.timed_out else f"ended with {ended.exit}"
        last = ended.output.strip().splitlines()[-1:]
        return Answer(Outcome.LATER, f"{how}{f': {told(last[0])}' if last else ''}")


def environment_of(notice: Notice, constants: Mapping[str, EventValue], key: str) -> dict[str, str]:
    """Return what the command is told: SYNCER_ and the name of each variable, in capitals; yes/no as true or false."""
    values = {**notice.values(constants), "id": key}
    return {f"SYNCER_{name.upper()}": _text(value) for name, value in values.items()}


def _text(value: object) -> str:
    text = value.replace("\0", "") if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "backslashreplace")[:LONGEST_VALUE].decode("utf-8", "ignore")
