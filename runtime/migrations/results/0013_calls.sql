-- Calls of clients to the services: a row a call, and totals by minute that are committed with the rows they count.

CREATE TABLE IF NOT EXISTS fact.calls (
    ts TIMESTAMP NOT NULL,
    call_id VARCHAR NOT NULL,
    service VARCHAR NOT NULL,
    consumer VARCHAR,
    method VARCHAR NOT NULL,
    route VARCHAR NOT NULL,
    status USMALLINT,
    latency_us UBIGINT,
    dns_us UINTEGER,
    connect_us UINTEGER,
    tls_us UINTEGER,
    first_byte_us UBIGINT,
    bytes_in UBIGINT NOT NULL,
    bytes_out UBIGINT NOT NULL,
    units VARCHAR,
    cost_min DECIMAL(38,12),
    cost_max DECIMAL(38,12),
    currency VARCHAR,
    attempts UINTEGER NOT NULL,
    cache VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    error_kind VARCHAR,
    ended VARCHAR NOT NULL
);

-- One row a batch, key and unit, which are added up to one a minute later; rows without a unit count the calls themselves.
CREATE TABLE IF NOT EXISTS fact.usage_deltas (
    ts TIMESTAMP NOT NULL,
    service VARCHAR NOT NULL,
    consumer VARCHAR,
    method VARCHAR NOT NULL,
    route VARCHAR NOT NULL,
    status_class VARCHAR,
    cache VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    ended VARCHAR NOT NULL,
    unit VARCHAR,
    amount DECIMAL(38,12) NOT NULL,
    calls UBIGINT NOT NULL,
    unlisted UBIGINT NOT NULL,
    attempts UBIGINT NOT NULL,
    bytes_in UBIGINT NOT NULL,
    bytes_out UBIGINT NOT NULL,
    latency_us UBIGINT NOT NULL,
    cost_min DECIMAL(38,12) NOT NULL,
    cost_max DECIMAL(38,12) NOT NULL,
    currency VARCHAR
);

-- Numbers of batches that are stored: each counts once.
CREATE TABLE IF NOT EXISTS fact.call_batches (
    ts TIMESTAMP NOT NULL,
    seq BIGINT NOT NULL
);

-- Hashes of service and id of calls that were reported, against those that are reported again.
CREATE TABLE IF NOT EXISTS fact.call_keys (
    ts TIMESTAMP NOT NULL,
    key UBIGINT NOT NULL
);

CREATE OR REPLACE VIEW main.calls AS
SELECT ts, call_id, service, consumer, method, route, status, latency_us, latency_us / 1000.0 AS latency_ms,
    dns_us, connect_us, tls_us, first_byte_us, bytes_in, bytes_out, units::JSON AS units, cost_min, cost_max, currency,
    attempts, cache, source, error_kind, ended
FROM fact.calls;

CREATE OR REPLACE VIEW main.usage_totals AS
WITH minutes AS (
    SELECT ts, service, consumer, method, route, status_class, cache, source, ended, currency, unit,
        sum(amount)::DECIMAL(38,12) AS amount, sum(calls)::BIGINT AS calls, sum(unlisted)::BIGINT AS unlisted,
        sum(attempts)::BIGINT AS attempts, sum(bytes_in)::BIGINT AS bytes_in, sum(bytes_out)::BIGINT AS bytes_out,
        sum(latency_us)::BIGINT AS latency_us, sum(cost_min)::DECIMAL(38,12) AS cost_min,
        sum(cost_max)::DECIMAL(38,12) AS cost_max
    FROM fact.usage_deltas
    GROUP BY ts, service, consumer, method, route, status_class, cache, source, ended, currency, unit
)
SELECT ts, service, consumer, method, route, status_class, cache, source, ended,
    sum(calls)::BIGINT AS calls, sum(unlisted)::BIGINT AS unlisted, sum(attempts)::BIGINT AS attempts,
    sum(bytes_in)::BIGINT AS bytes_in, sum(bytes_out)::BIGINT AS bytes_out, sum(latency_us)::BIGINT AS latency_us,
    ('{' || string_agg('"' || unit || '":' || regexp_replace(amount::VARCHAR, '[.]?0+$', ''), ',' ORDER BY unit) || '}')::JSON AS units,
    CASE WHEN currency IS NOT NULL THEN sum(cost_min)::DECIMAL(38,12) END AS cost_min,
    CASE WHEN currency IS NOT NULL THEN sum(cost_max)::DECIMAL(38,12) END AS cost_max,
    currency
FROM minutes
GROUP BY ts, service, consumer, method, route, status_class, cache, source, ended, currency;
