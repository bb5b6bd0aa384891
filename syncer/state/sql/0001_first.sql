-- node.db: what this node knows and nobody else can tell it again.
-- Paths are bytes, relative to the domain's root, split into parent and name; the root is parent x'' name x''.
-- Times are seconds since 1970; they decide about expiry and display, never about data.

-- The node itself; one row.
CREATE TABLE node (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    node_id      TEXT    NOT NULL,                -- UUID, made once; also in the certificate
    mode         TEXT    CHECK (mode IN ('production', 'failover', 'fenced')),  -- NULL: as configured
    term_counter INTEGER NOT NULL DEFAULT 0,      -- highest fencing number seen; only ever raised
    term_node_id TEXT    NOT NULL DEFAULT ''
) STRICT;

-- Receiver: how far each domain is applied. Written in the same transaction as base.
CREATE TABLE standing (
    domain       TEXT    PRIMARY KEY,
    index_id     TEXT    NOT NULL,                -- the cursor: production's index, its run, the seq in it
    run          TEXT    NOT NULL,
    seq          INTEGER NOT NULL,
    source_node  TEXT    NOT NULL,                -- node_id of the production node that it came from
    pattern_hash BLOB    NOT NULL,                -- under which the cursor was reached; another means full
    rule_hash    BLOB    NOT NULL,
    resumable    INTEGER NOT NULL CHECK (resumable IN (0, 1)),
    generation   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Receiver: what was last applied, one row a path.
CREATE TABLE base (
    domain          TEXT    NOT NULL,
    parent          BLOB    NOT NULL,
    name            BLOB    NOT NULL,
    kind            INTEGER NOT NULL,             -- model.Kind
    mode            INTEGER NOT NULL,             -- permission bits, 0 to 07777
    uid             INTEGER NOT NULL,             -- as on production
    gid             INTEGER NOT NULL,
    owner           TEXT    NOT NULL,
    group_name      TEXT    NOT NULL,
    mtime_ns        INTEGER NOT NULL,
    size            INTEGER NOT NULL,             -- bytes of the source content
    digest          BLOB    NOT NULL,             -- blake3 of the source content; empty for other kinds
    link_target     BLOB    NOT NULL,
    note            TEXT    NOT NULL,
    disk_size       INTEGER NOT NULL,             -- what this node's disk said right after the apply:
    disk_mtime_ns   INTEGER NOT NULL,             -- equal identity means nobody edited it since
    disk_ctime_ns   INTEGER NOT NULL,
    inode           INTEGER NOT NULL,             -- unsigned 64 bits, stored as two's complement
    device          INTEGER NOT NULL,             -- the same
    rendered_digest BLOB    NOT NULL,             -- of the bytes on this disk; empty: same as digest
    rule_hash       BLOB    NOT NULL,             -- of the substitution that rendered them
    undo            BLOB    NOT NULL,             -- what the inverse substitution cannot know by itself
    transaction_id  INTEGER NOT NULL,             -- the generation that last wrote this path
    PRIMARY KEY (domain, parent, name)
) STRICT, WITHOUT ROWID;

-- Finds content that is already here; only files have one.
CREATE INDEX base_by_digest ON base (domain, digest) WHERE digest <> x'';

-- Receiver: paths that could not be applied; replaced as a whole by each transaction.
CREATE TABLE problem (
    domain TEXT NOT NULL,
    path   BLOB NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (domain, path)
) STRICT, WITHOUT ROWID;

-- Receiver: plans that destroy something and wait for a person, and the paths they may destroy.
CREATE TABLE approval (
    id          INTEGER PRIMARY KEY,              -- grows: the newest few of each domain are kept
    domain      TEXT NOT NULL,
    approval_id TEXT NOT NULL,
    UNIQUE (domain, approval_id)
) STRICT;

CREATE TABLE approval_path (
    approval INTEGER NOT NULL REFERENCES approval (id) ON DELETE CASCADE,
    path     BLOB    NOT NULL,
    PRIMARY KEY (approval, path)
) STRICT, WITHOUT ROWID;

-- Production: which paired node a [[failover]] table of the configuration is.
CREATE TABLE target (
    name      TEXT PRIMARY KEY,
    node_id   TEXT NOT NULL,                      -- of a row in peer, as long as it is paired
    node_name TEXT NOT NULL                       -- as the node called itself when it was paired
) STRICT, WITHOUT ROWID;

-- Production: what each target told about itself; for display, the target's own word decides.
CREATE TABLE target_progress (
    target       TEXT NOT NULL,
    domain       TEXT NOT NULL,
    index_id     TEXT,                            -- the cursor; NULL: nothing applied yet
    run          TEXT,
    seq          INTEGER,
    last_success REAL,                            -- when the target last acknowledged
    last_error   TEXT NOT NULL,                   -- empty: none since then
    last_full    REAL,                            -- when a full synchronization was last acknowledged
    PRIMARY KEY (target, domain)
) STRICT, WITHOUT ROWID;

-- Nodes whose certificate is pinned.
CREATE TABLE peer (
    node_id         TEXT PRIMARY KEY,
    name            TEXT NOT NULL,
    certificate_pem BLOB NOT NULL,
    fingerprint     TEXT NOT NULL UNIQUE,         -- SHA-256 of the certificate's DER, hexadecimal
    paired_at       REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- Failover: tokens that were handed out; deleted after they expire.
CREATE TABLE invitation (
    invitation_id   TEXT    PRIMARY KEY,          -- 16 random bytes, hexadecimal; also in the token
    secret_hash     BLOB    NOT NULL,             -- SHA-256 of 32 random bytes; the secret is only in the token
    client_key      TEXT    NOT NULL UNIQUE,      -- SHA-256 of the one-time client key's SPKI, hexadecimal
    certificate_pem BLOB    NOT NULL,             -- of that key, trusted in TLS handshakes until expires_at
    expires_at      REAL    NOT NULL,
    used_at         REAL,                         -- NULL: not used yet
    wrong_attempts  INTEGER NOT NULL DEFAULT 0    -- at 10 it is closed
) STRICT, WITHOUT ROWID;
