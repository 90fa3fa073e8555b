-- Files of the archive that stand for rows that are no longer here. A row is written in the transaction that deletes the rows of
-- its day, so that each of them counts once at any moment.

CREATE TABLE IF NOT EXISTS fact.archive_files (
    table_name VARCHAR NOT NULL,
    day DATE NOT NULL,
    path VARCHAR NOT NULL,
    row_count BIGINT NOT NULL
);
