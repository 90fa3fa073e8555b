-- Alerts of the group that a message had no room for.
ALTER TABLE notifications ADD COLUMN omitted BIGINT NOT NULL DEFAULT 0;
