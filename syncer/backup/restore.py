"""Puts a backup in the place of a node's state: looked at first, made safe to start from, and then exchanged."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from syncer.backup.archive import MEMBERS, Manifest, read_backup
from syncer.errors import RefusedError, StateError, SyncerError
from syncer.model import Mode
from syncer.state.copy import copy_database
from syncer.state.lock import StateLock
from syncer.state.restored import Known, known_of, may_be_production, settle_restored
from syncer.state.store import FILE_NAME, StateStore
from syncer.trust import identity

FOLDER = "restoring"
"""Below the state directory: where a backup is taken apart; removed in any case."""
ASIDE = "before-restore-"
_LOGS = ("-wal", "-shm")


class Plan(NamedTuple):
    """What a restore would do."""

    manifest: Manifest
    was: Mode
    """What the node was when the backup was made."""
    term: int
    """The counter of the highest term that it had seen then."""
    known: Known | None
    """What the state says that stands there; None where there is none, or it cannot be read."""
    trouble: str
    """Why that cannot be read; "" where it can, or there is none."""
    becomes: Mode
    why: str


class Restoring:
    """One backup, taken apart beneath the state lock and proved; nothing stands yet."""

    def __init__(self, state: Path, folder: Path, plan: Plan, word: Mode | None) -> None:
        """Hold what `plan` says; see `restoring`."""
        self.plan = plan
        self._state = state
        self._folder = folder
        self._word = word

    def carry_out(self) -> Path | None:
        """Exchange the states; returns where the one before lies now, None where there was none. Raises StateError."""
        with StateStore.open(self._folder) as store:
            made_at = datetime.fromisoformat(self.plan.manifest.made_at).timestamp()
            settle_restored(store, self.plan.known, self._word, self.plan.why, made_at)
        # One file, without a log beside it that could be left behind.
        copy_database(self._folder / FILE_NAME, self._folder / "whole")
        try:
            return self._exchange()
        except OSError as error:
            raise StateError(
                f"{self._state}: cannot be exchanged ({error.strerror}); what stood there is in "
                f"{self._state}/{ASIDE}…: run the restore again"
            ) from error

    def _exchange(self) -> Path | None:
        names = [*MEMBERS, *(FILE_NAME + end for end in _LOGS)]
        there = [name for name in names if os.path.lexists(self._state / name)]
        aside = None
        if there:
            aside = Path(tempfile.mkdtemp(prefix=f"{ASIDE}{time.strftime('%Y%m%d-%H%M%S')}-", dir=self._state))
        for name in there:
            assert aside is not None, "there is something to put there"
            # CRASH: whatever comes between, the state is either found whole or missing, never mixed: run it again.
            (self._state / name).rename(aside / name)
        for name in MEMBERS:
            if name != FILE_NAME:
                (self._folder / name).rename(self._state / name)
        _flush(self._state)
        # CRASH: node.db comes last: without it nothing starts.
        (self._folder / "whole").rename(self._state / FILE_NAME)
        _flush(self._state)
        return aside


@contextlib.contextmanager
def restoring(state: Path, name: str, configured: Mode, file: Path, word: Mode | None) -> Iterator[Restoring]:
    """Hold a backup of the node `name` ready, under the state lock; removes what is left of it. Blocking.

    `configured` is the mode of the configuration, `word` the one that a person vouches for. Raises RefusedError where
    the backup is another node's, or the word cannot be true; LockedError where an agent runs; StateError.
    """
    _make(state)
    with StateLock.acquire(state):
        folder = state / FOLDER
        shutil.rmtree(folder, ignore_errors=True)
        try:
            folder.mkdir(mode=0o700)
        except OSError as error:
            raise StateError(f"{folder}: cannot be made ({error.strerror}); check the disk") from error
        try:
            yield Restoring(state, folder, _plan(state, folder, name, configured, file, word), word)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _make(state: Path) -> None:
    try:
        state.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            state.mkdir(mode=0o700)
    except OSError as error:
        raise StateError(f"{state}: cannot be made ({error.strerror}); choose another node.state") from error


def _plan(state: Path, folder: Path, name: str, configured: Mode, file: Path, word: Mode | None) -> Plan:
    manifest = read_backup(file, folder)
    # It opens, checks and brings up to date what was taken out, never what stands.
    with StateStore.open(folder) as store:
        identity.load(folder, store.node_id)
        then = known_of(store, configured)
        can_serve = may_be_production(store)
    if manifest.node_id != identity.load(folder).node_id:
        raise StateError(f"{file}: is damaged: its parts are of two nodes; nothing was changed")
    if manifest.node != name:
        raise RefusedError(
            f"{file} is a backup of the node {manifest.node}, and this configuration is that of {name}: "
            "nothing was changed"
        )
    known, trouble = _known(state, folder / "here", configured, manifest)
    if word is not None and known is not None:
        raise RefusedError(
            f"what this node is stands in its node.db ({known.mode.value}, term {known.term.counter}): leave --as out; "
            "only where that is lost a person has to say it"
        )
    if word is Mode.PRODUCTION and not can_serve:
        raise RefusedError(
            f"{name} was {then.mode.value} when the backup was made, so it cannot be production by a person's word: "
            "restore it as failover, and run `syncer promote`"
        )
    becomes, why = _becomes(manifest, known, word)
    return Plan(manifest, then.mode, then.term.counter, known, trouble, becomes, why)


def _becomes(manifest: Manifest, known: Known | None, word: Mode | None) -> tuple[Mode, str]:
    made = f"its state was restored from a backup of {manifest.made_at}"
    if known is not None:
        return known.mode, f"{made}; what it is was in the state that stood here"
    if word is not None:
        return word, f"{made}, and a person vouched that it is {word.value}"
    return Mode.FENCED, f"{made}, and nothing tells here which node was promoted since"


def _known(state: Path, copy: Path, configured: Mode, manifest: Manifest) -> tuple[Known | None, str]:
    """Return what the state says that stands there now, or why nothing of it can be believed."""
    if not os.path.lexists(state / FILE_NAME):
        return None, ""
    try:
        # A copy: it is brought up to date as it is opened, and what stands stays as it is until a person agrees.
        copy.mkdir(mode=0o700)
        copy_database(state / FILE_NAME, copy / FILE_NAME)
        with StateStore.open(copy) as store:
            node_id, known = store.node_id, known_of(store, configured)
    except SyncerError as error:
        return None, str(error)
    except OSError as error:
        raise StateError(f"{copy}: cannot be made ({error.strerror}); check the disk") from error
    if node_id != manifest.node_id:
        raise RefusedError(
            f"{state} is that of node {node_id}, and the backup of {manifest.node_id}: nothing was changed; move that "
            "folder away where it is to become the other node"
        )
    return known, ""


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
