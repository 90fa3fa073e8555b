-- What services tell us through webhooks. `id` grows by one; `event_id` is the sender's.

CREATE TABLE IF NOT EXISTS fact.events (
    received_ts TIMESTAMP NOT NULL,
    ts TIMESTAMP NOT NULL,
    id BIGINT NOT NULL,
    service VARCHAR NOT NULL,
    webhook VARCHAR NOT NULL,
    plugin VARCHAR NOT NULL,
    plugin_version VARCHAR NOT NULL,
    run_id BIGINT NOT NULL,
    event_id VARCHAR,
    kind VARCHAR NOT NULL,
    summary VARCHAR NOT NULL,
    payload VARCHAR NOT NULL,
    attributes VARCHAR
);

CREATE OR REPLACE VIEW main.events AS
SELECT ts, received_ts, service, webhook, kind, summary, payload::JSON AS payload, attributes::JSON AS attributes, event_id,
    plugin, plugin_version, run_id, id
FROM fact.events;
