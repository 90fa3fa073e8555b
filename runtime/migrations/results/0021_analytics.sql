-- Analytics: alerts that only made noise, vendors beside our own clock, services beside each other, and calls by hours. Each is a
-- macro of a span, which the API asks, and a view of the last 30 days.

-- An alert that fired, with what became of it. It is fired again where its rule fired within a day after it was resolved.
CREATE OR REPLACE MACRO fact.alert_lives(since, until) AS TABLE
WITH lives AS (
    SELECT e.alert_id, e.rule,
        any_value(e.service) AS service, any_value(e.alert) AS alert, any_value(e.severity) AS severity,
        min(e.ts) FILTER (e.to_state = 'firing') AS fired,
        min(e.ts) FILTER (e.to_state = 'acknowledged') AS acknowledged,
        max(e.ts) FILTER (e.to_state = 'resolved') AS resolved,
        bool_or(e.actor NOT IN ('engine', 'auditor')) AS is_acted_on
    FROM fact.alert_events AS e
    GROUP BY e.alert_id, e.rule
), fired AS (
    -- Before the span is cut out: what fires behind its end counts as well.
    SELECT l.*, lead(l.fired) OVER (PARTITION BY l.rule ORDER BY l.fired) AS fired_next
    FROM lives AS l
    WHERE l.fired IS NOT NULL
)
SELECT l.alert_id, l.rule, l.service, l.alert, l.severity, l.fired, l.acknowledged, l.resolved, l.is_acted_on,
    epoch_ms(l.acknowledged - l.fired) // 1000 AS acknowledge_s,
    epoch_ms(l.resolved - l.fired) // 1000 AS resolve_s,
    coalesce(l.fired_next <= l.resolved + INTERVAL 24 HOUR, false) AS is_refired
FROM fired AS l
WHERE l.fired >= since AND l.fired < until;

CREATE OR REPLACE MACRO fact.noise_between(since, until) AS TABLE
SELECT a.service, a.rule,
    arg_max(a.alert, a.fired) AS alert,
    arg_max(a.severity, a.fired) AS severity,
    count(*) AS times_fired,
    count(*) FILTER (NOT a.is_acted_on) AS not_acted_on,
    count(*) FILTER (a.is_refired) AS refired,
    quantile_disc(a.acknowledge_s, 0.5)::BIGINT AS acknowledge_p50_s,
    quantile_disc(a.resolve_s, 0.5)::BIGINT AS resolve_p50_s,
    quantile_disc(a.resolve_s, 0.9)::BIGINT AS resolve_p90_s,
    max(a.fired) AS last_fired
FROM fact.alert_lives(since, until) AS a
GROUP BY a.service, a.rule
ORDER BY times_fired DESC, a.rule;

CREATE OR REPLACE VIEW main.alert_noise AS
SELECT * FROM fact.noise_between(main.utc_now() - INTERVAL 30 DAY, main.utc_now());

-- Outages and claims that began within a span, each counted once, however many of the other side it overlaps. Seconds are those
-- up to now where it lasts; where claims overlap, they are counted once.
CREATE OR REPLACE MACRO fact.honesty_between(since, until) AS TABLE
WITH pairs AS (
    SELECT c.*, coalesce(c.claim_ended, main.utc_now()) AS claim_until
    FROM main.vendor_claims AS c
    WHERE coalesce(c.started, c.claimed) >= since AND coalesce(c.started, c.claimed) < until
), ours AS (
    SELECT p.service, p.incident_id, any_value(p.seconds) AS seconds, min(p.lag_s) AS lag_s,
        bool_or(p.knew_first = 'vendor') AS is_vendor_first,
        bool_and(p.knew_first = 'only us') AS is_undeclared
    FROM pairs AS p
    WHERE p.incident_id IS NOT NULL
    GROUP BY p.service, p.incident_id
), theirs AS (
    SELECT p.service, p.claim_id, any_value(p.claimed) AS claimed, any_value(p.claim_until) AS claim_until,
        bool_and(p.incident_id IS NULL) AS is_unseen
    FROM pairs AS p
    WHERE p.claim_id IS NOT NULL
    GROUP BY p.service, p.claim_id
), their_spans AS (
    SELECT t.*, max(t.claim_until) OVER (
            PARTITION BY t.service ORDER BY t.claimed, t.claim_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS covered_until
    FROM theirs AS t
), our_sums AS (
    SELECT o.service, count(*) AS incidents, sum(o.seconds)::BIGINT AS seconds,
        count(*) FILTER (NOT o.is_vendor_first AND NOT o.is_undeclared) AS we_first,
        count(*) FILTER (o.is_vendor_first) AS vendor_first,
        count(*) FILTER (o.is_undeclared) AS undeclared,
        quantile_disc(o.lag_s, 0.5)::BIGINT AS lag_p50_s
    FROM ours AS o
    GROUP BY o.service
), their_sums AS (
    SELECT t.service, count(*) AS incidents,
        sum(greatest(epoch_ms(t.claim_until - greatest(t.claimed, t.covered_until)), 0))::BIGINT // 1000 AS seconds,
        count(*) FILTER (t.is_unseen) AS unseen
    FROM their_spans AS t
    GROUP BY t.service
)
SELECT coalesce(o.service, t.service) AS service,
    coalesce(o.incidents, 0) AS our_incidents, coalesce(t.incidents, 0) AS vendor_incidents,
    coalesce(o.we_first, 0) AS we_first, coalesce(o.vendor_first, 0) AS vendor_first,
    coalesce(o.undeclared, 0) AS undeclared, coalesce(t.unseen, 0) AS only_vendor,
    o.lag_p50_s, coalesce(o.seconds, 0) AS our_s, coalesce(t.seconds, 0) AS vendor_s
FROM our_sums AS o
FULL JOIN their_sums AS t ON t.service = o.service
ORDER BY 1;

CREATE OR REPLACE VIEW main.vendor_honesty AS
SELECT * FROM fact.honesty_between(main.utc_now() - INTERVAL 30 DAY, main.utc_now());

-- Services side by side, by hours. Costs in several currencies are not added up.
CREATE OR REPLACE MACRO fact.compared_between(since, until) AS TABLE
WITH bins AS (
    SELECT h.service, h.bin, sum(h.n)::BIGINT AS n
    FROM main.hist_1h AS h
    WHERE h.ts >= time_bucket(INTERVAL 1 HOUR, since) AND h.ts < until AND h.location <> 'webhook'
    GROUP BY h.service, h.bin
), ranks AS (
    SELECT b.service, b.bin,
        sum(b.n) OVER (PARTITION BY b.service ORDER BY b.bin) AS so_far,
        sum(b.n) OVER (PARTITION BY b.service) AS runs
    FROM bins AS b
), quantiles AS (
    SELECT r.service,
        2 * 1.05::DOUBLE ** (min(r.bin) FILTER (r.so_far >= 0.5 * r.runs)) / 2.05::DOUBLE / 1000 AS p50_ms,
        2 * 1.05::DOUBLE ** (min(r.bin) FILTER (r.so_far >= 0.95 * r.runs)) / 2.05::DOUBLE / 1000 AS p95_ms,
        2 * 1.05::DOUBLE ** (min(r.bin) FILTER (r.so_far >= 0.99 * r.runs)) / 2.05::DOUBLE / 1000 AS p99_ms
    FROM ranks AS r
    GROUP BY r.service
), outages AS (
    SELECT i.service, count(*) AS incidents
    FROM main.incidents AS i
    WHERE i.source = 'ours' AND i.started < until AND coalesce(i.ended, main.utc_now()) >= since
    GROUP BY i.service
), used AS (
    SELECT u.service, sum(u.calls)::BIGINT AS calls,
        CASE WHEN count(DISTINCT u.currency) = 1 THEN sum(u.cost_min)::DECIMAL(38,12) END AS cost_min,
        CASE WHEN count(DISTINCT u.currency) = 1 THEN sum(u.cost_max)::DECIMAL(38,12) END AS cost_max,
        CASE WHEN count(DISTINCT u.currency) = 1 THEN any_value(u.currency) END AS currency
    FROM fact.usage_deltas AS u
    WHERE u.unit IS NULL AND u.ts >= since AND u.ts < until
    GROUP BY u.service
)
SELECT s.service,
    fact.percent(s.good_s, s.good_s + s.bad_s) AS availability,
    fact.percent(s.good_s + s.bad_s, s.good_s + s.bad_s + s.unknown_s) AS coverage,
    s.bad_s, q.p50_ms, q.p95_ms, q.p99_ms, coalesce(o.incidents, 0) AS incidents,
    coalesce(u.calls, 0) AS calls, u.cost_min, u.cost_max, u.currency
FROM fact.spent(since, until) AS s
LEFT JOIN quantiles AS q ON q.service = s.service
LEFT JOIN outages AS o ON o.service = s.service
LEFT JOIN used AS u ON u.service = s.service
ORDER BY s.service;

CREATE OR REPLACE VIEW main.service_comparison AS
SELECT * FROM fact.compared_between(main.utc_now() - INTERVAL 30 DAY, main.utc_now());

-- Calls by hours of UTC. The week begins with Monday, 1.
CREATE OR REPLACE VIEW main.usage_by_hour AS
SELECT u.service, date_trunc('hour', u.ts)::TIMESTAMP AS ts,
    isodow(date_trunc('hour', u.ts))::BIGINT AS weekday, hour(date_trunc('hour', u.ts))::BIGINT AS hour,
    sum(u.calls)::BIGINT AS calls
FROM fact.usage_deltas AS u
WHERE u.unit IS NULL
GROUP BY u.service, date_trunc('hour', u.ts);
