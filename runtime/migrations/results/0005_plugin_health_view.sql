-- How each version of each plugin has done, over all its runs. Quantiles are approximate, so that a long history costs no
-- memory. Runs of a candidate beside the active version count as its own.
CREATE OR REPLACE VIEW main.plugin_health AS
SELECT plugin, kind, version, digest,
    count(*) AS runs,
    count(*) FILTER (outcome = 'ok') AS ok,
    count(*) FILTER (outcome = 'error') AS errors,
    count(*) FILTER (outcome = 'trap') AS traps,
    count(*) FILTER (outcome = 'timeout') AS timeouts,
    count(*) FILTER (outcome = 'limit') AS limits,
    sum(denials)::BIGINT AS denials,
    sum(cpu_us)::BIGINT AS cpu_us,
    max(cpu_us) AS cpu_max_us,
    max(memory_bytes) AS memory_max_bytes,
    sum(host_calls)::BIGINT AS host_calls,
    sum(bytes_in)::BIGINT AS bytes_in,
    sum(bytes_out)::BIGINT AS bytes_out,
    approx_quantile(duration_us, 0.5)::DOUBLE / 1000.0 AS duration_p50_ms,
    approx_quantile(duration_us, 0.95)::DOUBLE / 1000.0 AS duration_p95_ms,
    approx_quantile(duration_us, 0.99)::DOUBLE / 1000.0 AS duration_p99_ms,
    max(duration_us)::DOUBLE / 1000.0 AS duration_max_ms,
    min(ts) AS first_run,
    max(ts) AS last_run,
    max(ts) FILTER (outcome <> 'ok') AS last_failed,
    arg_max(error, run_id) FILTER (outcome <> 'ok') AS last_error
FROM fact.plugin_runs
GROUP BY ALL;
