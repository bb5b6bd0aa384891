-- Signed statements of production nodes about other nodes: this node's own, and those that were taken from others.
CREATE TABLE introduction (
    issuer    TEXT    NOT NULL,                   -- node_id
    subject   TEXT    NOT NULL,                   -- node_id
    counter   INTEGER NOT NULL,
    body      BLOB    NOT NULL,                   -- what was signed, see syncer/trust/introductions.py
    signature BLOB    NOT NULL,
    at        REAL    NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;

-- Nodes that are pinned by a statement alone, and whose it was; one that was paired has no row.
CREATE TABLE introduced (
    node_id TEXT PRIMARY KEY,
    issuer  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Identities that count no more, this node's own among them where it was retired; never forgotten.
CREATE TABLE retired (
    node_id         TEXT PRIMARY KEY,
    name            TEXT NOT NULL,
    certificate_pem BLOB NOT NULL,                -- let into handshakes, so that its owner is told why it is refused
    fingerprint     TEXT NOT NULL,
    issuer          TEXT NOT NULL,
    issuer_name     TEXT NOT NULL,
    body            BLOB NOT NULL,
    signature       BLOB NOT NULL,
    addresses       TEXT NOT NULL,                -- where it was reached, with spaces between
    at              REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- Which statements (blake3 of the body) each node has answered, so that each is told once.
CREATE TABLE statement_told (
    peer   TEXT NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (peer, digest)
) STRICT, WITHOUT ROWID;

-- Keys with which nodes that were introduced may knock where they are not known yet; one for each issuer.
CREATE TABLE door (
    issuer          TEXT PRIMARY KEY,
    certificate_pem BLOB NOT NULL,
    key_pem         BLOB NOT NULL
) STRICT, WITHOUT ROWID;
