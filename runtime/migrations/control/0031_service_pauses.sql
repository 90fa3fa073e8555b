-- Services that are paused over the API, those of files too. What is over is removed.
CREATE TABLE service_pauses (
    service TEXT PRIMARY KEY NOT NULL,
    since_ms BIGINT NOT NULL,
    until_ms BIGINT,
    reason TEXT NOT NULL,
    author TEXT NOT NULL
);
