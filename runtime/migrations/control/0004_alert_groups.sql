-- Groups: which alerts a channel is told of together, and what it knows of each. A row that is due after a crash is looked at
-- again, so nothing that was committed is forgotten. An alert belongs to its groups in the transaction that fires it.
CREATE TABLE alert_groups (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    group_key TEXT NOT NULL,
    channel TEXT NOT NULL,
    -- JSON: pairs of name and value.
    labels TEXT NOT NULL,
    wait_ms BIGINT NOT NULL,
    -- 0: each transition is told by itself, at once.
    interval_ms BIGINT NOT NULL,
    repeat_ms BIGINT NOT NULL,
    -- JSON: names of times during which nobody is told anything.
    mute_times TEXT NOT NULL DEFAULT '[]',
    -- None: nothing to do until something happens to one of its alerts.
    flush_at_ms BIGINT,
    told_ms BIGINT,
    -- Grows with everything that happens to one of its alerts, so that a decision on what was read before is not taken.
    revision BIGINT NOT NULL
);
CREATE UNIQUE INDEX alert_groups_key ON alert_groups (group_key, channel);
CREATE INDEX alert_groups_due ON alert_groups (flush_at_ms, id) WHERE flush_at_ms IS NOT NULL;

CREATE TABLE alert_group_members (
    group_id BIGINT NOT NULL REFERENCES alert_groups (id) ON DELETE CASCADE,
    alert_id BIGINT NOT NULL REFERENCES alerts (id),
    told TEXT NOT NULL,
    -- JSON: the alert as it was when it fired.
    fired TEXT NOT NULL,
    PRIMARY KEY (group_id, alert_id)
);
CREATE INDEX alert_group_members_alert ON alert_group_members (alert_id);

-- What mutes an alert while it is suppressed, in words.
ALTER TABLE alerts ADD COLUMN suppressed_by TEXT;

CREATE TABLE silences (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- JSON: matchers as they are written.
    matchers TEXT NOT NULL,
    starts_ms BIGINT NOT NULL,
    ends_ms BIGINT NOT NULL,
    author TEXT NOT NULL,
    comment TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    -- When people were told that it ends soon although it still mutes something.
    noticed_ms BIGINT
);
CREATE INDEX silences_end ON silences (ends_ms, id);

-- Windows made over the API; those of the files stay in the files.
CREATE TABLE maintenance_windows (
    name TEXT NOT NULL PRIMARY KEY,
    -- JSON: matchers as they are written.
    matchers TEXT NOT NULL,
    starts_ms BIGINT,
    ends_ms BIGINT,
    cron TEXT,
    zone TEXT,
    duration_ms BIGINT,
    author TEXT NOT NULL,
    comment TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);

-- A message names several alerts, or none at all. SQLite can't change such columns in place.
CREATE TABLE notifications_next (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    idempotency_key TEXT NOT NULL UNIQUE,
    group_key TEXT NOT NULL,
    -- JSON: pairs of name and value.
    group_labels TEXT NOT NULL,
    channel TEXT NOT NULL,
    reason TEXT NOT NULL,
    status TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    next_attempt_ms BIGINT NOT NULL,
    delivered_ms BIGINT,
    last_error TEXT,
    -- JSON: the alerts as they were when the message was decided on.
    alerts TEXT NOT NULL
);
INSERT INTO notifications_next (id, idempotency_key, group_key, group_labels, channel, reason, status, state, attempts,
    created_ms, next_attempt_ms, delivered_ms, last_error, alerts)
SELECT n.id, n.idempotency_key, a.name || ':' || a.service,
    json_array(json_array('alertname', a.name), json_array('service', a.service), json_array('severity', a.severity)),
    n.channel, 'transition', n.status, n.state, n.attempts, n.created_ms, n.next_attempt_ms, n.delivered_ms, n.last_error,
    '[' || n.alert_snapshot || ']'
FROM notifications n JOIN alerts a ON a.id = n.alert_id;

CREATE TABLE notification_alerts_next (
    notification_id BIGINT NOT NULL REFERENCES notifications_next (id),
    alert_id BIGINT NOT NULL REFERENCES alerts (id),
    PRIMARY KEY (notification_id, alert_id)
);
INSERT INTO notification_alerts_next (notification_id, alert_id) SELECT id, alert_id FROM notifications;

-- Whoever was told that an alert fires, and it still does, is told of its end.
INSERT INTO alert_groups (group_key, channel, labels, wait_ms, interval_ms, repeat_ms, flush_at_ms, told_ms, revision)
SELECT a.name || ':' || a.service, n.channel,
    json_array(json_array('alertname', a.name), json_array('service', a.service), json_array('severity', a.severity)),
    0, 0, 0, NULL, max(n.created_ms), 1
FROM notifications n JOIN alerts a ON a.id = n.alert_id
WHERE a.state <> 'resolved' AND n.status = 'firing'
GROUP BY a.name, a.service, n.channel;
INSERT INTO alert_group_members (group_id, alert_id, told, fired)
SELECT g.id, a.id, max(CASE WHEN n.state = 'dead' AND n.attempts <= 1 THEN 'refused' ELSE 'firing' END), n.alert_snapshot
FROM notifications n
JOIN alerts a ON a.id = n.alert_id
JOIN alert_groups g ON g.group_key = a.name || ':' || a.service AND g.channel = n.channel
WHERE a.state <> 'resolved' AND n.status = 'firing'
GROUP BY g.id, a.id;

CREATE TABLE notification_attempts_next (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    notification_id BIGINT NOT NULL REFERENCES notifications_next (id),
    number BIGINT NOT NULL,
    started_ms BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    answer TEXT NOT NULL
);
INSERT INTO notification_attempts_next (id, notification_id, number, started_ms, duration_ms, outcome, answer)
SELECT id, notification_id, number, started_ms, duration_ms, outcome, answer FROM notification_attempts;

DROP TABLE notification_attempts;
DROP TABLE notifications;
ALTER TABLE notifications_next RENAME TO notifications;
ALTER TABLE notification_attempts_next RENAME TO notification_attempts;
ALTER TABLE notification_alerts_next RENAME TO notification_alerts;

CREATE INDEX notifications_waiting ON notifications (next_attempt_ms, id) WHERE state = 'waiting';
CREATE INDEX notifications_order ON notifications (group_key, channel, id);
CREATE INDEX notification_alerts_alert ON notification_alerts (alert_id, notification_id);
CREATE UNIQUE INDEX notification_attempts_number ON notification_attempts (notification_id, number);
