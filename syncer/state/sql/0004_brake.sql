-- The brake: what must be known across a restart, so that deletions spread over many groups and mounts that did not
-- come up at boot are noticed. Paths are bytes, relative to the domain's root.

-- Receiver: what was deleted within the last max_delete_window, net of renames. Written with base.
CREATE TABLE brake_deletion (
    domain  TEXT    NOT NULL,
    path    BLOB    NOT NULL,
    kind    INTEGER NOT NULL,                     -- model.Kind
    content BLOB    NOT NULL,                     -- what a rename keeps: digest of a file, target of a symlink
    at      REAL    NOT NULL,                     -- seconds since 1970; decides only when it is forgotten
    PRIMARY KEY (domain, path)
) STRICT, WITHOUT ROWID;

-- The place of a root as it was last accepted: by production for each target, by the receiver (target '') for itself.
CREATE TABLE accepted_root (
    target  TEXT    NOT NULL,
    domain  TEXT    NOT NULL,
    is_link INTEGER NOT NULL CHECK (is_link IN (0, 1)),  -- the root's own path is a symlink
    PRIMARY KEY (target, domain)
) STRICT, WITHOUT ROWID;

-- Its mounts: the one that holds the root (point x''), and all below.
CREATE TABLE accepted_mount (
    target TEXT NOT NULL,
    domain TEXT NOT NULL,
    point  BLOB NOT NULL,                         -- mount point relative to the root
    source TEXT NOT NULL,                         -- UUID of the file system, else its type and source
    inside BLOB NOT NULL,                         -- which directory of that file system is seen there
    PRIMARY KEY (target, domain, point)
) STRICT, WITHOUT ROWID;

-- Production: deletions that a person approved for a target, until they are acknowledged.
CREATE TABLE approved_deletion (
    target TEXT NOT NULL,
    domain TEXT NOT NULL,
    path   BLOB NOT NULL,
    PRIMARY KEY (target, domain, path)
) STRICT, WITHOUT ROWID;
