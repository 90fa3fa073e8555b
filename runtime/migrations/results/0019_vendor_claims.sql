-- What vendors claim beside what we measured. A claim is one of our outages where both overlap, or where it began within an hour
-- after ours was over; `first_seen` is the first change of the vendor's incident. Planned work is no claim of an outage.

CREATE OR REPLACE VIEW main.vendor_claims AS
WITH seen AS (
    SELECT f.service, f.reference, min(f.ts) AS first_seen
    FROM fact.incidents AS f
    WHERE f.source = 'vendor'
    GROUP BY f.service, f.reference
), claimed AS (
    SELECT i.id, i.service, i.cause, i.kind, i.error_kind, i.started, i.ended, s.first_seen
    FROM main.incidents AS i
    JOIN seen AS s ON s.service = i.service AND s.reference = i.reference
    WHERE i.source = 'vendor' AND i.kind <> 'maintenance'
), ours AS (
    SELECT i.id, i.service, i.started, i.ended, i.seconds, i.cause FROM main.incidents AS i WHERE i.source = 'ours'
), matched AS (
    SELECT o.id AS incident_id, c.id AS claim_id
    FROM ours AS o
    JOIN claimed AS c ON c.service = o.service
        AND c.started < coalesce(o.ended, main.utc_now()) + INTERVAL 1 HOUR
        AND coalesce(c.ended, main.utc_now()) > o.started
), pairs AS (
    SELECT m.incident_id, m.claim_id FROM matched AS m
    UNION ALL
    SELECT o.id, NULL FROM ours AS o WHERE o.id NOT IN (SELECT m.incident_id FROM matched AS m)
    UNION ALL
    SELECT NULL, c.id FROM claimed AS c WHERE c.id NOT IN (SELECT m.claim_id FROM matched AS m)
)
SELECT coalesce(o.service, c.service) AS service,
    o.id AS incident_id, o.started, o.ended, o.seconds, o.cause,
    c.id AS claim_id, c.cause AS claim, c.kind, c.error_kind AS impact, c.started AS claimed, c.first_seen, c.ended AS claim_ended,
    CASE WHEN c.id IS NULL THEN 'only us' WHEN o.id IS NULL THEN 'only vendor'
        WHEN c.first_seen < o.started THEN 'vendor' ELSE 'us' END AS knew_first,
    epoch_ms(c.first_seen - o.started) // 1000 AS lag_s,
    epoch_ms(c.first_seen - c.started) // 1000 AS backdated_s
FROM pairs AS p
LEFT JOIN ours AS o ON o.id = p.incident_id
LEFT JOIN claimed AS c ON c.id = p.claim_id;
