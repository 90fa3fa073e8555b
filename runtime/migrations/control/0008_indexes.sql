-- Hot queries touch what is open, waiting or due, and pages of lists; never what is over. Each index here serves one of them.

-- Open alerts, in the order of their ids.
CREATE INDEX alerts_open_id ON alerts (id) WHERE state <> 'resolved';
-- Lists of one service's alerts, newest first. Most alerts are resolved, so lists of those walk this or the ids.
CREATE INDEX alerts_service ON alerts (service, id);
-- Alerts that ended, by the moment: what a backtest compares with, and what retention removes.
CREATE INDEX alerts_ended ON alerts (resolved_ms, id) WHERE state = 'resolved';
CREATE INDEX alerts_rule_ended ON alerts (rule, resolved_ms) WHERE state = 'resolved';

-- The order within a group and a channel, among what still waits.
CREATE INDEX notifications_line ON notifications (group_key, channel, id) WHERE state = 'waiting';
-- Lists of messages of one state, newest first. Partial, so that it is never taken for what waits.
CREATE INDEX notifications_state ON notifications (state, id) WHERE state <> 'waiting';
-- What retention removes. Signs of life are kept for less time than messages.
CREATE INDEX notifications_finished ON notifications (created_ms, id) WHERE state <> 'waiting';
CREATE INDEX notifications_watchdog ON notifications (created_ms, id) WHERE reason = 'watchdog';
-- Without it, each message that is removed looks through all others for those that it is the digest of.
CREATE INDEX notifications_digested ON notifications (digest_id) WHERE digest_id IS NOT NULL;

-- The first word of the action, e.g. `plugin`.
ALTER TABLE audit_log ADD COLUMN kind TEXT GENERATED ALWAYS AS (substr(action, 1, instr(action, '.') - 1)) VIRTUAL;
CREATE INDEX audit_log_kind ON audit_log (kind, id);
CREATE INDEX audit_log_actor ON audit_log (actor, id);
CREATE INDEX audit_log_ts ON audit_log (ts_ms, id);

CREATE INDEX rule_memory_service ON rule_memory (service, rule);
-- One-off windows that are over. Recurring ones have no end.
CREATE INDEX maintenance_windows_end ON maintenance_windows (ends_ms) WHERE ends_ms IS NOT NULL;
