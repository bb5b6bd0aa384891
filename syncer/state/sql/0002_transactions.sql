-- Receiver: the transaction that is becoming visible, at most one a domain. While its row is here the disk may be
-- between two states, and recovery carries it to its end. Removed by the commit that records the base.
CREATE TABLE intent (
    domain       TEXT    PRIMARY KEY,
    index_id     TEXT    NOT NULL,                -- the standing that it ends with
    run          TEXT    NOT NULL,
    seq          INTEGER NOT NULL,
    source_node  TEXT    NOT NULL,
    pattern_hash BLOB    NOT NULL,
    rule_hash    BLOB    NOT NULL,
    resumable    INTEGER NOT NULL CHECK (resumable IN (0, 1)),
    generation   INTEGER NOT NULL,
    is_full      INTEGER NOT NULL CHECK (is_full IN (0, 1)),  -- its problems replace all of the domain
    stage        BLOB    NOT NULL,                -- name of the directory in the staging area that it was staged in
    patterns     TEXT    NOT NULL                 -- JSON: include and exclude of production, which decide what may go
) STRICT, WITHOUT ROWID;

CREATE TABLE intent_step (
    domain      TEXT    NOT NULL REFERENCES intent (domain) ON DELETE CASCADE,
    position    INTEGER NOT NULL,                 -- steps are taken in this order
    action      TEXT    NOT NULL,                 -- apply/plan.Action, or remove | forget | keep | problem
    path        BLOB    NOT NULL,
    place       BLOB    NOT NULL,                 -- where it is staged, or where what goes is put, in the stage
    inode       INTEGER NOT NULL,                 -- of what is staged, or of what goes: tells whether the step was taken
    over        INTEGER NOT NULL,                 -- model.Kind of what stands there; 0: nothing
    here_uid    INTEGER NOT NULL,                 -- this node's numbers
    here_gid    INTEGER NOT NULL,
    atime_ns    INTEGER NOT NULL,                 -- of keep
    kind        INTEGER,                          -- model.Kind; NULL: no entry
    mode        INTEGER NOT NULL,
    uid         INTEGER NOT NULL,
    gid         INTEGER NOT NULL,
    owner       TEXT    NOT NULL,
    group_name  TEXT    NOT NULL,
    mtime_ns    INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    digest      BLOB    NOT NULL,
    link_target BLOB    NOT NULL,
    note        TEXT    NOT NULL,                 -- of problem: why
    attributes  BLOB    NOT NULL,
    link        INTEGER NOT NULL,
    PRIMARY KEY (domain, position)
) STRICT, WITHOUT ROWID;

-- Receiver: the states of a domain that can be gone back to. A row describes the transaction that made the state.
CREATE TABLE generation (
    domain       TEXT    NOT NULL,
    number       INTEGER NOT NULL,
    at           REAL    NOT NULL,
    kind         TEXT    NOT NULL,                -- partial | full | rollback
    source_node  TEXT    NOT NULL,                -- node_id and name of the production node it came from
    source_name  TEXT    NOT NULL,
    term_counter INTEGER NOT NULL,
    term_node_id TEXT    NOT NULL,
    seq          INTEGER NOT NULL,
    changes      INTEGER NOT NULL,                -- paths that it changed
    complete     INTEGER NOT NULL CHECK (complete IN (0, 1)), -- 0: it is becoming visible; see intent
    incomplete   TEXT    NOT NULL,                -- why some of what it displaced could not be kept; empty: all was
    stage        BLOB    NOT NULL,                -- where what it displaced still lies; empty: taken into the history
    PRIMARY KEY (domain, number)
) STRICT, WITHOUT ROWID;

-- Receiver: what stood at each path before a generation changed it.
CREATE TABLE displaced (
    domain      TEXT    NOT NULL,
    generation  INTEGER NOT NULL,
    parent      BLOB    NOT NULL,
    name        BLOB    NOT NULL,
    kind        INTEGER NOT NULL,                 -- model.Kind; 0: nothing stood there
    mode        INTEGER NOT NULL,
    uid         INTEGER NOT NULL,
    gid         INTEGER NOT NULL,
    owner       TEXT    NOT NULL,
    group_name  TEXT    NOT NULL,
    mtime_ns    INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    digest      BLOB    NOT NULL,                 -- of a file; empty until it is read, where it had been edited here
    link_target BLOB    NOT NULL,
    attributes  BLOB    NOT NULL,
    link        INTEGER NOT NULL,
    edited      INTEGER NOT NULL CHECK (edited IN (0, 1)), -- not as it was applied: owners are this node's
    place       BLOB    NOT NULL,                 -- where it lies in the generation's stage; empty: it was not moved by itself
    PRIMARY KEY (domain, generation, parent, name),
    FOREIGN KEY (domain, generation) REFERENCES generation (domain, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX displaced_by_digest ON displaced (domain, digest) WHERE digest <> x'';
