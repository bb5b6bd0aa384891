-- When a path came into being last, and ceased to be before that (0: never, as far as is remembered): so it is known
-- whether it was there at an earlier seq, and what came and went since is no loss. Rows of before were always there.
ALTER TABLE entry ADD COLUMN born INTEGER NOT NULL DEFAULT 0;
ALTER TABLE entry ADD COLUMN died INTEGER NOT NULL DEFAULT 0;
