"""A program of its own: shows a candidate tree at its real path, and runs a command that sees it.

Started as `python -I -S namespace.py STATUS SCRATCH ROOT DEVICE:INODE [MOUNT LAYER DEVICE:INODE]... -- WORDS`,
as root, by services/command.py. It enters a mount namespace of its own and mounts an overlay on every mount
at or below ROOT: the live tree at the bottom, the LAYER with what a transaction changes above it, and on top
a scratch layer in memory that takes what the command writes. So neither the live tree nor the staged files
can be written to. The command also gets a process namespace of its own, so that nothing which it starts, and
which would hold the view for ever, outlives it. This imports nothing of syncer, to start within milliseconds.

STATUS is a pipe that says "shown" once the candidate is there, and nothing more where the command was started;
else "view TEXT", or "exec ERRNO" after the first word. A LAYER of ROOT's own mount whose numbers begin with "=" is
all that is shown: nothing of the live tree is seen behind it, nor what else is mounted below.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys

_NEW_MOUNTS, _NEW_PROCESSES = 0x00020000, 0x20000000
_READ_ONLY, _REMOUNT, _BIND, _RECURSIVE, _PRIVATE = 1, 32, 4096, 16384, 1 << 18
_NO_DEVICES_NO_SETUID = 2 | 4
_DETACH = 2
_DIE_WITH_PARENT = 1
_DEFAULT, _IGNORE = 0, 1
_SIGKILL, _SIGPIPE, _SIGTERM, _SIGXFSZ = 9, 13, 15, 25
_SCRATCH_SIZE = b"512m"
_LOCATE = os.O_PATH | os.O_CLOEXEC
_STAGING = b".syncer"
_OPTIONS = b"index=off,metacopy=off,redirect_dir=nofollow"

_libc = ctypes.CDLL(None, use_errno=True)


def show(scratch: bytes, root: bytes, identity: bytes, layers: dict[bytes, tuple[bytes, bytes]]) -> None:
    """Put the candidate at `root` for this process alone; `layers` by their mount's path below the root.

    Raises OSError where the kernel refuses, ValueError where a directory is not the one that was meant.
    """
    _call(_libc.unshare(_NEW_MOUNTS), "unshare")
    # RACE: before anything is mounted, or the host would get the mounts, too.
    _mount(None, b"/", None, _RECURSIVE | _PRIVATE, None)
    tops = _tops(root)
    _require(tops[b""], identity, root)
    sources = {}
    whole = False
    for mount, (layer, expected) in layers.items():
        whole = whole or expected.startswith(b"=")
        sources[mount] = os.open(layer, _LOCATE | os.O_DIRECTORY | os.O_NOFOLLOW)
        _require(sources[mount], expected.lstrip(b"="), layer)
    if whole:
        # What is mounted below is in the copy, or not to be seen.
        tops = {b"": tops[b""]}
    _mount(b"tmpfs", scratch, b"tmpfs", _NO_DEVICES_NO_SETUID, b"mode=0700,size=" + _SCRATCH_SIZE)
    # By descriptor from here on: its path may lie below the root, where the view is soon.
    space = b"/proc/self/fd/%d" % os.open(scratch, _LOCATE | os.O_DIRECTORY)
    view = -1
    for number, mount in enumerate(sorted(tops)):
        target = tops[b""] if view < 0 else _beneath(view, mount)
        place = space + b"/%d" % number
        os.mkdir(place, 0o700)
        if whole:
            _cover(target, sources[mount], None, place, is_inside=False)
        else:
            _cover(target, tops[mount], sources.get(mount), place, is_inside=_is_inside(layers.get(mount), root, mount))
        if view < 0:
            view = os.open(root, _LOCATE | os.O_DIRECTORY)
    # The overlays hold it; nobody needs to find it.
    _call(_libc.umount2(space, _DETACH), "umount2")


def _tops(root: bytes) -> dict[bytes, int]:
    """Open the top of every mount at or below `root`, by its path below it."""
    found = {b"": os.open(root, _LOCATE | os.O_DIRECTORY)}
    with open("/proc/self/mountinfo", "rb") as lines:
        points = [_unescaped(line.split(b" ")[4]) for line in lines]
    for point in points:
        if point.startswith(root + b"/"):
            found[point[len(root) + 1 :]] = os.open(point, _LOCATE | os.O_NOFOLLOW)
    return found


def _unescaped(field: bytes) -> bytes:
    """Undo the octal escapes of proc(5)."""
    first, *rest = field.split(b"\\")
    return first + b"".join(bytes((int(part[:3], 8),)) + part[3:] for part in rest)


def _is_inside(layer: tuple[bytes, bytes] | None, root: bytes, mount: bytes) -> bool:
    top = root + b"/" + mount if mount else root
    return layer is not None and layer[0].startswith(top + b"/")


def _cover(target: int, live: int, layer: int | None, place: bytes, *, is_inside: bool) -> None:
    """Mount what is to be seen at `target`: an overlay over `live`, or `live` itself, read-only."""
    if not stat.S_ISDIR(os.fstat(live).st_mode):
        _bind(live, target)
        return
    upper, work = place + b"/upper", place + b"/work"
    os.mkdir(upper, 0o700)
    os.mkdir(work, 0o700)
    below = [live]
    if layer is not None and is_inside:
        # An overlay refuses layers of which one lies in the other: show a copy.
        copied = place + b"/layer"
        os.mkdir(copied, 0o700)
        _copy_tree(b"/proc/self/fd/%d" % layer, copied)
        os.mknod(upper + b"/" + _STAGING, stat.S_IFCHR, 0)
        layer = os.open(copied, _LOCATE)
    if layer is not None:
        below.insert(0, layer)
    _copy_metadata(b"/proc/self/fd/%d" % below[0], upper, follow=True, only_shown=True)
    # By descriptor: a path may hold the commas and colons of the option's own syntax.
    lower = b":".join(b"/proc/self/fd/%d" % descriptor for descriptor in below)
    options = b"lowerdir=%b,upperdir=%b,workdir=%b,%b" % (lower, upper, work, _OPTIONS)
    try:
        _mount(b"overlay", b"/proc/self/fd/%d" % target, b"overlay", 0, options)
    except OSError:
        if layer is not None:
            raise
        # Some file systems cannot lie under an overlay; nothing changes in this one.
        _bind(live, target)


def _bind(source: int, target: int) -> None:
    _mount(b"/proc/self/fd/%d" % source, b"/proc/self/fd/%d" % target, None, _BIND, None)
    over = os.open(os.readlink(b"/proc/self/fd/%d" % target), _LOCATE | os.O_NOFOLLOW)
    _mount(None, b"/proc/self/fd/%d" % over, None, _REMOUNT | _BIND | _READ_ONLY, None)


def _beneath(view: int, path: bytes) -> int:
    """Open a mount point below the view, following no link."""
    here = view
    for name in path.split(b"/"):
        here = os.open(name, _LOCATE | os.O_NOFOLLOW, dir_fd=here)
    return here


def _copy_tree(source: bytes, target: bytes) -> None:
    waiting = [(source, target)]
    made = []
    while waiting:
        directory, copied = waiting.pop()
        made.append((directory, copied))
        for name in os.listdir(directory):
            path, new = directory + b"/" + name, copied + b"/" + name
            mode = os.lstat(path).st_mode
            if stat.S_ISDIR(mode):
                os.mkdir(new, 0o700)
                waiting.append((path, new))
                continue
            if stat.S_ISLNK(mode):
                os.symlink(os.readlink(path), new)
            elif stat.S_ISREG(mode):
                _copy_file(path, new)
            else:
                os.mknod(new, mode, 0)
                continue
            _copy_metadata(path, new)
    for directory, copied in reversed(made):
        _copy_metadata(directory, copied, follow=directory == source)


def _copy_file(source: bytes, target: bytes) -> None:
    reading = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    while os.sendfile(writing, reading, None, 1 << 30):
        pass
    os.close(reading)
    os.close(writing)


def _copy_metadata(source: bytes, target: bytes, *, follow: bool = False, only_shown: bool = False) -> None:
    """Copy owner, mode, attributes and times; `only_shown`: not those that speak to the overlay itself."""
    here = os.stat(source, follow_symlinks=follow)
    os.chown(target, here.st_uid, here.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(here.st_mode):
        os.chmod(target, stat.S_IMODE(here.st_mode))
        for name in os.listxattr(source, follow_symlinks=follow):
            if not (only_shown and name.startswith("trusted.overlay.")):
                _copy_attribute(source, target, name, follow=follow)
    os.utime(target, ns=(here.st_atime_ns, here.st_mtime_ns), follow_symlinks=False)


def _copy_attribute(source: bytes, target: bytes, name: str, *, follow: bool) -> None:
    value = os.getxattr(source, name, follow_symlinks=follow)
    try:
        os.setxattr(target, name, value)
    except OSError as error:
        # Older kernels keep no user attributes in memory; no program's configuration depends on one.
        if error.errno != errno.EOPNOTSUPP or not name.startswith("user."):
            raise


def _require(descriptor: int, identity: bytes, path: bytes) -> None:
    here = os.fstat(descriptor)
    if b"%d:%d" % (here.st_dev, here.st_ino) != identity:
        raise ValueError(f"{os.fsdecode(path)!a} is another directory than a moment ago")


def _mount(source: bytes | None, target: bytes, kind: bytes | None, flags: int, options: bytes | None) -> None:
    _call(_libc.mount(source, target, kind, ctypes.c_ulong(flags), options), "mount " + (kind or b"").decode())


def _call(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def run(arguments: list[bytes]) -> int:
    """Show what the arguments say and run the command; returns its exit code."""
    status = int(arguments[0])
    os.set_inheritable(status, False)
    end = arguments.index(b"--")
    scratch, root, identity, *described = arguments[1:end]
    layers = {mount: (layer, expected) for mount, layer, expected in zip(*[iter(described)] * 3, strict=True)}
    _die_with_parent()
    try:
        show(scratch, root, identity, layers)
        _call(_libc.unshare(_NEW_PROCESSES), "unshare")
    except (OSError, ValueError) as error:
        os.write(status, f"view {error}".encode("utf-8", "backslashreplace"))
        return 125
    os.chdir("/")
    os.write(status, b"shown")
    # The command is asked to end, not these two that wait for it.
    _libc.signal(_SIGTERM, ctypes.c_void_p(_IGNORE))
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(reading)
        os.write(writing, b"%d" % _first_process(status, arguments[end + 1 :]))
        os._exit(0)
    os.close(status)
    os.close(writing)
    code = os.waitstatus_to_exitcode(int(os.read(reading, 16) or b"9"))
    # The end of the first process ends all others of its namespace, also those that left the group.
    os.wait()
    if code < 0:
        _libc.signal(-code, ctypes.c_void_p(_DEFAULT))
        os.kill(os.getpid(), -code)
    return abs(code)


def _first_process(status: int, words: list[bytes]) -> int:
    """Be the first process of the namespace: start the command, and return its status once it has ended."""
    _die_with_parent()
    command = os.fork()
    if command == 0:
        # Python ignores the first two, and a program that is started would inherit that.
        for number in (_SIGPIPE, _SIGXFSZ, _SIGTERM):
            _libc.signal(number, ctypes.c_void_p(_DEFAULT))
        try:
            os.execvp(words[0], words)  # noqa: S606 - no shell is what is meant
        except OSError as error:
            os.write(status, b" exec %d" % (error.errno or 0))
        os._exit(127)
    os.close(status)
    while True:
        ended, found = os.wait()
        if ended == command:
            return found


def _die_with_parent() -> None:
    _libc.prctl(_DIE_WITH_PARENT, _SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(run([os.fsencode(argument) for argument in sys.argv[1:]]))
