-- Receiver: by what a peer is reached, as it said last, to be looked for in the files here.
CREATE TABLE peer_address (
    node_id TEXT NOT NULL,
    address TEXT NOT NULL,
    PRIMARY KEY (node_id, address)
) STRICT, WITHOUT ROWID;
