-- The control store: state, not measurements. Moments are milliseconds since 1970 (BIGINT). `sealed` columns hold what is
-- secret, encrypted under a key of the row's own. PostgreSQL takes the same text with BYTEA for BLOB and an identity column
-- for INTEGER PRIMARY KEY AUTOINCREMENT.

CREATE TABLE sealed_check (
    id INTEGER NOT NULL PRIMARY KEY,
    sealed BLOB NOT NULL
);

CREATE TABLE services (
    slug TEXT NOT NULL PRIMARY KEY,
    sealed BLOB NOT NULL,
    revision BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL
);

CREATE TABLE channels (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    plugin TEXT NOT NULL,
    origin TEXT NOT NULL,
    sealed BLOB NOT NULL,
    revision BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL
);

CREATE TABLE tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);

CREATE TABLE sessions (
    hash BLOB NOT NULL PRIMARY KEY,
    token_id BIGINT NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL
);

CREATE TABLE alerts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    rule TEXT NOT NULL,
    service TEXT NOT NULL,
    severity TEXT NOT NULL,
    state TEXT NOT NULL,
    summary TEXT NOT NULL,
    value DOUBLE PRECISION,
    wanted DOUBLE PRECISION,
    started_ms BIGINT NOT NULL,
    fired_ms BIGINT,
    resolved_ms BIGINT,
    updated_ms BIGINT NOT NULL
);
-- One breach of one rule is one alert, whatever a restart or a race does.
CREATE UNIQUE INDEX alerts_open ON alerts (service, rule) WHERE state <> 'resolved';

CREATE TABLE alert_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    alert_id BIGINT NOT NULL REFERENCES alerts (id),
    ts_ms BIGINT NOT NULL,
    from_state TEXT,
    to_state TEXT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL
);
CREATE INDEX alert_events_alert ON alert_events (alert_id, id);

-- The outbox.
CREATE TABLE notifications (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    idempotency_key TEXT NOT NULL UNIQUE,
    alert_id BIGINT NOT NULL REFERENCES alerts (id),
    channel TEXT NOT NULL,
    status TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    next_attempt_ms BIGINT NOT NULL,
    delivered_ms BIGINT,
    last_error TEXT,
    alert_snapshot TEXT NOT NULL
);
CREATE INDEX notifications_waiting ON notifications (next_attempt_ms, id) WHERE state = 'waiting';
CREATE INDEX notifications_order ON notifications (alert_id, channel, id);

CREATE TABLE notification_attempts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    notification_id BIGINT NOT NULL REFERENCES notifications (id),
    number BIGINT NOT NULL,
    started_ms BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    answer TEXT NOT NULL
);
CREATE UNIQUE INDEX notification_attempts_number ON notification_attempts (notification_id, number);

CREATE TABLE plugin_versions (
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    kind TEXT NOT NULL,
    version TEXT NOT NULL,
    installed_ms BIGINT NOT NULL,
    installed_by TEXT NOT NULL,
    PRIMARY KEY (name, digest)
);

-- The newest row of a name says what is active; no digest: the bundled version, or nothing.
CREATE TABLE plugin_activations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    digest TEXT,
    activated_ms BIGINT NOT NULL,
    activated_by TEXT NOT NULL,
    FOREIGN KEY (name, digest) REFERENCES plugin_versions (name, digest)
);
CREATE INDEX plugin_activations_name ON plugin_activations (name, id);

CREATE TABLE audit_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    ts_ms BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL
);
