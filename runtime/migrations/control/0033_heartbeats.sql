-- Heartbeats of services: the id in the address that their jobs call, and what is known of their pings. `gone_ms`: since when no service has it.
CREATE TABLE heartbeats (
    service TEXT NOT NULL PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    created_ms BIGINT NOT NULL,
    gone_ms BIGINT,
    state TEXT NOT NULL,
    since_ms BIGINT NOT NULL,
    cause TEXT,
    reason TEXT,
    last_ms BIGINT,
    last_success_ms BIGINT,
    started_ms BIGINT,
    duration_ms BIGINT,
    exit_status BIGINT,
    message TEXT,
    pings BIGINT NOT NULL
);
