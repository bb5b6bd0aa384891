-- What differs on failover from what was applied, what keep_local leaves alone, and when all bytes were read again.
-- Times are seconds since 1970; they decide when a verification is due and what is shown, never about data.

-- Receiver: paths that were edited here since they were applied.
CREATE TABLE drift (
    domain TEXT NOT NULL,
    path   BLOB NOT NULL,
    what   TEXT NOT NULL,                         -- created, edited, deleted, replaced, metadata, unreadable
    since  REAL NOT NULL,                         -- when it was noticed
    PRIMARY KEY (domain, path)
) STRICT, WITHOUT ROWID;

-- Receiver: paths that keep_local left alone though production sent something for them, or that only stand here.
CREATE TABLE kept_local (
    domain TEXT NOT NULL,
    path   BLOB NOT NULL,
    PRIMARY KEY (domain, path)
) STRICT, WITHOUT ROWID;

-- Receiver: which paths production synchronizes, so that a node that starts alone knows what belongs to a domain.
CREATE TABLE received_patterns (
    domain   TEXT PRIMARY KEY,
    patterns TEXT NOT NULL                        -- JSON: the include patterns and the exclude patterns
) STRICT, WITHOUT ROWID;

-- Production: when every byte of a domain was last read again here and on a target, and what was found.
CREATE TABLE verification (
    target       TEXT NOT NULL,
    domain       TEXT NOT NULL,
    counted_from REAL NOT NULL,                   -- when waiting for the first one began
    finished     REAL,                            -- NULL: never yet
    findings     TEXT NOT NULL,                   -- JSON: the first of what it found
    total        INTEGER NOT NULL,                -- how many paths it found
    PRIMARY KEY (target, domain)
) STRICT, WITHOUT ROWID;
