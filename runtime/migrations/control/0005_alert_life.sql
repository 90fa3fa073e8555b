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

-- Where the escalation of an alert that has fired stands. Deleted when the alert ends.
CREATE TABLE escalations (
    alert_id BIGINT NOT NULL PRIMARY KEY REFERENCES alerts (id),
    policy TEXT NOT NULL,
    step BIGINT NOT NULL,
    taken BIGINT NOT NULL,
    -- None: paused, or at its end.
    due_ms BIGINT,
    -- What the step that is next waits when it goes on after a pause; -1: there is none.
    wait_ms BIGINT NOT NULL,
    started_ms BIGINT NOT NULL
);
CREATE INDEX escalations_due ON escalations (due_ms, alert_id) WHERE due_ms IS NOT NULL;
