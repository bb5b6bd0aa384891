"""A small service for tests: a daemon with a pid file, which is started, stopped, reloaded and asked as real ones are.

Run as `small_service.py ACTION FOLDER`. Each action is noted in FOLDER/log with the generation that it was told. A file
`hang` in FOLDER makes start hang, with a child that hangs, too; a file `broken` makes it fail.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path


def note(folder: Path, what: str) -> None:
    """Append a line to the log, in one write."""
    descriptor = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(descriptor, f"{what}\n".encode())
    os.close(descriptor)


def running(folder: Path) -> int:
    """Return the daemon's pid, 0 where it does not run."""
    try:
        pid = int((folder / "pid").read_text())
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return 0
    return 0 if state in "ZX" else pid


def start(folder: Path) -> int:
    """Leave a daemon behind, and return once it has written its pid."""
    if (folder / "hang").exists():
        note(folder, f"hangs {os.getpid()}")
        if os.fork() == 0:
            note(folder, f"hangs {os.getpid()}")
        while True:
            signal.pause()
    if (folder / "broken").exists():
        sys.stdout.write("the port is taken, password=hunter2\n")
        return 1
    reading, writing = os.pipe()
    if os.fork() == 0:
        daemon(folder, writing)
    os.close(writing)
    return 0 if os.read(reading, 1) else 1


def daemon(folder: Path, ready: int) -> None:
    """Run until it is killed."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)
    signal.signal(signal.SIGHUP, lambda *_: note(folder, "read again"))
    fresh = folder / "pid.new"
    fresh.write_text(str(os.getpid()))
    fresh.replace(folder / "pid")
    os.write(ready, b"x")
    os.close(ready)
    while True:
        signal.pause()


def stop(folder: Path) -> int:
    """End the daemon, and return once it has ended."""
    pid = running(folder)
    if pid:
        ended = os.pidfd_open(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        import select

        waiting = select.poll()
        waiting.register(ended, select.POLLIN)
        return 0 if waiting.poll(10_000) else 1
    return 0


def main(action: str, folder: Path) -> int:
    """Do one action."""
    note(folder, f"{action} {os.environ.get('SYNCER_GENERATION', '')}")
    pid = running(folder)
    if action == "start":
        return start(folder)
    if action == "stop":
        return stop(folder)
    if action == "reload":
        if pid:
            os.kill(pid, signal.SIGHUP)
        return 0 if pid else 7
    return 0 if pid else 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
