-- Reports made over the API. `spec` is the entry as it was given, as JSON.
CREATE TABLE reports (
    name TEXT PRIMARY KEY NOT NULL,
    spec TEXT NOT NULL,
    author TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL
);

-- Since when a report has the schedule that it has: what was due before is not made up.
CREATE TABLE report_schedules (
    name TEXT PRIMARY KEY NOT NULL,
    schedule TEXT NOT NULL,
    since_ms BIGINT NOT NULL
);

-- Runs, each a row before it is rendered. `run_key` makes a moment of a schedule one run; `attempts` counts how often it was begun, and
-- it is not begun again before `next_attempt_ms`; `data` is the report as JSON, from which each format is made again; `letter` and
-- `page` are its text and its HTML as they are sent.
CREATE TABLE report_runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    report TEXT NOT NULL,
    run_key TEXT NOT NULL UNIQUE,
    period TEXT NOT NULL,
    is_scheduled BOOLEAN NOT NULL,
    due_ms BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    finished_ms BIGINT,
    state TEXT NOT NULL,
    error TEXT,
    attempts BIGINT NOT NULL DEFAULT 0,
    next_attempt_ms BIGINT NOT NULL DEFAULT 0,
    sends BIGINT NOT NULL DEFAULT 0,
    title TEXT NOT NULL DEFAULT '',
    data TEXT,
    letter TEXT,
    page TEXT
);
CREATE INDEX report_runs_of_report ON report_runs (report, id);
CREATE INDEX report_runs_unfinished ON report_runs (id) WHERE finished_ms IS NULL;
CREATE INDEX report_runs_finished ON report_runs (finished_ms, id) WHERE finished_ms IS NOT NULL;

-- Files of a run that go with a mail. One with a `content_id` is a picture of its HTML.
CREATE TABLE report_files (
    run_id BIGINT NOT NULL REFERENCES report_runs (id),
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    content_id TEXT,
    content BLOB NOT NULL,
    PRIMARY KEY (run_id, name)
);
