"""The words of the system as values: entries, changes, cursors, terms, problems; no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum, IntEnum
from typing import NamedTuple

DIGEST_SIZE = 32
"""Bytes of a blake3 digest, as every part of syncer stores and sends it."""

EventValue = str | int | float | bool
"""What a variable of an event can be."""
RecordEvent = Callable[[str, Mapping[str, EventValue]], None]
"""Raises an event by its name, with its variables; `node` may be left out. Blocks nobody."""


class Kind(IntEnum):
    """What stands at a path. UNKNOWN: something does, but it could not be read or cannot be copied."""

    FILE = 1
    DIRECTORY = 2
    SYMLINK = 3
    UNKNOWN = 4


class Mode(Enum):
    """What a node is now; DESIGN's table says what each may do."""

    PRODUCTION = "production"
    FAILOVER = "failover"
    FENCED = "fenced"


class Entry(NamedTuple):
    """One path of a domain as it is on production.

    A NamedTuple, not a dataclass: a full synchronization makes one for every path, and this is
    three times cheaper to build.
    """

    path: bytes
    """Relative to the domain's root, components joined by b"/"; b"" is the root itself."""
    kind: Kind
    mode: int
    """Permission bits with setuid, setgid and sticky (0 to 0o7777); 0 for symlinks and UNKNOWN."""
    uid: int
    gid: int
    owner: str
    """Name of uid on the sending node; "" where it has none."""
    group: str
    mtime_ns: int
    size: int
    """Bytes of a file; 0 for all other kinds."""
    digest: bytes
    """blake3 of a file's bytes; b"" for all other kinds."""
    link_target: bytes
    """Where a symlink points, as stored; b"" for all other kinds."""
    note: str = ""
    """For UNKNOWN: why, in words for the operator; else what of it could not be captured."""
    attributes: bytes = b""
    """Extended attributes and access lists in the encoding of syncer/attributes.py; b"": none."""
    link: int = 0
    """Of a file: 0 where it has one name, else a number equal for all names of the same file (below 2**63)."""
    origin: bytes = b""
    """Of a file that substitution concerns: what production has, encoded by syncer/origin.py; b"": the same bytes."""


class DiskIdentity(NamedTuple):
    """What the file system says of a path; equal identity means the content need not be read again."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int


class Known(NamedTuple):
    """A path as a store remembers it: the entry, and the disk identity it was read at."""

    entry: Entry
    identity: DiskIdentity
    racy: bool = False
    """Read so soon after its ctime that a later edit could carry the same identity: read it again."""


class Change(NamedTuple):
    """One row of the index above a cursor: a path's latest entry, or its deletion (entry None)."""

    seq: int
    path: bytes
    entry: Entry | None


class Cursor(NamedTuple):
    """How far a target has durably applied one domain."""

    index_id: str
    run: str
    seq: int


class Term(NamedTuple):
    """Fencing number: compared by counter, then by node id; a lower one is refused everywhere."""

    counter: int
    node_id: str


TERM_COUNTER_MAX = 2**53
"""A counter above it is no promotion's: nothing takes it from a peer, and it survives JSON and node.db."""


class Start(NamedTuple):
    """One start of a node: which one it is, and a random id that no other start has, not even that of a copy."""

    number: int
    instance: str


NEVER = Start(0, "")
"""What a node says that does not count its starts."""


class Problem(NamedTuple):
    """A path that could not be handled; shown to the operator, never swallowed, never fatal."""

    domain: str
    path: bytes
    reason: str


class Mount(NamedTuple):
    """A file system that is seen at or below a root; nothing in it changes with a reboot."""

    point: bytes
    """Mount point relative to the root; b"" for the file system that holds the root itself."""
    source: str
    """"UUID=…" where the file system has one, else its type and source."""
    inside: bytes
    """Which directory of the file system stands there."""


class RootShape(NamedTuple):
    """What a root's place is made of; another one may show other files without anybody having deleted any."""

    is_link: bool
    """The root's own path is a symlink."""
    mounts: frozenset[Mount]


class Patterns(NamedTuple):
    """Which paths of a domain are synchronized, in gitignore syntax; exclude wins."""

    include: tuple[str, ...] = ("**",)
    exclude: tuple[str, ...] = ()


class Head(NamedTuple):
    """Where the index of one domain stands: what a target must reach to be equal."""

    index_id: str
    run: str
    seq: int


def parent_of(path: bytes) -> bytes:
    """Return the directory that holds `path`; the root's parent is the root (b"")."""
    return path.rpartition(b"/")[0]


def name_of(path: bytes) -> bytes:
    """Return the last component of `path`."""
    return path.rpartition(b"/")[2]


def join(parent: bytes, name: bytes) -> bytes:
    """Return the path of `name` in directory `parent` (b"" is the root)."""
    return parent + b"/" + name if parent else name


def is_beneath(path: bytes, ancestor: bytes) -> bool:
    """Tell whether `path` is `ancestor` or lies below it; everything lies below the root (b"")."""
    return not ancestor or path == ancestor or path.startswith(ancestor + b"/")


def shown(path: bytes) -> str:
    """Return `path` for people and JSON: UTF-8, other bytes as surrogate escapes (as os.fsdecode)."""
    return path.decode("utf-8", "surrogateescape") or "."


def path_flaw(path: bytes) -> str | None:
    """Say why a path from a peer cannot be accepted, or None where it can (b"" is the root).

    The rules are those of POSIX pathnames (NAME_MAX 255, PATH_MAX 4096, no NUL), and that a
    relative path without "." and ".." cannot leave its root.
    """
    if not path:
        return None
    if b"\0" in path:
        return "contains a NUL byte"
    if len(path) > 4095:
        return "is longer than 4095 bytes"
    for name in path.split(b"/"):
        if not name:
            return "has an empty component"
        if name in (b".", b".."):
            return "has a '.' or '..' component"
        if len(name) > 255:
            return "has a component longer than 255 bytes"
    return None


class ServiceState(Enum):
    """How a domain's services are, as far as this node knows."""

    UNKNOWN = "unknown"
    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"


class ServiceLife(NamedTuple):
    """What this node knows of a domain's services (times in seconds since 1970)."""

    state: ServiceState = ServiceState.UNKNOWN
    since: float = 0.0
    boot: str = ""
    """The life of the machine that all this is about; "" where nothing was ever recorded."""
    lived: bool = False
    """They were started, seen running, or stopped by a person since the machine was: synchronization starts them no
    more."""
    generation: int = 0
    """The one that they were last started with; 0: not by syncer."""
    detail: str = ""
    """What is wrong, for a person to look at; "" where nothing is."""
    checked_at: float | None = None
    """When `status` last said how they are."""
