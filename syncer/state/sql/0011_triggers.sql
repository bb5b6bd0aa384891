-- What triggers remember, and the actions that wait to be done; times are seconds since 1970, and decide nothing about data.

-- Up to which event of the journal the triggers have seen everything; no row: no trigger has been configured yet.
CREATE TABLE trigger_cursor (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    event INTEGER NOT NULL
) STRICT;

-- What one trigger has told and holds back.
CREATE TABLE trigger_memory (
    name     TEXT PRIMARY KEY,
    event    TEXT NOT NULL,                       -- under another one nothing of this means anything
    document TEXT NOT NULL                        -- JSON, see events/memory.py
) STRICT, WITHOUT ROWID;

-- The states that last for a trigger, and those that ended and are not told yet.
CREATE TABLE trigger_subject (
    name     TEXT NOT NULL,
    phase    TEXT NOT NULL CHECK (phase IN ('lasting', 'ended')),
    subject  TEXT NOT NULL,                       -- JSON: target, domain, path, as far as the event has them
    document TEXT NOT NULL,
    PRIMARY KEY (name, phase, subject)
) STRICT, WITHOUT ROWID;

-- Actions: durable before they are tried, deleted when they are done.
CREATE TABLE outbox (
    id        INTEGER PRIMARY KEY,
    key       TEXT NOT NULL UNIQUE,               -- the same at every attempt, so that receivers can tell
    name      TEXT NOT NULL,                      -- the trigger
    action    TEXT NOT NULL,                      -- email, exec, webhook, notify
    receivers TEXT NOT NULL,                      -- JSON: those that have not got it yet; empty where the action has none
    notice    TEXT NOT NULL,                      -- JSON, see events/notice.py
    since     REAL NOT NULL,
    attempts  INTEGER NOT NULL,
    due       REAL NOT NULL,                      -- when it is tried next
    given_up  REAL,                               -- when it was; NULL: it waits
    answer    TEXT NOT NULL                       -- what came of the latest attempt, without secrets
) STRICT;

-- When an action of a trigger was last done, and what was answered.
CREATE TABLE delivered (
    name   TEXT NOT NULL,
    action TEXT NOT NULL,
    at     REAL NOT NULL,
    answer TEXT NOT NULL,
    PRIMARY KEY (name, action)
) STRICT, WITHOUT ROWID;
