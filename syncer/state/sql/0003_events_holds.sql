-- What happened on this node, and why a target or a domain is not sent by a person's word.

-- Events, in the order in which they happened; bounded by count and age.
CREATE TABLE event (
    id        INTEGER PRIMARY KEY,              -- grows: who follows goes on behind the last one seen; the newest stays
    at        REAL NOT NULL,
    name      TEXT NOT NULL,                      -- one of the catalogue's
    variables TEXT NOT NULL                       -- a JSON object
) STRICT;

CREATE INDEX event_by_time ON event (at);

-- Production: targets that a person suspended.
CREATE TABLE suspension (
    target TEXT NOT NULL,
    domain TEXT NOT NULL,                         -- empty: all domains of the target
    reason TEXT NOT NULL,                         -- in the person's words; may be empty
    since  REAL NOT NULL,
    until  REAL,                                  -- when it ends by itself; NULL: only by `resume`
    PRIMARY KEY (target, domain)
) STRICT, WITHOUT ROWID;

-- Production: domains that are held while a command runs, or since one has failed.
CREATE TABLE hold (
    id         TEXT PRIMARY KEY,
    domain     TEXT    NOT NULL,
    pid        INTEGER NOT NULL,                  -- of the `syncer hold` process
    start_time TEXT    NOT NULL,                  -- boot id and start time: tells a later process of the same number apart
    command    TEXT    NOT NULL,                  -- for display
    since      REAL    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('active', 'failed')),
    detail     TEXT    NOT NULL                   -- how it failed
) STRICT, WITHOUT ROWID;
