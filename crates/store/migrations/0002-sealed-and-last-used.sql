-- Secrets of the deployment itself, sealed under the master key, as text. What belongs to an entity
-- stands in the entity's row.
CREATE TABLE sealed (
    name TEXT PRIMARY KEY NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- When, from where and for what each access key was last used: written at intervals, outside of the
-- revisions of the directory, since nothing is decided by it.
CREATE TABLE last_used (
    key_id TEXT PRIMARY KEY NOT NULL,
    at     INTEGER NOT NULL,
    body   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
