-- What runs were refused for want of a grant, and what they sent and received. Rows from before have zeros.

ALTER TABLE fact.plugin_runs ADD COLUMN IF NOT EXISTS denials UINTEGER DEFAULT 0;

ALTER TABLE fact.plugin_runs ADD COLUMN IF NOT EXISTS denied VARCHAR;

ALTER TABLE fact.plugin_runs ADD COLUMN IF NOT EXISTS bytes_in UBIGINT DEFAULT 0;

ALTER TABLE fact.plugin_runs ADD COLUMN IF NOT EXISTS bytes_out UBIGINT DEFAULT 0;

CREATE OR REPLACE VIEW main.plugin_runs AS
SELECT *, duration_us / 1000.0::DOUBLE AS duration_ms, cpu_us / 1000.0::DOUBLE AS cpu_ms FROM fact.plugin_runs;
