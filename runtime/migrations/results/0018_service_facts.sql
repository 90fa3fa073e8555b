-- Facts about services, to group by: who answers for one, how much depends on it, and what its vendor has promised.

ALTER TABLE fact.services ADD COLUMN IF NOT EXISTS team VARCHAR;

ALTER TABLE fact.services ADD COLUMN IF NOT EXISTS criticality VARCHAR;

ALTER TABLE fact.services ADD COLUMN IF NOT EXISTS environment VARCHAR;

ALTER TABLE fact.services ADD COLUMN IF NOT EXISTS links VARCHAR;

ALTER TABLE fact.services ADD COLUMN IF NOT EXISTS depends_on VARCHAR;

ALTER TABLE fact.services ADD COLUMN IF NOT EXISTS sla DOUBLE;

ALTER TABLE fact.services ADD COLUMN IF NOT EXISTS claim_days BIGINT;

ALTER TABLE fact.services ADD COLUMN IF NOT EXISTS public BOOLEAN;

CREATE OR REPLACE VIEW main.services AS
SELECT slug, name, type, base, from_json(tags, '["VARCHAR"]') AS tags, owner, slo_target, slo_days,
    team, criticality, environment, links::JSON AS links, from_json(depends_on, '["VARCHAR"]') AS depends_on, sla, claim_days, public
FROM fact.services;
