-- What a candidate said beside the active version of its plugin: one row for each call that both got.
CREATE TABLE IF NOT EXISTS fact.shadow_runs (
    ts TIMESTAMP NOT NULL,
    plugin VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    service VARCHAR NOT NULL,
    probe VARCHAR,
    agree BOOLEAN NOT NULL,
    difference VARCHAR,
    candidate_outcome VARCHAR NOT NULL,
    active_run_id BIGINT NOT NULL,
    active_version VARCHAR NOT NULL,
    active_digest VARCHAR NOT NULL,
    active_status VARCHAR NOT NULL,
    active_latency_us UINTEGER,
    active_cpu_us UINTEGER NOT NULL,
    active_memory_bytes UBIGINT NOT NULL,
    candidate_run_id BIGINT NOT NULL,
    candidate_version VARCHAR NOT NULL,
    candidate_digest VARCHAR NOT NULL,
    candidate_status VARCHAR NOT NULL,
    candidate_latency_us UINTEGER,
    candidate_cpu_us UINTEGER NOT NULL,
    candidate_memory_bytes UBIGINT NOT NULL
);

CREATE OR REPLACE VIEW main.shadow_runs AS
SELECT *, active_latency_us / 1000.0::DOUBLE AS active_latency_ms,
    candidate_latency_us / 1000.0::DOUBLE AS candidate_latency_ms
FROM fact.shadow_runs;
