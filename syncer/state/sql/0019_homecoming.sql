-- Production: what was decided for a node that was production, domain by domain, so that the stream home obeys it.
CREATE TABLE homecoming (
    node_id   TEXT    NOT NULL,                   -- of the other node
    domain    TEXT    NOT NULL,
    procedure TEXT    NOT NULL,                   -- its id
    mark      BLOB    NOT NULL,                   -- of the base; another one: the direction has changed since
    index_id  TEXT    NOT NULL,                   -- where this node's index stood as it was compared
    run       TEXT    NOT NULL,
    seq       INTEGER NOT NULL,
    filled    INTEGER NOT NULL,                   -- 1: the stream goes on by itself: all is there, or it is undone
    PRIMARY KEY (node_id, domain)
) STRICT, WITHOUT ROWID;

-- Paths of which something was decided; all others go home as they stand.
CREATE TABLE home_choice (
    node_id    TEXT    NOT NULL,
    domain     TEXT    NOT NULL,
    path       BLOB    NOT NULL,
    choice     TEXT    NOT NULL,                  -- theirs, rewritten or ours
    mode       INTEGER,                           -- theirs: the directory that it is there; else all of them NULL
    uid        INTEGER,
    gid        INTEGER,
    owner      TEXT,
    group_name TEXT,
    mtime_ns   INTEGER,
    attributes BLOB,
    PRIMARY KEY (node_id, domain, path),
    FOREIGN KEY (node_id, domain) REFERENCES homecoming (node_id, domain) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Receiver: generations that are kept whatever the limits of the history say, recorded before they are made.
CREATE TABLE protected (
    domain     TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    reason     TEXT    NOT NULL,
    since      REAL    NOT NULL,                  -- Unix seconds
    PRIMARY KEY (domain, generation)
) STRICT, WITHOUT ROWID;

-- Receiver: paths at which production wants what stands here to stay; they are no edits of what was applied.
CREATE TABLE stays (
    domain TEXT NOT NULL,
    path   BLOB NOT NULL,
    PRIMARY KEY (domain, path)
) STRICT, WITHOUT ROWID;
