-- The texts of the configuration files that were last taken over, sealed as a whole: what a start compares the files with.
CREATE TABLE accepted_configuration (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    sealed      BLOB NOT NULL,
    revision    BIGINT NOT NULL,
    accepted_ms BIGINT NOT NULL,
    accepted_by TEXT NOT NULL
);
