-- Versions whose component was deleted stay as rows: activations and the audit log name them.
ALTER TABLE plugin_versions ADD COLUMN removed_ms BIGINT;

-- What came with the program; a newer program brings its own in its place.
ALTER TABLE plugin_activations ADD COLUMN bundled BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE plugin_activations SET bundled = TRUE WHERE activated_by = 'bundled';

-- The candidate that runs beside the active version, at most one of a name.
CREATE TABLE plugin_shadows (
    name TEXT NOT NULL PRIMARY KEY,
    digest TEXT NOT NULL,
    started_ms BIGINT NOT NULL,
    started_by TEXT NOT NULL,
    FOREIGN KEY (name, digest) REFERENCES plugin_versions (name, digest)
);

CREATE INDEX audit_log_subject ON audit_log (subject, id);
