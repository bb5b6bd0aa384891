-- The highest counter that this node has chosen for a promotion, whatever became of that: no promotion takes one twice.
ALTER TABLE node ADD COLUMN reserved_counter INTEGER NOT NULL DEFAULT 0;

-- While this node is fenced because it handed its mode over itself, as a step of a procedure; one row at most.
CREATE TABLE handover (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    procedure TEXT    NOT NULL,                   -- its id
    counter   INTEGER NOT NULL,                   -- the term that it handed over to
    node_id   TEXT    NOT NULL
) STRICT;
