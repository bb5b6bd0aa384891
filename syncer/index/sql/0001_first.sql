-- index.db: what a scan of the disk can tell again; the file may be deleted at any time.
-- Paths are bytes, relative to the domain's root, split into parent and name; the root is parent x'' name x''.

-- The file itself; one row.
CREATE TABLE store (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    index_id TEXT    NOT NULL                     -- UUID, made with the file: a cursor of another file counts for nothing
) STRICT;

CREATE TABLE domain (
    id       INTEGER PRIMARY KEY,
    name     TEXT    NOT NULL UNIQUE,
    seq      INTEGER NOT NULL DEFAULT 0,          -- the highest that was ever given
    floor    INTEGER NOT NULL DEFAULT 0,          -- tombstones up to here are gone: a cursor below needs a full one
    entries  INTEGER NOT NULL DEFAULT 0,          -- live rows, the root among them
    torn     INTEGER NOT NULL DEFAULT 0,          -- the last group was closed while more hints arrived
    revision INTEGER NOT NULL DEFAULT 0           -- grows with each change of what is live, also where no seq is given
) STRICT;

-- One opening of the file by a process; a run ends where the next one begins.
CREATE TABLE run (
    id        INTEGER PRIMARY KEY,                -- grows
    domain_id INTEGER NOT NULL REFERENCES domain (id),
    run       TEXT    NOT NULL UNIQUE,            -- random: a copy that was put back cannot repeat one
    first_seq INTEGER NOT NULL                    -- the first that this run may give
) STRICT;

CREATE TABLE entry (
    domain_id  INTEGER NOT NULL,
    parent     BLOB    NOT NULL,
    name       BLOB    NOT NULL,
    state      INTEGER NOT NULL,                  -- 0 live; 1 tombstone; 2 hidden: lies below a directory that cannot be read
    seq        INTEGER NOT NULL,                  -- of the latest change that a target must hear of
    digest_seq INTEGER NOT NULL,                  -- of the change that brought this content to this path
    captured   REAL    NOT NULL,                  -- seconds since 1970, of seq; for display only
    kind       INTEGER NOT NULL,                  -- model.Kind
    mode       INTEGER NOT NULL,                  -- permission bits, 0 to 07777
    uid        INTEGER NOT NULL,
    gid        INTEGER NOT NULL,
    owner      TEXT    NOT NULL,
    group_name TEXT    NOT NULL,
    mtime_ns   INTEGER NOT NULL,
    size       INTEGER NOT NULL,                  -- bytes of a file
    digest     BLOB    NOT NULL,                  -- blake3 of a file's bytes; empty for other kinds
    link_target BLOB   NOT NULL,
    note       TEXT    NOT NULL,                  -- of UNKNOWN: why
    disk_size     INTEGER NOT NULL,               -- what the disk said when it was read:
    disk_mtime_ns INTEGER NOT NULL,               -- equal identity means the content need not be read again
    disk_ctime_ns INTEGER NOT NULL,
    inode      INTEGER NOT NULL,                  -- unsigned 64 bits, stored as two's complement
    device     INTEGER NOT NULL,                  -- the same
    racy       INTEGER NOT NULL CHECK (racy IN (0, 1)),  -- read so soon after its ctime that it must be read again
    PRIMARY KEY (domain_id, parent, name)
) STRICT, WITHOUT ROWID;

-- What a target lacks: everything above its cursor.
CREATE UNIQUE INDEX entry_by_seq ON entry (domain_id, seq);

-- Where a content lies; only files have one.
CREATE INDEX entry_by_digest ON entry (domain_id, digest) WHERE digest <> x'';

-- The other names of a file with hard links.
CREATE INDEX entry_by_inode ON entry (domain_id, inode) WHERE kind = 1 AND state = 0;

-- What could not be read: shown as problems.
CREATE INDEX entry_unknown ON entry (domain_id) WHERE kind = 4 AND state = 0;

CREATE INDEX entry_tombstone ON entry (domain_id, seq) WHERE state = 1;
