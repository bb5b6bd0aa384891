-- Attributes and hard links of what was applied.
ALTER TABLE base ADD COLUMN attributes BLOB NOT NULL DEFAULT x'';    -- as on production, see syncer/attributes.py
ALTER TABLE base ADD COLUMN link INTEGER NOT NULL DEFAULT 0;         -- equal for all names of one file on production; 0: one name

-- Rows from before say nothing of attributes: with another ctime they are looked at again.
UPDATE base SET disk_ctime_ns = 0;

-- The other names of a file.
CREATE INDEX base_by_link ON base (domain, link) WHERE link <> 0;
