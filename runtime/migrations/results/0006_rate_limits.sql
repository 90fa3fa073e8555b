-- What the headers of answers said of rate limits; one row a limit and run. `ts` is the answer's moment, `run_id` the run's.

CREATE TABLE IF NOT EXISTS fact.rate_limits (
    ts TIMESTAMP NOT NULL,
    service VARCHAR NOT NULL,
    probe VARCHAR NOT NULL,
    location VARCHAR NOT NULL,
    host VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    quota UBIGINT,
    remaining UBIGINT,
    reset_ts TIMESTAMP,
    window_ms UBIGINT,
    run_id BIGINT NOT NULL
);

CREATE OR REPLACE VIEW main.rate_limits AS
SELECT ts, service, probe, location, host, name, quota, remaining, remaining * 100.0::DOUBLE / nullif(quota, 0) AS remaining_percent,
    reset_ts, window_ms, run_id
FROM fact.rate_limits;
