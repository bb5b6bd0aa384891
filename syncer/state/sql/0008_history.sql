-- Receiver: the contents that the history holds, beside each domain's root, named by their digests.
CREATE TABLE kept (
    domain  TEXT    NOT NULL,
    digest  BLOB    NOT NULL,
    size    INTEGER NOT NULL,
    top     BLOB    NOT NULL,                     -- the mount whose area holds it; empty: the root's own
    checked REAL    NOT NULL,                     -- when its bytes were last read and found right
    PRIMARY KEY (domain, digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX kept_by_check ON kept (domain, checked);

-- Receiver: what a generation displaced and the history could not keep, or holds no longer.
CREATE TABLE unkept (
    domain     TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    path       BLOB    NOT NULL,
    reason     TEXT    NOT NULL,
    PRIMARY KEY (domain, generation, path),
    FOREIGN KEY (domain, generation) REFERENCES generation (domain, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Receiver: states that an open procedure may still go back to; nothing that this needs is pruned.
CREATE TABLE pin (
    domain     TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    reason     TEXT    NOT NULL,
    PRIMARY KEY (domain, generation, reason)
) STRICT, WITHOUT ROWID;

-- Receiver: domains that a person rolled back; nothing is applied to them until production resumes.
CREATE TABLE rolled_back (
    domain     TEXT    PRIMARY KEY,
    generation INTEGER NOT NULL,                  -- the one that the rollback made
    target     INTEGER NOT NULL,                  -- the one whose state it brought back
    at         REAL    NOT NULL,
    person     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
