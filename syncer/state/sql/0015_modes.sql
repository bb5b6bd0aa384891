-- The highest counter that this node ever took for itself as production: said to whom a promotion of the same
-- counter has fenced it, so that both know of a split brain.
ALTER TABLE node ADD COLUMN held_counter INTEGER NOT NULL DEFAULT 0;
-- How often the node was started; with it a peer tells a restart from a copy of this node's identity.
ALTER TABLE node ADD COLUMN starts INTEGER NOT NULL DEFAULT 0;

UPDATE node SET held_counter = term_counter WHERE mode = 'production' AND term_node_id = node_id;

-- The last change of the mode; one row at most.
CREATE TABLE mode_change (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    at     REAL    NOT NULL,
    before TEXT    NOT NULL,                      -- the mode that it left
    why    TEXT    NOT NULL,                      -- a sentence for people
    peer   TEXT    NOT NULL,                      -- name of the node that it came from; empty: nobody's
    told   INTEGER NOT NULL CHECK (told IN (0, 1)) -- whether its event is durable
) STRICT;

-- Which start of each peer was seen last, by its node id.
CREATE TABLE peer_start (
    node_id  TEXT    PRIMARY KEY,
    starts   INTEGER NOT NULL,
    instance TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
