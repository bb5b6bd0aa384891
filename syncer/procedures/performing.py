"""Does or undoes one step on the node that it is on: within its time limit, and with every end as a value."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from syncer.errors import (
    ConfigurationError,
    InvariantError,
    PeerProtocolError,
    RefusedError,
    StepFailedError,
    SyncerError,
    UnreachableError,
)
from syncer.procedures.kinds import Run, Step
from syncer.procedures.messages import Done, Ending, Failed
from syncer.procedures.steps import StepRecord, StepSpec
from syncer.procedures.wire import RESULT_MAX, encode_document

log = logging.getLogger(__name__)

Begin = Callable[[], Awaitable[bool]]
"""Makes durable that the step begins; False where it must not any more."""

_FOR_GOOD = (RefusedError, ConfigurationError, InvariantError, PeerProtocolError)
"""Failures that another attempt does not change."""


async def do(spec: StepSpec, step: Step, run: Run, record: StepRecord, begin: Begin) -> Ending | None:
    """Do a step to its verified end; None where it did not begin because an abort came first.

    Raises UnreachableError where the peer is to be waited for, and what `begin` raises.
    """
    if not record.begun:
        failed = await _tried(spec, step.require(run))
        if isinstance(failed, Failed):
            return failed._replace(begun=False)
    if not await begin():
        return None
    if record.begun and not spec.idempotent and not isinstance(await _tried(spec, step.verify(run)), Failed):
        return Done({})
    return await _tried(spec, _done(step, run))


async def undo(spec: StepSpec, step: Step, run: Run) -> Ending:
    """Undo a step. Raises UnreachableError where the peer is to be waited for."""
    return await _tried(spec, step.undo(run))


async def verify(spec: StepSpec, step: Step, run: Run) -> Ending:
    """Prove that a step stands. Raises UnreachableError where the peer is to be waited for."""
    return await _tried(spec, step.verify(run))


async def _done(step: Step, run: Run) -> Mapping[str, Any]:
    result = await step.do(run)
    encode_document(result, RESULT_MAX, "the result of the step")
    await step.verify(run)
    return result


async def _tried(spec: StepSpec, action: Awaitable[Mapping[str, Any] | None]) -> Ending:
    try:
        async with _within(spec):
            return Done(await action or {})
    except UnreachableError:
        raise
    except StepFailedError as error:
        return Failed(str(error), error.again, begun=True)
    except SyncerError as error:
        return Failed(str(error), not isinstance(error, _FOR_GOOD), begun=True)
    except Exception as error:
        log.exception("the step %s failed by a fault in syncer", spec.name)
        return Failed(f"a fault in the agent ({type(error).__name__}): see its log", again=False, begun=True)


@asynccontextmanager
async def _within(spec: StepSpec) -> AsyncIterator[None]:
    limit = asyncio.timeout(spec.limit or None)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        # Also an action may raise it, for a reason of its own.
        if not limit.expired():
            raise
        raise StepFailedError(f"it took longer than {spec.limit:g} s") from error
