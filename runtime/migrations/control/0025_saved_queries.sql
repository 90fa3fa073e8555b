-- Statements in SQL that people keep, with the names of their parameters and values for those that are not given.
CREATE TABLE saved_queries (
    name TEXT PRIMARY KEY NOT NULL,
    query TEXT NOT NULL,
    description TEXT NOT NULL,
    parameters TEXT NOT NULL,
    defaults TEXT NOT NULL,
    author TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL
);
