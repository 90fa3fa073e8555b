-- Who calls services through the gateway. Of a token only its sha256 is kept. `services` are slugs, or `*`, joined by spaces.
CREATE TABLE consumers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    hash BLOB NOT NULL UNIQUE,
    services TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    created_by TEXT NOT NULL
);
-- Calls that were counted against quotas in the windows that are open. `consumer_id` 0: all consumers together.
CREATE TABLE quota_use (
    service TEXT NOT NULL,
    consumer_id BIGINT NOT NULL,
    quota_window TEXT NOT NULL,
    start_ms BIGINT NOT NULL,
    calls BIGINT NOT NULL,
    PRIMARY KEY (service, consumer_id, quota_window)
);
