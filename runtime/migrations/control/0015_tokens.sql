-- Tokens end, say when they were last used, and know where they come from: `api`, `environment` or `start` (the first one).
ALTER TABLE tokens ADD COLUMN expires_ms BIGINT;
ALTER TABLE tokens ADD COLUMN last_used_ms BIGINT;
ALTER TABLE tokens ADD COLUMN origin TEXT NOT NULL DEFAULT 'api';
ALTER TABLE tokens ADD COLUMN created_by TEXT NOT NULL DEFAULT '';
UPDATE tokens SET origin = 'environment' WHERE name = 'admin (EXTRACK_ADMIN_TOKEN)';
UPDATE tokens SET origin = 'start' WHERE name = 'admin';
CREATE UNIQUE INDEX tokens_name ON tokens (name);
-- From where a change came, where it came over a connection.
ALTER TABLE audit_log ADD COLUMN address TEXT;
