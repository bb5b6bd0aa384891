-- Failover: domains whose latest transaction stands although its check has not passed yet.
CREATE TABLE unchecked (
    domain            TEXT    PRIMARY KEY,
    generation        INTEGER NOT NULL,
    term              INTEGER NOT NULL,           -- its counter
    before_generation INTEGER NOT NULL,           -- the last one that passed
    index_id          TEXT,                       -- the cursor before; NULL: nothing was applied yet
    run               TEXT,
    seq               INTEGER
) STRICT, WITHOUT ROWID;

-- Failover: domains whose services have not been reloaded since something changed for them.
CREATE TABLE pending_reload (
    domain     TEXT    PRIMARY KEY,
    generation INTEGER NOT NULL,
    term       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
