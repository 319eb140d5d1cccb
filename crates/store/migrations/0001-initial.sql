-- What belongs to the whole deployment.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Tells one deployment from another; not secret.
INSERT INTO meta (key, value) VALUES ('deployment_id', lower(hex(randomblob(16))));

-- One row an entity. What was deleted keeps its row, without a body, for ever: its id is taken.
-- Read back in the order of creation, which is that of `rowid`.
CREATE TABLE entity (
    path     TEXT PRIMARY KEY NOT NULL,
    kind     TEXT NOT NULL,
    body     TEXT,
    revision INTEGER NOT NULL CHECK (revision > 0)
) STRICT;

CREATE TRIGGER entity_keeps_its_row BEFORE DELETE ON entity BEGIN
    SELECT RAISE(ABORT, 'a deleted entity keeps its row');
END;

-- One row a change, without gaps: the last one tells the revision of the directory.
CREATE TABLE audit (
    revision  INTEGER PRIMARY KEY NOT NULL CHECK (revision > 0),
    at        INTEGER NOT NULL,
    principal TEXT NOT NULL,
    actions   TEXT NOT NULL,
    resource  TEXT NOT NULL,
    summary   TEXT NOT NULL,
    source    TEXT
) STRICT;

CREATE TRIGGER audit_has_no_gaps BEFORE INSERT ON audit
WHEN NEW.revision <> (SELECT coalesce(max(revision), 0) + 1 FROM audit) BEGIN
    SELECT RAISE(ABORT, 'revisions follow each other');
END;

CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit BEGIN
    SELECT RAISE(ABORT, 'audit is never changed');
END;

CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit BEGIN
    SELECT RAISE(ABORT, 'audit is never deleted');
END;
