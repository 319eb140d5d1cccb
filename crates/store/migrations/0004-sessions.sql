-- Sessions of temporary credentials that may still be open, for lists of them. Nothing of their
-- credentials, and nothing is decided by it: what ends them stands in the directory.
CREATE TABLE session (
    id      TEXT PRIMARY KEY NOT NULL,
    expires INTEGER NOT NULL,
    body    TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX session_by_end ON session (expires);

-- The audit of what happened without a change of the directory: sessions that were opened.
CREATE TABLE event (
    number     INTEGER PRIMARY KEY NOT NULL CHECK (number > 0),
    at         INTEGER NOT NULL,
    principal  TEXT NOT NULL,
    actions    TEXT NOT NULL,
    resource   TEXT NOT NULL,
    summary    TEXT NOT NULL,
    source     TEXT,
    request_id TEXT
) STRICT;

CREATE TRIGGER events_have_no_gaps BEFORE INSERT ON event
WHEN NEW.number <> (SELECT coalesce(max(number), 0) + 1 FROM event) BEGIN
    SELECT RAISE(ABORT, 'events follow each other');
END;

CREATE TRIGGER event_is_never_changed BEFORE UPDATE ON event BEGIN
    SELECT RAISE(ABORT, 'audit is never changed');
END;

CREATE TRIGGER event_is_never_deleted BEFORE DELETE ON event BEGIN
    SELECT RAISE(ABORT, 'audit is never deleted');
END;
