-- Files of the archive: days of the results that are Parquet. `sha256` is that of the whole file, in hex. While a day is archived
-- again, with rows that came late, it has two rows: the one that is `live` and the one that is `written`. `copied_ms` is when it was sent to the object store.

CREATE TABLE archive_files (
    path TEXT PRIMARY KEY,
    table_name TEXT NOT NULL,
    day TEXT NOT NULL,
    number INTEGER NOT NULL,
    state TEXT NOT NULL,
    row_count INTEGER NOT NULL,
    byte_count INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    archived_ms INTEGER NOT NULL,
    verified_ms INTEGER NOT NULL,
    fault TEXT,
    copied_ms INTEGER
);

CREATE INDEX archive_files_by_day ON archive_files (table_name, day);
CREATE INDEX archive_files_by_verified ON archive_files (verified_ms);
