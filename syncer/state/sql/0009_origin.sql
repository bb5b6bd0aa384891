-- Receiver: the digest of the base is that of the bytes on this disk; what production has where substitution made
-- other bytes of it, with what leads back, is one value that travels with the entry.
ALTER TABLE base DROP COLUMN rendered_digest;
ALTER TABLE base DROP COLUMN rule_hash;
ALTER TABLE base DROP COLUMN undo;
ALTER TABLE base ADD COLUMN origin BLOB NOT NULL DEFAULT x'';         -- see syncer/origin.py; empty: production's own bytes
ALTER TABLE intent_step ADD COLUMN origin BLOB NOT NULL DEFAULT x'';
ALTER TABLE displaced ADD COLUMN origin BLOB NOT NULL DEFAULT x'';

-- Receiver: the substitution rules that production has ever rendered with, as long as something of them stands here.
CREATE TABLE rule_set (
    hash  BLOB PRIMARY KEY,
    rules BLOB NOT NULL                           -- as substitution/rules.py encodes them
) STRICT, WITHOUT ROWID;

-- Receiver: the rules that a peer named last, for all domains at pairing (domain empty), for one in each handshake.
CREATE TABLE peer_rules (
    node_id TEXT NOT NULL,
    domain  TEXT NOT NULL,
    hash    BLOB NOT NULL,                        -- empty: none
    PRIMARY KEY (node_id, domain)
) STRICT, WITHOUT ROWID;
