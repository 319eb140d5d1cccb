-- The id of the request that asked for a change.
ALTER TABLE audit ADD COLUMN request_id TEXT;
