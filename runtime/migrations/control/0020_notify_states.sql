-- The words of the field: what `told` kept is the state of a channel's notification of an alert, and `told_ms` the moment of
-- the last one.
ALTER TABLE alert_groups RENAME COLUMN told_ms TO last_notified_ms;
ALTER TABLE alert_group_members RENAME COLUMN told TO notify_state;
UPDATE alert_group_members SET notify_state = CASE notify_state
    WHEN 'nothing' THEN 'pending'
    WHEN 'firing' THEN 'notified'
    WHEN 'again' THEN 'stale'
    WHEN 'refused' THEN 'rejected'
    WHEN 'held' THEN 'ended_muted'
    ELSE notify_state END;
