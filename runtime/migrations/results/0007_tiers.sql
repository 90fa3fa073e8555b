-- Tiers of history: runs counted by 5 minutes, 1 hour and 1 day of UTC, and histograms of their latencies. Each slot is counted
-- again as a whole, from the runs or from the finer tier, so nothing here has a key. `done_until` of a tier is where it ends,
-- `dirty_from` to `dirty_until` what has to be counted again, `kept_from` where rows were removed before; tier `raw` is the runs.

CREATE TABLE IF NOT EXISTS fact.roll_5m (
    ts TIMESTAMP NOT NULL,
    service VARCHAR NOT NULL,
    probe VARCHAR NOT NULL,
    location VARCHAR NOT NULL,
    runs BIGINT NOT NULL,
    missed BIGINT NOT NULL,
    broken BIGINT NOT NULL,
    paused BIGINT NOT NULL,
    maintenance BIGINT NOT NULL,
    healthy BIGINT NOT NULL,
    degraded BIGINT NOT NULL,
    unhealthy BIGINT NOT NULL,
    error BIGINT NOT NULL,
    lat_n BIGINT NOT NULL,
    lat_sum_us BIGINT NOT NULL,
    lat_min_us UINTEGER,
    lat_max_us UINTEGER,
    dns_sum_us BIGINT NOT NULL,
    connect_sum_us BIGINT NOT NULL,
    tls_sum_us BIGINT NOT NULL,
    first_byte_sum_us BIGINT NOT NULL,
    body_sum_us BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS fact.hist_5m (
    ts TIMESTAMP NOT NULL,
    service VARCHAR NOT NULL,
    probe VARCHAR NOT NULL,
    location VARCHAR NOT NULL,
    bin SMALLINT NOT NULL,
    n BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS fact.roll_1h (
    ts TIMESTAMP NOT NULL,
    service VARCHAR NOT NULL,
    probe VARCHAR NOT NULL,
    location VARCHAR NOT NULL,
    runs BIGINT NOT NULL,
    missed BIGINT NOT NULL,
    broken BIGINT NOT NULL,
    paused BIGINT NOT NULL,
    maintenance BIGINT NOT NULL,
    healthy BIGINT NOT NULL,
    degraded BIGINT NOT NULL,
    unhealthy BIGINT NOT NULL,
    error BIGINT NOT NULL,
    lat_n BIGINT NOT NULL,
    lat_sum_us BIGINT NOT NULL,
    lat_min_us UINTEGER,
    lat_max_us UINTEGER,
    dns_sum_us BIGINT NOT NULL,
    connect_sum_us BIGINT NOT NULL,
    tls_sum_us BIGINT NOT NULL,
    first_byte_sum_us BIGINT NOT NULL,
    body_sum_us BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS fact.hist_1h (
    ts TIMESTAMP NOT NULL,
    service VARCHAR NOT NULL,
    probe VARCHAR NOT NULL,
    location VARCHAR NOT NULL,
    bin SMALLINT NOT NULL,
    n BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS fact.roll_1d (
    ts TIMESTAMP NOT NULL,
    service VARCHAR NOT NULL,
    probe VARCHAR NOT NULL,
    location VARCHAR NOT NULL,
    runs BIGINT NOT NULL,
    missed BIGINT NOT NULL,
    broken BIGINT NOT NULL,
    paused BIGINT NOT NULL,
    maintenance BIGINT NOT NULL,
    healthy BIGINT NOT NULL,
    degraded BIGINT NOT NULL,
    unhealthy BIGINT NOT NULL,
    error BIGINT NOT NULL,
    lat_n BIGINT NOT NULL,
    lat_sum_us BIGINT NOT NULL,
    lat_min_us UINTEGER,
    lat_max_us UINTEGER,
    dns_sum_us BIGINT NOT NULL,
    connect_sum_us BIGINT NOT NULL,
    tls_sum_us BIGINT NOT NULL,
    first_byte_sum_us BIGINT NOT NULL,
    body_sum_us BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS fact.hist_1d (
    ts TIMESTAMP NOT NULL,
    service VARCHAR NOT NULL,
    probe VARCHAR NOT NULL,
    location VARCHAR NOT NULL,
    bin SMALLINT NOT NULL,
    n BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS fact.roll_state (
    tier VARCHAR NOT NULL,
    done_until TIMESTAMP NOT NULL,
    dirty_from TIMESTAMP,
    dirty_until TIMESTAMP,
    kept_from TIMESTAMP NOT NULL
);

INSERT INTO fact.roll_state
SELECT tier, TIMESTAMP '0001-01-01', NULL, NULL, TIMESTAMP '0001-01-01'
FROM (VALUES ('raw'), ('5m'), ('1h'), ('1d')) AS tiers(tier)
WHERE NOT EXISTS (SELECT 1 FROM fact.roll_state);

-- Marks of a tier as of a reader's snapshot: readers set the variables, whose values prune what is read. Without them everything
-- is counted from the runs.
CREATE OR REPLACE MACRO fact.done_until(tier) AS coalesce(getvariable('done_until_' || tier)::TIMESTAMP, TIMESTAMP '-infinity');

CREATE OR REPLACE MACRO fact.dirty_from(tier) AS coalesce(getvariable('dirty_from_' || tier)::TIMESTAMP, TIMESTAMP 'infinity');

CREATE OR REPLACE MACRO fact.dirty_until(tier) AS coalesce(getvariable('dirty_until_' || tier)::TIMESTAMP, TIMESTAMP '-infinity');

CREATE OR REPLACE MACRO fact.is_counted(moment, tier) AS
    moment < fact.done_until(tier) AND NOT (moment >= fact.dirty_from(tier) AND moment < fact.dirty_until(tier));

-- What is not counted begins here; in it the slots from `dirty_until` to `done_until` are counted.
CREATE OR REPLACE MACRO fact.clean_until(tier) AS least(fact.done_until(tier), fact.dirty_from(tier));

-- A run whose latency counts.
CREATE OR REPLACE MACRO fact.is_timed(is_missed, found, us) AS
    NOT is_missed AND found IN ('healthy', 'degraded') AND us IS NOT NULL;

-- The bin of a latency: 5 % wide, 0 for a microsecond and less.
CREATE OR REPLACE MACRO fact.latency_bin(us) AS ceil(ln(greatest(us, 1)) / ln(1.05))::SMALLINT;

-- Runs by slot. `runs` is the sum of all that stands behind it up to `error`. Latencies are those of runs that were available.
CREATE OR REPLACE MACRO fact.observed_roll(
    width, since, until, gap_from := TIMESTAMP 'infinity', gap_until := TIMESTAMP '-infinity'
) AS TABLE
SELECT time_bucket(width, ts) AS ts, service, probe, location,
    count(*) AS runs,
    count(*) FILTER (missed) AS missed,
    count(*) FILTER (NOT missed AND error_kind = 'plugin' AND status NOT IN ('healthy', 'degraded')) AS broken,
    0::BIGINT AS paused,
    0::BIGINT AS maintenance,
    count(*) FILTER (NOT missed AND status = 'healthy') AS healthy,
    count(*) FILTER (NOT missed AND status = 'degraded') AS degraded,
    count(*) FILTER (NOT missed AND status = 'unhealthy' AND coalesce(error_kind, '') <> 'plugin') AS unhealthy,
    count(*) FILTER (NOT missed AND status = 'error' AND coalesce(error_kind, '') <> 'plugin') AS error,
    count(latency_us) FILTER (fact.is_timed(missed, status, latency_us)) AS lat_n,
    coalesce(sum(latency_us) FILTER (fact.is_timed(missed, status, latency_us)), 0)::BIGINT AS lat_sum_us,
    min(latency_us) FILTER (fact.is_timed(missed, status, latency_us)) AS lat_min_us,
    max(latency_us) FILTER (fact.is_timed(missed, status, latency_us)) AS lat_max_us,
    coalesce(sum(dns_us) FILTER (fact.is_timed(missed, status, latency_us)), 0)::BIGINT AS dns_sum_us,
    coalesce(sum(connect_us) FILTER (fact.is_timed(missed, status, latency_us)), 0)::BIGINT AS connect_sum_us,
    coalesce(sum(tls_us) FILTER (fact.is_timed(missed, status, latency_us)), 0)::BIGINT AS tls_sum_us,
    coalesce(sum(first_byte_us) FILTER (fact.is_timed(missed, status, latency_us)), 0)::BIGINT AS first_byte_sum_us,
    coalesce(sum(body_us) FILTER (fact.is_timed(missed, status, latency_us)), 0)::BIGINT AS body_sum_us
FROM fact.observations
WHERE ts >= since AND ts < until AND NOT (ts >= gap_from AND ts < gap_until)
GROUP BY time_bucket(width, ts), service, probe, location;

CREATE OR REPLACE MACRO fact.observed_hist(
    width, since, until, gap_from := TIMESTAMP 'infinity', gap_until := TIMESTAMP '-infinity'
) AS TABLE
SELECT time_bucket(width, ts) AS ts, service, probe, location, fact.latency_bin(latency_us) AS bin, count(*) AS n
FROM fact.observations
WHERE ts >= since AND ts < until AND NOT (ts >= gap_from AND ts < gap_until) AND fact.is_timed(missed, status, latency_us)
GROUP BY time_bucket(width, ts), service, probe, location, fact.latency_bin(latency_us);

CREATE OR REPLACE VIEW main.roll_5m AS
SELECT * FROM fact.roll_5m
WHERE fact.is_counted(ts, '5m')
UNION ALL
SELECT * FROM fact.observed_roll(
    INTERVAL 5 MINUTE, fact.clean_until('5m'), TIMESTAMP 'infinity', fact.dirty_until('5m'), fact.done_until('5m')
);

CREATE OR REPLACE VIEW main.hist_5m AS
SELECT * FROM fact.hist_5m
WHERE fact.is_counted(ts, '5m')
UNION ALL
SELECT * FROM fact.observed_hist(
    INTERVAL 5 MINUTE, fact.clean_until('5m'), TIMESTAMP 'infinity', fact.dirty_until('5m'), fact.done_until('5m')
);

CREATE OR REPLACE MACRO fact.merged_roll_5m(
    width, since, until, gap_from := TIMESTAMP 'infinity', gap_until := TIMESTAMP '-infinity'
) AS TABLE
SELECT time_bucket(width, ts) AS ts, service, probe, location,
    sum(runs)::BIGINT AS runs,
    sum(missed)::BIGINT AS missed,
    sum(broken)::BIGINT AS broken,
    sum(paused)::BIGINT AS paused,
    sum(maintenance)::BIGINT AS maintenance,
    sum(healthy)::BIGINT AS healthy,
    sum(degraded)::BIGINT AS degraded,
    sum(unhealthy)::BIGINT AS unhealthy,
    sum(error)::BIGINT AS error,
    sum(lat_n)::BIGINT AS lat_n,
    sum(lat_sum_us)::BIGINT AS lat_sum_us,
    min(lat_min_us) AS lat_min_us,
    max(lat_max_us) AS lat_max_us,
    sum(dns_sum_us)::BIGINT AS dns_sum_us,
    sum(connect_sum_us)::BIGINT AS connect_sum_us,
    sum(tls_sum_us)::BIGINT AS tls_sum_us,
    sum(first_byte_sum_us)::BIGINT AS first_byte_sum_us,
    sum(body_sum_us)::BIGINT AS body_sum_us
FROM main.roll_5m
WHERE ts >= since AND ts < until AND NOT (ts >= gap_from AND ts < gap_until)
GROUP BY time_bucket(width, ts), service, probe, location;

CREATE OR REPLACE MACRO fact.merged_hist_5m(
    width, since, until, gap_from := TIMESTAMP 'infinity', gap_until := TIMESTAMP '-infinity'
) AS TABLE
SELECT time_bucket(width, ts) AS ts, service, probe, location, bin, sum(n)::BIGINT AS n
FROM main.hist_5m
WHERE ts >= since AND ts < until AND NOT (ts >= gap_from AND ts < gap_until)
GROUP BY time_bucket(width, ts), service, probe, location, bin;

CREATE OR REPLACE VIEW main.roll_1h AS
SELECT * FROM fact.roll_1h
WHERE fact.is_counted(ts, '1h')
UNION ALL
SELECT * FROM fact.merged_roll_5m(
    INTERVAL 1 HOUR, fact.clean_until('1h'), TIMESTAMP 'infinity', fact.dirty_until('1h'), fact.done_until('1h')
);

CREATE OR REPLACE VIEW main.hist_1h AS
SELECT * FROM fact.hist_1h
WHERE fact.is_counted(ts, '1h')
UNION ALL
SELECT * FROM fact.merged_hist_5m(
    INTERVAL 1 HOUR, fact.clean_until('1h'), TIMESTAMP 'infinity', fact.dirty_until('1h'), fact.done_until('1h')
);

CREATE OR REPLACE MACRO fact.merged_roll_1h(
    width, since, until, gap_from := TIMESTAMP 'infinity', gap_until := TIMESTAMP '-infinity'
) AS TABLE
SELECT time_bucket(width, ts) AS ts, service, probe, location,
    sum(runs)::BIGINT AS runs,
    sum(missed)::BIGINT AS missed,
    sum(broken)::BIGINT AS broken,
    sum(paused)::BIGINT AS paused,
    sum(maintenance)::BIGINT AS maintenance,
    sum(healthy)::BIGINT AS healthy,
    sum(degraded)::BIGINT AS degraded,
    sum(unhealthy)::BIGINT AS unhealthy,
    sum(error)::BIGINT AS error,
    sum(lat_n)::BIGINT AS lat_n,
    sum(lat_sum_us)::BIGINT AS lat_sum_us,
    min(lat_min_us) AS lat_min_us,
    max(lat_max_us) AS lat_max_us,
    sum(dns_sum_us)::BIGINT AS dns_sum_us,
    sum(connect_sum_us)::BIGINT AS connect_sum_us,
    sum(tls_sum_us)::BIGINT AS tls_sum_us,
    sum(first_byte_sum_us)::BIGINT AS first_byte_sum_us,
    sum(body_sum_us)::BIGINT AS body_sum_us
FROM main.roll_1h
WHERE ts >= since AND ts < until AND NOT (ts >= gap_from AND ts < gap_until)
GROUP BY time_bucket(width, ts), service, probe, location;

CREATE OR REPLACE MACRO fact.merged_hist_1h(
    width, since, until, gap_from := TIMESTAMP 'infinity', gap_until := TIMESTAMP '-infinity'
) AS TABLE
SELECT time_bucket(width, ts) AS ts, service, probe, location, bin, sum(n)::BIGINT AS n
FROM main.hist_1h
WHERE ts >= since AND ts < until AND NOT (ts >= gap_from AND ts < gap_until)
GROUP BY time_bucket(width, ts), service, probe, location, bin;

CREATE OR REPLACE VIEW main.roll_1d AS
SELECT * FROM fact.roll_1d
WHERE fact.is_counted(ts, '1d')
UNION ALL
SELECT * FROM fact.merged_roll_1h(
    INTERVAL 1 DAY, fact.clean_until('1d'), TIMESTAMP 'infinity', fact.dirty_until('1d'), fact.done_until('1d')
);

CREATE OR REPLACE VIEW main.hist_1d AS
SELECT * FROM fact.hist_1d
WHERE fact.is_counted(ts, '1d')
UNION ALL
SELECT * FROM fact.merged_hist_1h(
    INTERVAL 1 DAY, fact.clean_until('1d'), TIMESTAMP 'infinity', fact.dirty_until('1d'), fact.done_until('1d')
);

-- All since a moment, from the coarsest tier that fits: whole days, before them whole hours, before them 5 minutes.
CREATE OR REPLACE MACRO fact.roll_since(since) AS TABLE
SELECT * FROM main.roll_1d
WHERE ts >= time_bucket(INTERVAL 1 DAY, since + INTERVAL 1 DAY - INTERVAL 1 MICROSECOND)
UNION ALL
SELECT * FROM main.roll_1h
WHERE ts >= time_bucket(INTERVAL 1 HOUR, since + INTERVAL 1 HOUR - INTERVAL 1 MICROSECOND)
    AND ts < time_bucket(INTERVAL 1 DAY, since + INTERVAL 1 DAY - INTERVAL 1 MICROSECOND)
UNION ALL
SELECT * FROM main.roll_5m
WHERE ts >= time_bucket(INTERVAL 5 MINUTE, since + INTERVAL 5 MINUTE - INTERVAL 1 MICROSECOND)
    AND ts < time_bucket(INTERVAL 1 HOUR, since + INTERVAL 1 HOUR - INTERVAL 1 MICROSECOND);

CREATE OR REPLACE MACRO fact.hist_since(since) AS TABLE
SELECT * FROM main.hist_1d
WHERE ts >= time_bucket(INTERVAL 1 DAY, since + INTERVAL 1 DAY - INTERVAL 1 MICROSECOND)
UNION ALL
SELECT * FROM main.hist_1h
WHERE ts >= time_bucket(INTERVAL 1 HOUR, since + INTERVAL 1 HOUR - INTERVAL 1 MICROSECOND)
    AND ts < time_bucket(INTERVAL 1 DAY, since + INTERVAL 1 DAY - INTERVAL 1 MICROSECOND)
UNION ALL
SELECT * FROM main.hist_5m
WHERE ts >= time_bucket(INTERVAL 5 MINUTE, since + INTERVAL 5 MINUTE - INTERVAL 1 MICROSECOND)
    AND ts < time_bucket(INTERVAL 1 HOUR, since + INTERVAL 1 HOUR - INTERVAL 1 MICROSECOND);

-- Percentages are rounded down. Reports of services on themselves do not count.
CREATE OR REPLACE MACRO fact.availability_since(slug, since) AS TABLE
WITH sums AS (
    SELECT s.service AS name,
        sum(s.healthy + s.degraded)::BIGINT AS up,
        sum(s.unhealthy + s.error)::BIGINT AS down,
        sum(s.runs)::BIGINT AS runs,
        sum(s.missed)::BIGINT AS missed,
        sum(s.broken)::BIGINT AS broken,
        sum(s.paused)::BIGINT AS paused,
        sum(s.maintenance)::BIGINT AS maintenance
    FROM fact.roll_since(since) AS s
    WHERE (slug IS NULL OR s.service = slug) AND s.location <> 'webhook'
    GROUP BY s.service
)
SELECT t.name AS service,
    (t.up * 100000 // nullif(t.up + t.down, 0)) / 1000.0::DOUBLE AS availability,
    ((t.up + t.down) * 100000 // nullif(t.runs, 0)) / 1000.0::DOUBLE AS coverage,
    t.up, t.down, t.runs, t.missed, t.broken, t.paused, t.maintenance
FROM sums AS t
ORDER BY t.name;

CREATE OR REPLACE MACRO fact.latency_since(slug, since) AS TABLE
WITH bins AS (
    SELECT s.service AS name, s.bin, sum(s.n)::BIGINT AS n
    FROM fact.hist_since(since) AS s
    WHERE (slug IS NULL OR s.service = slug) AND s.location <> 'webhook'
    GROUP BY s.service, s.bin
), ranks AS (
    SELECT b.name, b.bin,
        sum(b.n) OVER (PARTITION BY b.name ORDER BY b.bin) AS so_far,
        sum(b.n) OVER (PARTITION BY b.name) AS runs
    FROM bins AS b
)
SELECT r.name AS service,
    any_value(r.runs)::BIGINT AS runs,
    2 * 1.05::DOUBLE ** (min(r.bin) FILTER (r.so_far >= 0.5 * r.runs)) / 2.05::DOUBLE / 1000 AS p50_ms,
    2 * 1.05::DOUBLE ** (min(r.bin) FILTER (r.so_far >= 0.95 * r.runs)) / 2.05::DOUBLE / 1000 AS p95_ms,
    2 * 1.05::DOUBLE ** (min(r.bin) FILTER (r.so_far >= 0.99 * r.runs)) / 2.05::DOUBLE / 1000 AS p99_ms
FROM ranks AS r
GROUP BY r.name
ORDER BY r.name;

-- What users call; without a slug, of every service.
CREATE OR REPLACE MACRO main.availability(slug, span) AS TABLE
SELECT * FROM fact.availability_since(slug, main.utc_now() - span);

CREATE OR REPLACE MACRO main.latency(slug, span) AS TABLE
SELECT * FROM fact.latency_since(slug, main.utc_now() - span);

CREATE OR REPLACE VIEW main.availability_30d AS
SELECT * FROM main.availability(NULL, INTERVAL 30 DAY);
