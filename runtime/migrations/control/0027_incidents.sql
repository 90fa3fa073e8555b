-- Incidents, written in the transaction that decides on them. Every change takes the next `change_id`, by which the results
-- follow. `reference` makes an incident the same one however often it is written.
CREATE TABLE incidents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    service TEXT NOT NULL,
    source TEXT NOT NULL,
    reference TEXT NOT NULL,
    kind TEXT NOT NULL,
    cause TEXT NOT NULL,
    error_kind TEXT,
    probe TEXT,
    started_ms BIGINT NOT NULL,
    ended_ms BIGINT,
    outcome TEXT,
    runs BIGINT NOT NULL,
    reopened BIGINT NOT NULL,
    decided_ms BIGINT NOT NULL,
    alert_id BIGINT,
    change_id BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX incidents_reference ON incidents (service, source, reference);
CREATE UNIQUE INDEX incidents_change ON incidents (change_id);
CREATE INDEX incidents_open ON incidents (source, service) WHERE ended_ms IS NULL;
-- What retention removes, and what a start reads.
CREATE INDEX incidents_ended ON incidents (ended_ms, id) WHERE ended_ms IS NOT NULL;

-- `change`: the last change of an incident. `event`: the last event of a vendor that was looked at.
CREATE TABLE incident_marks (
    name TEXT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO incident_marks (name, value) VALUES ('change', 0), ('event', 0);
