-- What marks an alert beside its state, and what rules remember from one judgement to the next.

ALTER TABLE alerts ADD COLUMN flapping BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE alerts ADD COLUMN no_data BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE alerts ADD COLUMN ack_by TEXT;
ALTER TABLE alerts ADD COLUMN ack_ms BIGINT;
ALTER TABLE alerts ADD COLUMN ack_until_ms BIGINT;
ALTER TABLE alerts ADD COLUMN ack_note TEXT;
CREATE INDEX alerts_expiring ON alerts (ack_until_ms, id) WHERE state = 'acknowledged';

-- By the key of the rule. `breaches` and `changes` hold one bit a judgement, the lowest the newest.
CREATE TABLE rule_memory (
    rule TEXT NOT NULL PRIMARY KEY,
    service TEXT NOT NULL,
    breaches BIGINT NOT NULL,
    changes BIGINT NOT NULL,
    is_flapping BOOLEAN NOT NULL,
    was_breached BOOLEAN NOT NULL,
    clear_since_ms BIGINT,
    is_held BOOLEAN NOT NULL
);
