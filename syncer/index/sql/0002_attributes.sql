-- Attributes and hard links. What was recorded without them is not known to be complete, and only reading each
-- path again tells: the index begins anew, under another id.
ALTER TABLE entry ADD COLUMN attributes BLOB NOT NULL DEFAULT x'';   -- extended attributes, see syncer/attributes.py
ALTER TABLE entry ADD COLUMN link INTEGER NOT NULL DEFAULT 0;        -- equal for all names of one file; 0: it has one name

DELETE FROM entry;
DELETE FROM run;
DELETE FROM domain;
DELETE FROM store;

-- What could not be captured, wholly (kind 4) or in part: shown as problems.
DROP INDEX entry_unknown;
CREATE INDEX entry_noted ON entry (domain_id) WHERE note <> '' AND state = 0;
