"""Forks processes of syncer from one that has imported all of it: they are real, and save a second of work each."""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

LARGEST_REQUEST = 256 * 1024
_EXIT_CODE = struct.Struct("i")
_FIRST_ENVIRONMENT = frozenset(os.environ)


class ForkedProcess:
    """A process of syncer, with what the tests use of subprocess.Popen."""

    def __init__(self, pid: int, ending: socket.socket) -> None:
        """The server writes the exit code of `pid` into `ending`."""
        self.pid = pid
        self.returncode: int | None = None
        self._ending = ending

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        return self._ended(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once there is one; raises subprocess.TimeoutExpired after `timeout` seconds."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        return code

    def send_signal(self, signum: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, signum)

    def kill(self) -> None:
        """Send SIGKILL, unless it has ended."""
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            self._ending.settimeout(timeout)
            try:
                told = self._ending.recv(_EXIT_CODE.size)
            except (TimeoutError, BlockingIOError):
                return None
            [self.returncode] = _EXIT_CODE.unpack(told)
            self._ending.close()
        return self.returncode


class ForkServer:
    """The process that forks, for one process of tests; it ends with that one."""

    def __init__(self, environment: Mapping[str, str], prefix: Sequence[str] = ()) -> None:
        """Start it, by a command that begins with `prefix`; it imports all of syncer before it takes requests."""
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * LARGEST_REQUEST)
        with theirs:
            self._process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "tests.e2e.forking", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                env=environment,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def close(self) -> None:
        """End it; what it has forked goes on."""
        self._control.close()
        self._process.wait()

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], files: tuple[int, int, int], *, session: bool
    ) -> ForkedProcess:
        """Run `syncer` with these arguments; `files` are its standard input, output and error.

        With `session` it is the leader of a new one, out of reach of the terminal's signals.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            request = json.dumps([list(arguments), dict(environment), os.getcwd(), session]).encode()
            assert len(request) < LARGEST_REQUEST, "the environment is larger than was thought of"
            socket.send_fds(self._control, [request], [*files, theirs.fileno()])
        ours.settimeout(60)
        [pid] = _EXIT_CODE.unpack(ours.recv(_EXIT_CODE.size))
        return ForkedProcess(pid, ours)

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], stdin: str, seconds: float
    ) -> subprocess.CompletedProcess[str]:
        """Run `syncer` with these arguments to its end; raises subprocess.TimeoutExpired."""
        with contextlib.ExitStack() as stack:
            said, out, err = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(3))
            said.write(stdin.encode("utf-8", "surrogateescape"))
            said.seek(0)
            process = self.start(arguments, environment, (said.fileno(), out.fileno(), err.fileno()), session=False)
            try:
                code = process.wait(seconds)
            finally:
                process.kill()
                process.wait()
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode("utf-8", "surrogateescape"))
        return subprocess.CompletedProcess(["syncer", *arguments], code, *texts)


def _import_all() -> None:
    import syncer

    for module in pkgutil.walk_packages(syncer.__path__, "syncer."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def _serve(control: socket.socket) -> list[str]:
    """Fork until the tests have ended, and never return; return the arguments in each process that was forked."""
    woken, wakes = socket.socketpair()
    for end in (woken, wakes):
        end.setblocking(False)
    signal.set_wakeup_fd(wakes.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    children: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if woken in ready:
                woken.recv(4096)
                _reap(children)
            if control in ready:
                request, files, _, _ = socket.recv_fds(control, LARGEST_REQUEST, 4)
                if not request:
                    os._exit(0)
                ending = socket.socket(fileno=files.pop())
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for other in (*children.values(), ending, control, woken, wakes):
                        other.close()
                    return _become(json.loads(request), files)
                for file in files:
                    os.close(file)
                children[pid] = ending
                ending.send(_EXIT_CODE.pack(pid))


def _reap(children: dict[int, socket.socket]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with contextlib.suppress(BrokenPipeError), children.pop(pid) as ending:
            ending.send(_EXIT_CODE.pack(os.waitstatus_to_exitcode(status)))


def _become(request: tuple[list[str], dict[str, str], str, bool], files: list[int]) -> list[str]:
    """Make a fresh process of this fork: its own files, environment, folder and session."""
    set_by_imports = {key: value for key, value in os.environ.items() if key not in _FIRST_ENVIRONMENT}
    arguments, environment, folder, session = request
    for number, file in enumerate(files):
        os.dup2(file, number)
    for file in files:
        os.close(file)
    if session:
        os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(set_by_imports | environment)
    return arguments


def _main() -> NoReturn:
    control = socket.socket(fileno=int(sys.argv[1]))
    _import_all()
    from syncer.cli.main import main

    gc.collect()
    gc.freeze()
    sys.argv = ["syncer", *_serve(control)]
    if gate := os.environ.get("SYNCER_TEST_GATE"):
        # Here and not before the fork: only the agents of tests that stop them are to be others.
        importlib.import_module("tests.e2e.gate").install(Path(gate))
    sys.exit(main())


if __name__ == "__main__":
    _main()
