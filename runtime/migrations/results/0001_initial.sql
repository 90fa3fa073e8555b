-- The results store: append-only facts in schema `fact`, and the views in `main` that users see. No primary key, unique
-- constraint or index anywhere. Each statement runs in a transaction of its own and may run twice after a crash, so each
-- one is idempotent; a line that ends in a semicolon ends a statement. Moments are UTC.

CREATE TABLE IF NOT EXISTS fact.observations (
    ts TIMESTAMP NOT NULL,
    service VARCHAR NOT NULL,
    probe VARCHAR NOT NULL,
    location VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    latency_us UINTEGER,
    dns_us UINTEGER,
    connect_us UINTEGER,
    tls_us UINTEGER,
    first_byte_us UINTEGER,
    body_us UINTEGER,
    http_status USMALLINT,
    error_kind VARCHAR,
    error VARCHAR,
    bytes UBIGINT NOT NULL,
    plugin VARCHAR NOT NULL,
    plugin_version VARCHAR NOT NULL,
    run_id BIGINT NOT NULL,
    metrics VARCHAR,
    missed BOOLEAN NOT NULL
);

CREATE TABLE IF NOT EXISTS fact.plugin_runs (
    ts TIMESTAMP NOT NULL,
    run_id BIGINT NOT NULL,
    plugin VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    version VARCHAR NOT NULL,
    digest VARCHAR NOT NULL,
    function VARCHAR NOT NULL,
    service VARCHAR,
    outcome VARCHAR NOT NULL,
    error VARCHAR,
    duration_us UINTEGER NOT NULL,
    cpu_us UINTEGER NOT NULL,
    memory_bytes UBIGINT NOT NULL,
    host_calls UINTEGER NOT NULL,
    log_bytes UBIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS fact.alert_events (
    ts TIMESTAMP NOT NULL,
    event_id BIGINT NOT NULL,
    alert_id BIGINT NOT NULL,
    service VARCHAR NOT NULL,
    rule VARCHAR NOT NULL,
    alert VARCHAR NOT NULL,
    severity VARCHAR NOT NULL,
    from_state VARCHAR,
    to_state VARCHAR NOT NULL,
    actor VARCHAR NOT NULL,
    reason VARCHAR NOT NULL
);

CREATE TABLE IF NOT EXISTS fact.services (
    slug VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    type VARCHAR NOT NULL,
    base VARCHAR NOT NULL,
    tags VARCHAR NOT NULL,
    owner VARCHAR
);

CREATE OR REPLACE VIEW main.observations AS
SELECT ts, service, probe, location, status, latency_us, dns_us, connect_us, tls_us, first_byte_us, body_us, http_status,
    error_kind, error, bytes, plugin, plugin_version, run_id, metrics::JSON AS metrics, missed,
    latency_us / 1000.0::DOUBLE AS latency_ms, dns_us / 1000.0::DOUBLE AS dns_ms, connect_us / 1000.0::DOUBLE AS connect_ms,
    tls_us / 1000.0::DOUBLE AS tls_ms, first_byte_us / 1000.0::DOUBLE AS first_byte_ms, body_us / 1000.0::DOUBLE AS body_ms
FROM fact.observations;

CREATE OR REPLACE VIEW main.plugin_runs AS
SELECT *, duration_us / 1000.0::DOUBLE AS duration_ms, cpu_us / 1000.0::DOUBLE AS cpu_ms FROM fact.plugin_runs;

CREATE OR REPLACE VIEW main.alert_events AS SELECT * FROM fact.alert_events;

CREATE OR REPLACE VIEW main.services AS
SELECT slug, name, type, base, from_json(tags, '["VARCHAR"]') AS tags, owner FROM fact.services;

CREATE OR REPLACE MACRO main.utc_now() AS make_timestamp(epoch_us(now()));
