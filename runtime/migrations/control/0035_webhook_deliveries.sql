-- Deliveries of webhooks as they came, without the secrets in them, to be played again. `headers` is JSON; `is_proven`: a signature was right.
CREATE TABLE webhook_deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    service TEXT NOT NULL,
    webhook TEXT NOT NULL,
    received_ms BIGINT NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    query TEXT NOT NULL,
    headers TEXT NOT NULL,
    body BLOB NOT NULL,
    bytes BIGINT NOT NULL,
    is_proven BOOLEAN NOT NULL,
    outcome TEXT NOT NULL,
    error TEXT,
    events BIGINT NOT NULL,
    replayed_ms BIGINT
);
CREATE INDEX webhook_deliveries_of_webhook ON webhook_deliveries (service, webhook, id, bytes);
CREATE INDEX webhook_deliveries_of_service ON webhook_deliveries (service, id);
CREATE INDEX webhook_deliveries_by_time ON webhook_deliveries (received_ms);
