-- Incidents, copied from the control store: one row a change of one. Nothing is updated here; the last row of an incident
-- counts. Which one it is say service, source and reference, which stay the same in a control store that was made anew.

CREATE TABLE IF NOT EXISTS fact.incidents (
    ts TIMESTAMP NOT NULL,
    change_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    service VARCHAR NOT NULL,
    started TIMESTAMP NOT NULL,
    ended TIMESTAMP,
    kind VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    reference VARCHAR NOT NULL,
    cause VARCHAR NOT NULL,
    error_kind VARCHAR,
    probe VARCHAR,
    outcome VARCHAR,
    runs BIGINT NOT NULL,
    reopened BIGINT NOT NULL,
    alert_id BIGINT
);

-- `seconds` of an open one are those up to now. What was done stands in the events of its alert.
CREATE OR REPLACE VIEW main.incidents AS
WITH newest AS (
    SELECT * FROM fact.incidents
    QUALIFY row_number() OVER (PARTITION BY service, source, reference ORDER BY ts DESC, change_id DESC) = 1
), done AS (
    SELECT alert_id,
        min(ts) FILTER (to_state = 'firing') AS fired,
        min(ts) FILTER (to_state = 'acknowledged') AS acknowledged,
        arg_min(actor, ts) FILTER (to_state = 'acknowledged') AS acknowledged_by
    FROM fact.alert_events
    WHERE alert_id IN (SELECT n.alert_id FROM newest AS n)
    GROUP BY alert_id
)
SELECT n.id, n.service, n.started, n.ended, n.kind, n.source, n.cause, n.alert_id,
    epoch_ms(coalesce(n.ended, greatest(main.utc_now(), n.started)) - n.started) // 1000 AS seconds,
    n.error_kind, n.probe, n.outcome, n.runs, n.reopened, n.reference,
    d.fired, d.acknowledged, d.acknowledged_by,
    n.ts, n.change_id
FROM newest AS n
LEFT JOIN done AS d ON d.alert_id = n.alert_id;
