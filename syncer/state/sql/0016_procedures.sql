-- The journal of procedures, on the node that leads one and on the one that does its orders; times are for display only.
CREATE TABLE procedure (
    id         TEXT PRIMARY KEY,
    number     INTEGER NOT NULL UNIQUE,           -- in the order in which this node learned of them
    kind       TEXT NOT NULL,
    role       TEXT NOT NULL CHECK (role IN ('lead', 'second')),
    peer       TEXT NOT NULL,                     -- node_id of the other node
    peer_name  TEXT NOT NULL,
    parameters TEXT NOT NULL,                     -- a JSON object
    outcome    TEXT NOT NULL CHECK (outcome IN ('open', 'finished', 'aborted')),
    abort      TEXT NOT NULL,                     -- why it is undone; empty: it is not
    forced     INTEGER NOT NULL,                  -- 1: undone without the other node
    told       INTEGER NOT NULL,                  -- 0: the second is still to be told how it ended
    report     TEXT NOT NULL,                     -- a JSON object, once it has ended
    begun      REAL NOT NULL,
    ended      REAL
) STRICT, WITHOUT ROWID;

-- One open procedure for each pair of nodes.
CREATE UNIQUE INDEX procedure_open ON procedure (peer) WHERE outcome = 'open';

CREATE TABLE procedure_step (
    procedure TEXT NOT NULL REFERENCES procedure (id) ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    name      TEXT NOT NULL,
    state     TEXT NOT NULL CHECK (state IN ('pending', 'running', 'done', 'failed', 'undoing', 'undone')),
    begun     INTEGER NOT NULL,                   -- its action may have taken effect
    reason    TEXT NOT NULL,                      -- how it last failed
    again     INTEGER NOT NULL,                   -- 1: trying again may help; 0: a person must look
    attempts  INTEGER NOT NULL,
    result    TEXT NOT NULL,                      -- a JSON object, once it was done
    since     REAL,
    PRIMARY KEY (procedure, position),
    UNIQUE (procedure, name)
) STRICT, WITHOUT ROWID;
