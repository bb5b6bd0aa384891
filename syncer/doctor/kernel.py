"""The machine: what syncer's rights and the kernel allow."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path

from syncer.apply.candidate import Candidate, Layer
from syncer.config import DomainSettings
from syncer.doctor.findings import Finding, fine, noted, warned
from syncer.doctor.subject import Subject
from syncer.errors import CommandError, ViewError
from syncer.files import Resolution
from syncer.files.beneath import best_resolution
from syncer.services.command import Command, CommandRunner

QUEUE_LEAST = 16_384
"""The kernel's own default of fs.inotify.max_queued_events."""
VIEW_SECONDS = 10.0


def kernel(subject: Subject) -> Iterator[Finding]:
    """Yield what this machine does not let syncer do."""
    yield from _rights()
    if best_resolution() is Resolution.OPENAT2:
        yield fine(f"Linux {platform.release()} resolves paths safely by itself (openat2)")
    else:
        what = "openat2 is missing or forbidden, so paths are resolved name by name, which is safe but slower"
        yield noted(what, f"Linux {platform.release()}", "use Linux 5.6 or newer, or allow the call in the container")
    yield from _watching(subject)
    if subject.receives:
        for domain in subject.domains:
            if domain.check:
                yield from _views(domain)


def _rights() -> Iterator[Finding]:
    if os.geteuid() == 0:
        yield fine("runs as root")
        return
    what = (
        f"runs as user {os.geteuid()}, not as root: it synchronizes what this user can read and write; owners, "
        "capabilities and trusted attributes cannot be set, and a check comes only after the commit"
    )
    yield noted(what, "", "run it as root where trees like /etc are synchronized")


def _watching(subject: Subject) -> Iterator[Finding]:
    if failure := subject.machine.watching_fails():
        cure = "raise fs.inotify.max_user_instances with sysctl, or end a program that uses many"
        yield warned(f"inotify cannot be used now ({failure}): changes would be found by scans only", "inotify", cure)
    queue = subject.machine.limit("fs.inotify.max_queued_events")
    if queue is not None and queue < QUEUE_LEAST:
        what = f"is {queue:,}: a burst of changes overflows the queue, and then everything is scanned"
        yield warned(what, "fs.inotify.max_queued_events", f"raise it to {QUEUE_LEAST} or more with sysctl")


def _views(domain: DomainSettings) -> Iterator[Finding]:
    """Show an empty change of the real root to /bin/true, in a namespace that ends with it."""
    where = f"domains.{domain.name}.check"
    root = os.path.realpath(domain.path)
    try:
        here = os.stat(root)
        with tempfile.TemporaryDirectory(prefix="syncer-doctor-") as folder:
            scratch, layer = Path(folder) / "scratch", Path(folder) / "layer"
            scratch.mkdir(0o700)
            layer.mkdir(0o700)
            changed = layer.stat()
            layers = (Layer(b"", os.fsencode(layer), changed.st_dev, changed.st_ino),)
            candidate = Candidate(os.fsencode(root), here.st_dev, here.st_ino, layers, os.fsencode(scratch))
            CommandRunner().run(Command(("true",), {}, VIEW_SECONDS), candidate)
    except FileNotFoundError:
        # The root is missing: that is said elsewhere.
        return
    except (ViewError, CommandError, OSError) as error:
        what = f"the new tree cannot be shown to it before it stands ({error}): it runs after the commit, and undoes it"
        yield warned(what, where, "run the agent as root, with overlayfs in the kernel and /proc mounted")
        return
    yield fine("sees the new tree before it is live", where)
