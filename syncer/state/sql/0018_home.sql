-- Failover: where a content of production went, so that it can go home when production asks for it.
CREATE INDEX base_by_source ON base (domain, substr(origin, 34, 32)) WHERE origin <> x'';

-- Failover: the port that a peer listens on, and the address that it last came from: how it is reached the other way.
CREATE TABLE peer_reach (
    node_id   TEXT PRIMARY KEY,
    port      INTEGER NOT NULL,                   -- 0: it said none
    came_from TEXT NOT NULL                       -- an address; '' where it is not known
) STRICT, WITHOUT ROWID;
