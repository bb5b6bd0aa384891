-- The seq at which a path first came into being, as far as it is remembered: a path that came and went within a window
-- was no loss. A tombstone keeps it, and so does what comes back over one. Rows of before were always there.
ALTER TABLE entry ADD COLUMN born INTEGER NOT NULL DEFAULT 0;
