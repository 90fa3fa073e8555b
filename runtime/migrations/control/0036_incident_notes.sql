-- What people wrote about an incident afterwards. `is_public`: on the status pages too. Rows are appended, never changed.
CREATE TABLE incident_notes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    incident BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    author TEXT NOT NULL,
    text TEXT NOT NULL,
    is_public BOOLEAN NOT NULL
);
CREATE INDEX incident_notes_of_incident ON incident_notes (incident, id);
