-- Production: the substitution rules under which a target reached its cursor; others mean that it stands behind.
ALTER TABLE target_progress ADD COLUMN rule_hash BLOB NOT NULL DEFAULT x'';
