-- More figures of rate limits, and whose quota it is; null for rows of before.

ALTER TABLE fact.rate_limits ADD COLUMN IF NOT EXISTS used UBIGINT;

ALTER TABLE fact.rate_limits ADD COLUMN IF NOT EXISTS unit VARCHAR;

ALTER TABLE fact.rate_limits ADD COLUMN IF NOT EXISTS refill_per_hour UBIGINT;

ALTER TABLE fact.rate_limits ADD COLUMN IF NOT EXISTS credential VARCHAR;

ALTER TABLE fact.rate_limits ADD COLUMN IF NOT EXISTS partition_key VARCHAR;

CREATE OR REPLACE VIEW main.rate_limits AS
SELECT ts, service, probe, location, host, name, quota, remaining, remaining * 100.0::DOUBLE / nullif(quota, 0) AS remaining_percent,
    reset_ts, window_ms, run_id, used, unit, refill_per_hour, credential, partition_key
FROM fact.rate_limits;
