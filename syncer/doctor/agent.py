"""The agent: whether one runs and answers, and what it says of its domains and its clock."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator, Mapping
from typing import Any

from syncer.config import parse_address
from syncer.doctor.findings import Finding, broken, fine, noted, warned
from syncer.doctor.subject import Subject

SKEW_MOST = 30.0
"""Seconds that two clocks may differ: invitations expire by them, and people compare times."""


def agent(subject: Subject) -> Iterator[Finding]:
    """Yield whether the agent runs, and where none does whether one could listen."""
    if subject.agent.trouble:
        # Its sentence holds the cure.
        yield broken(subject.agent.trouble, "agent", "")
        return
    status = subject.agent.status
    if status is None:
        yield noted("none runs, so nothing is captured, sent or received now", "agent", "start it with `syncer agent`")
        for key, address in (("listen", subject.settings.node.listen), ("http", subject.settings.node.http)):
            if address:
                yield from _listening(address, f"node.{key}")
        return
    yield fine(f"runs as process {status['pid']}, listening on {status['listen']}", "agent")
    asked = {domain.name for domain in subject.domains}
    for domain in status["domains"]:
        if domain["name"] in asked and domain["state"] in ("unavailable", "failing"):
            yield broken(f"is {domain['state']}", f"domain {domain['name']}", domain["reason"])
    for target in status["targets"]:
        yield from _target(target)
    yield from _production(subject, status["production"])


def _target(target: Mapping[str, Any]) -> Iterator[Finding]:
    where = f"target {target['name']}"
    if target["state"] in ("suspended", "unreachable"):
        yield warned(f"is {target['state']}: {target['reason']}", where, "see `syncer status`")
    yield from _skew(where, target["clock_skew_seconds"])
    for limit in sorted({limit for domain in target["domains"] for limit in domain["limits"]}):
        yield noted(f"limit: {limit}", where)


def _production(subject: Subject, production: Mapping[str, Any] | None) -> Iterator[Finding]:
    if production is None:
        return
    where = f"production {production['name']}"
    silent = production["seconds_since_heard"]
    if silent > subject.settings.node.peer_timeout:
        yield warned(f"has been silent for {silent:.0f} s", where, "look at production and the network")
    yield from _skew(where, production["clock_skew_seconds"])


def _skew(where: str, seconds: float | None) -> Iterator[Finding]:
    if seconds is not None and abs(seconds) > SKEW_MOST:
        what = f"its clock differs from this one by {abs(seconds):.0f} s"
        yield warned(what, where, "let both nodes keep time by NTP")


def _listening(listen: str, key: str) -> Iterator[Finding]:
    """Take the port for a moment, without listening on it."""
    address = parse_address(listen, any_port=True)
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # As the agent's own socket: what is left of an earlier agent's connections does not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        cures = {
            errno.EADDRINUSE: f"end what listens there, or change {key}",
            errno.EACCES: "choose a port from 1024 on, or run as root",
        }
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror
        cure = cures.get(number, f"write an address of this machine into {key}")
        yield broken(f"cannot listen on {listen} ({reason})", key, cure)
        return
    yield fine(f"{listen} is free", key)
