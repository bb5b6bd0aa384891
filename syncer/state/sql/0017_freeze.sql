-- Production: which domains are to take no changes, and what was done to their services and roots for it.

-- Who wants a domain frozen: a domain thaws when nobody does.
CREATE TABLE freeze (
    domain    TEXT    NOT NULL,
    by        TEXT    NOT NULL,                   -- operator, or the id of a procedure
    since     REAL    NOT NULL,
    until     REAL    NOT NULL,                   -- when it ends by itself; not while that procedure is open
    reason    TEXT    NOT NULL,
    read_only INTEGER NOT NULL,
    PRIMARY KEY (domain, by)
) STRICT, WITHOUT ROWID;

-- What stands, and has to be undone: recorded before it is done.
CREATE TABLE frozen (
    domain      TEXT    PRIMARY KEY,
    since       REAL    NOT NULL,
    was_running INTEGER NOT NULL,                 -- 1: the services ran before
    stopped_in  TEXT    NOT NULL,                 -- the life of the machine in which `freeze` was begun; empty: it was not
    is_stopped  INTEGER NOT NULL,                 -- 1: it has ended well
    cover_root  BLOB    NOT NULL,                 -- where a read-only mount covers the root; empty: nowhere
    cover_boot  TEXT    NOT NULL,                 -- the life of the machine in which it was mounted
    cover_depth INTEGER NOT NULL,                 -- how many mounts were at that point before
    index_id    TEXT    NOT NULL,                 -- what is above this head has changed since; empty: it does not stand yet
    run         TEXT    NOT NULL,
    seq         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
