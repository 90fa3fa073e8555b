-- What is sealed: copies of rows in files that never change, for the processes that run user SQL. `sealed_files` names them, each
-- with all rows of a table from `since` up to `until`, but for what `sealed_dirty` names: it changed since, and was marked in the
-- transaction that changed it. A mark goes when a seal has seen it, by its `id`; marks of the
-- writer are made once in an `epoch`, and those of the one that goes on stay.

CREATE TABLE IF NOT EXISTS fact.sealed_files (
    table_name VARCHAR NOT NULL,
    since TIMESTAMP NOT NULL,
    until TIMESTAMP NOT NULL,
    file VARCHAR NOT NULL,
    rows BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    shape VARCHAR NOT NULL
);

CREATE TABLE IF NOT EXISTS fact.sealed_dirty (
    table_name VARCHAR NOT NULL,
    since TIMESTAMP NOT NULL,
    until TIMESTAMP NOT NULL,
    epoch BIGINT NOT NULL,
    id BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS fact.sealed_state (
    epoch BIGINT NOT NULL
);

INSERT INTO fact.sealed_state
SELECT 1
WHERE NOT EXISTS (SELECT 1 FROM fact.sealed_state);
