-- What substitution makes of a content: rendered once for all targets that share the rules of a path.
CREATE TABLE rendering (
    mapping  BLOB    NOT NULL,                    -- which addresses become which, see substitution/rules.mapping_key
    digest   BLOB    NOT NULL,                    -- of production's bytes
    rendered BLOB    NOT NULL,                    -- of what they become; empty: the same bytes, and nothing to undo
    size     INTEGER NOT NULL,                    -- bytes of what they become
    undo     BLOB    NOT NULL,                    -- what the inverse cannot know by itself
    PRIMARY KEY (mapping, digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX rendering_by_rendered ON rendering (rendered, mapping) WHERE rendered <> x'';
