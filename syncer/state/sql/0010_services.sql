-- What is known of the services of each domain on this node, so that no restart of the agent starts them again.
CREATE TABLE service (
    domain     TEXT    PRIMARY KEY,
    state      TEXT    NOT NULL,                  -- unknown | stopped | starting | running | failed
    since      REAL    NOT NULL,
    boot       TEXT    NOT NULL,                  -- the life of the machine that the rest is about
    lived      INTEGER NOT NULL,                  -- 1: they were started, seen running, or stopped by a person in it
    generation INTEGER NOT NULL,                  -- the one that they were last started with; 0: not by syncer
    detail     TEXT    NOT NULL,
    checked_at REAL
) STRICT, WITHOUT ROWID;
