-- What counts neither for nor against a service, availability by seconds, months that are frozen, service level objectives, and
-- good runs of plugins added up by minutes.

-- Why a run does not count: `maintenance`, or `paused`; null for all others, and for rows from before.
ALTER TABLE fact.observations ADD COLUMN IF NOT EXISTS excluded VARCHAR;

CREATE OR REPLACE VIEW main.observations AS
SELECT ts, service, probe, location, status, latency_us, dns_us, connect_us, tls_us, first_byte_us, body_us, http_status,
    error_kind, error, bytes, plugin, plugin_version, run_id, metrics::JSON AS metrics, missed, excluded,
    latency_us / 1000.0::DOUBLE AS latency_ms, dns_us / 1000.0::DOUBLE AS dns_ms, connect_us / 1000.0::DOUBLE AS connect_ms,
    tls_us / 1000.0::DOUBLE AS tls_ms, first_byte_us / 1000.0::DOUBLE AS first_byte_ms, body_us / 1000.0::DOUBLE AS body_ms
FROM fact.observations;

-- A service level objective: percent of the time that counts, over so many days up to now.
ALTER TABLE fact.services ADD COLUMN IF NOT EXISTS slo_target DOUBLE;

ALTER TABLE fact.services ADD COLUMN IF NOT EXISTS slo_days BIGINT;

CREATE OR REPLACE VIEW main.services AS
SELECT slug, name, type, base, from_json(tags, '["VARCHAR"]') AS tags, owner, slo_target, slo_days FROM fact.services;

-- A run whose latency counts.
CREATE OR REPLACE MACRO fact.has_latency(why, is_missed, found, us) AS
    why IS NULL AND NOT is_missed AND found IN ('healthy', 'degraded') AND us IS NOT NULL;

-- Runs by slot, as before; those that are excluded are counted as that and as nothing else.
CREATE OR REPLACE MACRO fact.observed_roll(
    width, since, until, gap_from := TIMESTAMP 'infinity', gap_until := TIMESTAMP '-infinity'
) AS TABLE
SELECT time_bucket(width, ts) AS ts, service, probe, location,
    count(*) AS runs,
    count(*) FILTER (excluded IS NULL AND missed) AS missed,
    count(*) FILTER (excluded IS NULL AND NOT missed AND error_kind = 'plugin' AND status NOT IN ('healthy', 'degraded'))
        AS broken,
    count(*) FILTER (excluded = 'paused') AS paused,
    count(*) FILTER (excluded <> 'paused') AS maintenance,
    count(*) FILTER (excluded IS NULL AND NOT missed AND status = 'healthy') AS healthy,
    count(*) FILTER (excluded IS NULL AND NOT missed AND status = 'degraded') AS degraded,
    count(*) FILTER (excluded IS NULL AND NOT missed AND status = 'unhealthy' AND coalesce(error_kind, '') <> 'plugin')
        AS unhealthy,
    count(*) FILTER (excluded IS NULL AND NOT missed AND status = 'error' AND coalesce(error_kind, '') <> 'plugin') AS error,
    count(latency_us) FILTER (fact.has_latency(excluded, missed, status, latency_us)) AS lat_n,
    coalesce(sum(latency_us) FILTER (fact.has_latency(excluded, missed, status, latency_us)), 0)::BIGINT AS lat_sum_us,
    min(latency_us) FILTER (fact.has_latency(excluded, missed, status, latency_us)) AS lat_min_us,
    max(latency_us) FILTER (fact.has_latency(excluded, missed, status, latency_us)) AS lat_max_us,
    coalesce(sum(dns_us) FILTER (fact.has_latency(excluded, missed, status, latency_us)), 0)::BIGINT AS dns_sum_us,
    coalesce(sum(connect_us) FILTER (fact.has_latency(excluded, missed, status, latency_us)), 0)::BIGINT AS connect_sum_us,
    coalesce(sum(tls_us) FILTER (fact.has_latency(excluded, missed, status, latency_us)), 0)::BIGINT AS tls_sum_us,
    coalesce(sum(first_byte_us) FILTER (fact.has_latency(excluded, missed, status, latency_us)), 0)::BIGINT
        AS first_byte_sum_us,
    coalesce(sum(body_us) FILTER (fact.has_latency(excluded, missed, status, latency_us)), 0)::BIGINT AS body_sum_us
FROM fact.observations
WHERE ts >= since AND ts < until AND NOT (ts >= gap_from AND ts < gap_until)
GROUP BY time_bucket(width, ts), service, probe, location;

CREATE OR REPLACE MACRO fact.observed_hist(
    width, since, until, gap_from := TIMESTAMP 'infinity', gap_until := TIMESTAMP '-infinity'
) AS TABLE
SELECT time_bucket(width, ts) AS ts, service, probe, location, fact.latency_bin(latency_us) AS bin, count(*) AS n
FROM fact.observations
WHERE ts >= since AND ts < until AND NOT (ts >= gap_from AND ts < gap_until)
    AND fact.has_latency(excluded, missed, status, latency_us)
GROUP BY time_bucket(width, ts), service, probe, location, fact.latency_bin(latency_us);

-- As before, but what is excluded is missing in no coverage.
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
    ((t.up + t.down) * 100000 // nullif(t.runs - t.paused - t.maintenance, 0)) / 1000.0::DOUBLE AS coverage,
    t.up, t.down, t.runs, t.missed, t.broken, t.paused, t.maintenance
FROM sums AS t
ORDER BY t.name;

-- Seconds, rule 1. An hour of a service is divided by what its runs found; an hour without a run is unknown. A service whose
-- probes never ran more than twice in an hour of a day is checked rarely: there the hours with a run stand for the whole day.
-- Seconds before `since`, behind `until` and in the future count for nothing.
CREATE OR REPLACE MACRO fact.overlap_s(first, last, since, until) AS
    greatest(epoch_us(least(last, until, main.utc_now())) - epoch_us(greatest(first, since)), 0) / 1000000.0::DOUBLE;

CREATE OR REPLACE MACRO fact.hours_spent(since, until, with_slo := false) AS TABLE
WITH counted AS (
    SELECT r.service, r.ts,
        sum(r.healthy + r.degraded)::DOUBLE AS up,
        sum(r.unhealthy + r.error)::DOUBLE AS down,
        sum(r.paused)::DOUBLE AS paused,
        sum(r.maintenance)::DOUBLE AS maintenance,
        sum(r.runs)::DOUBLE AS runs,
        max(r.runs) AS most
    FROM main.roll_1h AS r
    WHERE r.ts >= time_bucket(INTERVAL 1 HOUR, since) AND r.ts < until AND r.location <> 'webhook'
        AND (NOT with_slo OR r.service IN (SELECT s.slug FROM fact.services AS s WHERE s.slo_target IS NOT NULL))
    GROUP BY r.service, r.ts
), days AS (
    SELECT c.*, time_bucket(INTERVAL 1 DAY, c.ts) AS day,
        count(*) OVER (PARTITION BY c.service, time_bucket(INTERVAL 1 DAY, c.ts)) AS hours,
        max(c.most) OVER (PARTITION BY c.service, time_bucket(INTERVAL 1 DAY, c.ts)) <= 2 AS is_rare
    FROM counted AS c
), spans AS (
    SELECT d.*,
        CASE WHEN d.is_rare THEN fact.overlap_s(d.day, d.day + INTERVAL 1 DAY, since, until) / d.hours
            ELSE fact.overlap_s(d.ts, d.ts + INTERVAL 1 HOUR, since, until) END AS seconds
    FROM days AS d
)
SELECT p.service, p.ts,
    p.seconds * p.up / p.runs AS good,
    p.seconds * p.down / p.runs AS bad,
    p.seconds * p.paused / p.runs AS paused,
    p.seconds * p.maintenance / p.runs AS maintenance
FROM spans AS p;

-- Sums in whole seconds, with a thousandth for what adding fractions loses: bad ones are rounded up, all others down, and what
-- is left is unknown. Together they are the whole span.
CREATE OR REPLACE MACRO fact.whole_s(good, bad, paused, maintenance, whole) AS {
    'bad_s': least(ceil(bad - 0.001), whole)::BIGINT,
    'paused_s': least(floor(paused + 0.001), whole - least(ceil(bad - 0.001), whole))::BIGINT,
    'maintenance_s': least(floor(maintenance + 0.001), whole - least(ceil(bad - 0.001), whole))::BIGINT,
    'good_s': least(floor(good + 0.001), whole - least(ceil(bad - 0.001), whole))::BIGINT
};

CREATE OR REPLACE MACRO fact.spent(since, until) AS TABLE
WITH sums AS (
    SELECT h.service, sum(h.good) AS good, sum(h.bad) AS bad, sum(h.paused) AS paused, sum(h.maintenance) AS maintenance
    FROM fact.hours_spent(since, until) AS h
    GROUP BY h.service
), spans AS (
    SELECT s.*, floor(fact.overlap_s(since, until, since, until))::BIGINT AS whole_s FROM sums AS s
), whole AS (
    SELECT s.service, s.whole_s, fact.whole_s(s.good, s.bad, s.paused, s.maintenance, s.whole_s) AS seconds
    FROM spans AS s
)
SELECT w.service, w.whole_s, w.seconds.good_s AS good_s, w.seconds.bad_s AS bad_s,
    greatest(w.whole_s - w.seconds.good_s - w.seconds.bad_s - w.seconds.paused_s - w.seconds.maintenance_s, 0) AS unknown_s,
    w.seconds.paused_s AS paused_s, w.seconds.maintenance_s AS maintenance_s
FROM whole AS w;

-- Percent, rounded down.
CREATE OR REPLACE MACRO fact.percent(part, whole) AS (part * 100000 // nullif(whole, 0)) / 1000.0::DOUBLE;

-- Months of UTC that are closed. Nothing is updated: a correction is a further revision, with its reason.
CREATE TABLE IF NOT EXISTS fact.month_frozen (
    service VARCHAR NOT NULL,
    month DATE NOT NULL,
    good_s BIGINT NOT NULL,
    bad_s BIGINT NOT NULL,
    unknown_s BIGINT NOT NULL,
    paused_s BIGINT NOT NULL,
    maintenance_s BIGINT NOT NULL,
    rule_version INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    reason VARCHAR NOT NULL,
    frozen_at TIMESTAMP NOT NULL
);

-- The closed months as they were frozen, the month before and this one as they are by now.
CREATE OR REPLACE VIEW main.availability_by_month AS
WITH frozen AS (
    SELECT * FROM fact.month_frozen
    QUALIFY row_number() OVER (PARTITION BY service, month ORDER BY revision DESC) = 1
), running AS (
    SELECT date_trunc('month', main.utc_now())::DATE AS month, s.*
    FROM fact.spent(date_trunc('month', main.utc_now())::TIMESTAMP, main.utc_now()) AS s
    UNION ALL
    SELECT (date_trunc('month', main.utc_now()) - INTERVAL 1 MONTH)::DATE AS month, s.*
    FROM fact.spent(
        (date_trunc('month', main.utc_now()) - INTERVAL 1 MONTH)::TIMESTAMP, date_trunc('month', main.utc_now())::TIMESTAMP
    ) AS s
), months AS (
    SELECT f.service, f.month, f.good_s, f.bad_s, f.unknown_s, f.paused_s, f.maintenance_s, true AS is_frozen, f.revision,
        f.reason, f.rule_version, f.frozen_at
    FROM frozen AS f
    UNION ALL
    SELECT r.service, r.month, r.good_s, r.bad_s, r.unknown_s, r.paused_s, r.maintenance_s, false, 0, 'running', 1, NULL
    FROM running AS r
    WHERE NOT EXISTS (SELECT 1 FROM frozen AS f WHERE f.service = r.service AND f.month = r.month)
)
SELECT m.service, m.month,
    fact.percent(m.good_s, m.good_s + m.bad_s) AS availability,
    fact.percent(m.good_s + m.bad_s, m.good_s + m.bad_s + m.unknown_s) AS coverage,
    m.good_s, m.bad_s, m.unknown_s, m.paused_s, m.maintenance_s, m.is_frozen, m.revision, m.reason, m.rule_version, m.frozen_at
FROM months AS m
ORDER BY m.month, m.service;

-- Of any span, e.g. of a day in the time of a zone; without a slug, of every service.
CREATE OR REPLACE MACRO main.availability_between(slug, begins, ends) AS TABLE
SELECT s.service,
    fact.percent(s.good_s, s.good_s + s.bad_s) AS availability,
    fact.percent(s.good_s + s.bad_s, s.good_s + s.bad_s + s.unknown_s) AS coverage,
    s.whole_s AS seconds, s.good_s, s.bad_s, s.unknown_s, s.paused_s, s.maintenance_s
FROM fact.spent(
    make_timestamp(epoch_us(begins::TIMESTAMP WITH TIME ZONE)), make_timestamp(epoch_us(ends::TIMESTAMP WITH TIME ZONE))
) AS s
WHERE slug IS NULL OR s.service = slug
ORDER BY s.service;

CREATE OR REPLACE MACRO fact.slo_spent() AS TABLE
WITH goals AS (
    SELECT slug AS service, slo_target AS target, slo_days AS days, main.utc_now() - to_days(slo_days::INTEGER) AS since
    FROM fact.services
    WHERE slo_target IS NOT NULL
), sums AS (
    SELECT g.service, g.target, g.days, g.since, g.days * 86400 AS whole_s,
        fact.whole_s(
            coalesce(sum(h.good), 0), coalesce(sum(h.bad), 0), coalesce(sum(h.paused), 0), coalesce(sum(h.maintenance), 0),
            g.days * 86400
        ) AS seconds
    FROM goals AS g
    LEFT JOIN fact.hours_spent(main.utc_now() - INTERVAL 90 DAY, main.utc_now(), with_slo := true) AS h
        ON h.service = g.service AND h.ts >= g.since
    GROUP BY g.service, g.target, g.days, g.since
)
SELECT s.service, s.target, s.days, s.since, s.whole_s, s.seconds.good_s AS good_s, s.seconds.bad_s AS bad_s,
    s.seconds.paused_s + s.seconds.maintenance_s AS excluded_s
FROM sums AS s;

CREATE OR REPLACE VIEW main.slo AS
SELECT s.service, s.target, s.days,
    fact.percent(s.good_s, s.good_s + s.bad_s) AS availability,
    fact.percent(s.good_s + s.bad_s, s.whole_s - s.excluded_s) AS coverage,
    fact.percent(s.good_s, s.good_s + s.bad_s) >= s.target AS is_met,
    s.good_s, s.bad_s, s.excluded_s, s.since
FROM fact.slo_spent() AS s
ORDER BY s.service;

-- The time that may be bad in the window, and what is left of it. A burn rate of 1 uses the budget up in just the window.
CREATE OR REPLACE VIEW main.error_budget AS
WITH recent AS (
    SELECT r.service,
        sum(r.unhealthy + r.error) FILTER (r.ts >= main.utc_now() - INTERVAL 1 HOUR)
            / nullif(sum(r.healthy + r.degraded + r.unhealthy + r.error) FILTER (r.ts >= main.utc_now() - INTERVAL 1 HOUR), 0)
            AS bad_1h,
        sum(r.unhealthy + r.error) FILTER (r.ts >= main.utc_now() - INTERVAL 6 HOUR)
            / nullif(sum(r.healthy + r.degraded + r.unhealthy + r.error) FILTER (r.ts >= main.utc_now() - INTERVAL 6 HOUR), 0)
            AS bad_6h,
        sum(r.unhealthy + r.error) / nullif(sum(r.healthy + r.degraded + r.unhealthy + r.error), 0) AS bad_1d
    FROM main.roll_5m AS r
    WHERE r.ts >= main.utc_now() - INTERVAL 1 DAY AND r.location <> 'webhook'
        AND r.service IN (SELECT s.slug FROM fact.services AS s WHERE s.slo_target IS NOT NULL)
    GROUP BY r.service
), budgets AS (
    SELECT s.*, floor((s.whole_s - s.excluded_s) * (100 - s.target) / 100 + 0.000001)::BIGINT AS budget_s
    FROM fact.slo_spent() AS s
)
SELECT b.service, b.target, b.days, b.budget_s, b.bad_s AS used_s, b.budget_s - b.bad_s AS left_s,
    fact.percent(b.budget_s - b.bad_s, b.budget_s) AS left_percent,
    r.bad_1h / ((100 - b.target) / 100) AS burn_rate_1h,
    r.bad_6h / ((100 - b.target) / 100) AS burn_rate_6h,
    r.bad_1d / ((100 - b.target) / 100) AS burn_rate_1d
FROM budgets AS b
LEFT JOIN recent AS r ON r.service = b.service
ORDER BY b.service;

-- Good runs of plugins that are no longer kept one by one. A minute may have several rows; they add up.
CREATE TABLE IF NOT EXISTS fact.plugin_run_minutes (
    ts TIMESTAMP NOT NULL,
    plugin VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    version VARCHAR NOT NULL,
    digest VARCHAR NOT NULL,
    function VARCHAR NOT NULL,
    runs BIGINT NOT NULL,
    duration_us BIGINT NOT NULL,
    duration_max_us BIGINT NOT NULL,
    cpu_us BIGINT NOT NULL,
    cpu_max_us BIGINT NOT NULL,
    memory_max_bytes BIGINT NOT NULL,
    host_calls BIGINT NOT NULL,
    log_bytes BIGINT NOT NULL,
    denials BIGINT NOT NULL,
    bytes_in BIGINT NOT NULL,
    bytes_out BIGINT NOT NULL
);

CREATE OR REPLACE VIEW main.plugin_run_minutes AS SELECT * FROM fact.plugin_run_minutes;

CREATE OR REPLACE MACRO fact.added_up_runs(until) AS TABLE
SELECT time_bucket(INTERVAL 1 MINUTE, r.ts) AS ts, r.plugin, r.kind, r.version, r.digest, r.function,
    count(*) AS runs,
    sum(r.duration_us)::BIGINT AS duration_us,
    max(r.duration_us)::BIGINT AS duration_max_us,
    sum(r.cpu_us)::BIGINT AS cpu_us,
    max(r.cpu_us)::BIGINT AS cpu_max_us,
    least(max(r.memory_bytes), 9223372036854775807)::BIGINT AS memory_max_bytes,
    sum(r.host_calls)::BIGINT AS host_calls,
    sum(r.log_bytes)::BIGINT AS log_bytes,
    coalesce(sum(r.denials), 0)::BIGINT AS denials,
    coalesce(sum(r.bytes_in), 0)::BIGINT AS bytes_in,
    coalesce(sum(r.bytes_out), 0)::BIGINT AS bytes_out
FROM fact.plugin_runs AS r
WHERE r.outcome = 'ok' AND r.ts < until
GROUP BY time_bucket(INTERVAL 1 MINUTE, r.ts), r.plugin, r.kind, r.version, r.digest, r.function
ORDER BY 1, 2;

-- As before, with the runs that were added up. Quantiles are those of the runs that are kept one by one.
CREATE OR REPLACE VIEW main.plugin_health AS
WITH single AS (
    SELECT plugin, kind, version, digest,
        count(*) AS runs,
        count(*) FILTER (outcome = 'ok') AS ok,
        count(*) FILTER (outcome = 'error') AS errors,
        count(*) FILTER (outcome = 'trap') AS traps,
        count(*) FILTER (outcome = 'timeout') AS timeouts,
        count(*) FILTER (outcome = 'limit') AS limits,
        sum(denials)::BIGINT AS denials,
        sum(cpu_us)::BIGINT AS cpu_us,
        max(cpu_us)::BIGINT AS cpu_max_us,
        max(memory_bytes)::BIGINT AS memory_max_bytes,
        sum(host_calls)::BIGINT AS host_calls,
        sum(bytes_in)::BIGINT AS bytes_in,
        sum(bytes_out)::BIGINT AS bytes_out,
        approx_quantile(duration_us, 0.5)::DOUBLE / 1000.0 AS duration_p50_ms,
        approx_quantile(duration_us, 0.95)::DOUBLE / 1000.0 AS duration_p95_ms,
        approx_quantile(duration_us, 0.99)::DOUBLE / 1000.0 AS duration_p99_ms,
        max(duration_us)::BIGINT AS duration_max_us,
        min(ts) AS first_run,
        max(ts) AS last_run,
        max(ts) FILTER (outcome <> 'ok') AS last_failed,
        arg_max(error, run_id) FILTER (outcome <> 'ok') AS last_error
    FROM fact.plugin_runs
    GROUP BY ALL
), minutes AS (
    SELECT plugin, kind, version, digest,
        sum(runs)::BIGINT AS runs,
        sum(denials)::BIGINT AS denials,
        sum(cpu_us)::BIGINT AS cpu_us,
        max(cpu_max_us) AS cpu_max_us,
        max(memory_max_bytes) AS memory_max_bytes,
        sum(host_calls)::BIGINT AS host_calls,
        sum(bytes_in)::BIGINT AS bytes_in,
        sum(bytes_out)::BIGINT AS bytes_out,
        max(duration_max_us) AS duration_max_us,
        min(ts) AS first_run,
        max(ts) AS last_run
    FROM fact.plugin_run_minutes
    GROUP BY ALL
)
SELECT plugin, kind, version, digest,
    coalesce(s.runs, 0) + coalesce(m.runs, 0) AS runs,
    coalesce(s.ok, 0) + coalesce(m.runs, 0) AS ok,
    coalesce(s.errors, 0) AS errors,
    coalesce(s.traps, 0) AS traps,
    coalesce(s.timeouts, 0) AS timeouts,
    coalesce(s.limits, 0) AS limits,
    coalesce(s.denials, 0) + coalesce(m.denials, 0) AS denials,
    coalesce(s.cpu_us, 0) + coalesce(m.cpu_us, 0) AS cpu_us,
    greatest(s.cpu_max_us, m.cpu_max_us) AS cpu_max_us,
    greatest(s.memory_max_bytes, m.memory_max_bytes) AS memory_max_bytes,
    coalesce(s.host_calls, 0) + coalesce(m.host_calls, 0) AS host_calls,
    coalesce(s.bytes_in, 0) + coalesce(m.bytes_in, 0) AS bytes_in,
    coalesce(s.bytes_out, 0) + coalesce(m.bytes_out, 0) AS bytes_out,
    s.duration_p50_ms, s.duration_p95_ms, s.duration_p99_ms,
    greatest(s.duration_max_us, m.duration_max_us)::DOUBLE / 1000.0 AS duration_max_ms,
    least(s.first_run, m.first_run) AS first_run,
    greatest(s.last_run, m.last_run) AS last_run,
    s.last_failed, s.last_error
FROM single AS s
FULL JOIN minutes AS m USING (plugin, kind, version, digest);
