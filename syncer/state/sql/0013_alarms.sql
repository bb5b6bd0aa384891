-- What must not be told twice, nor be forgotten by a restart: suspensions by failures, and alarms that stand.

-- Production: targets that failures in a row have suspended, for each domain.
CREATE TABLE failure_suspension (
    target   TEXT NOT NULL,
    domain   TEXT NOT NULL,
    kind     TEXT NOT NULL,                       -- a class of replicate/failures.py
    error    TEXT NOT NULL,
    failures INTEGER NOT NULL,
    since    REAL NOT NULL,
    PRIMARY KEY (target, domain)
) STRICT, WITHOUT ROWID;

-- Alarms that were raised and whose end was not told yet.
CREATE TABLE alarm (
    name   TEXT NOT NULL,                         -- the event that began it
    peer   TEXT NOT NULL,                         -- the target or node that it is about; empty: none
    domain TEXT NOT NULL,                         -- empty: none
    since  REAL NOT NULL,
    PRIMARY KEY (name, peer, domain)
) STRICT, WITHOUT ROWID;
