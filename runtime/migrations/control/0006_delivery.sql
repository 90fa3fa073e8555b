-- What the other side calls a delivered message: a later message about the same group may take its place.
ALTER TABLE notifications ADD COLUMN reference TEXT;
-- When a person put a message back that had been given up.
ALTER TABLE notifications ADD COLUMN resent_ms BIGINT;
-- The message that tells of this one as well, in the state `digested`.
ALTER TABLE notifications ADD COLUMN digest_id BIGINT REFERENCES notifications (id);

-- A digest stands between the messages of its channel before and behind it.
CREATE INDEX notifications_digest ON notifications (channel, id) WHERE state = 'waiting' AND reason = 'digest';
CREATE INDEX notifications_channel ON notifications (channel, id) WHERE state = 'waiting';
-- How many attempts a channel had lately.
CREATE INDEX notification_attempts_started ON notification_attempts (started_ms);
