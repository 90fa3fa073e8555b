-- Costs of calls by months of UTC. Currencies are never added up.

CREATE OR REPLACE VIEW main.cost_by_month AS
SELECT date_trunc('month', ts)::DATE AS month, service, currency, sum(calls)::BIGINT AS calls,
    sum(attempts)::BIGINT AS attempts, sum(cost_min)::DECIMAL(38,12) AS cost_min, sum(cost_max)::DECIMAL(38,12) AS cost_max
FROM fact.usage_deltas
WHERE unit IS NULL AND currency IS NOT NULL
GROUP BY date_trunc('month', ts)::DATE, service, currency;
