//! Due moments after the clock was set back. They are moments of the wall clock, because they have
//! to outlive a restart; what lies ahead would wait for as much longer as the clock was set back
//! by.

use super::{ControlStore, Result};
use crate::domain::UnixMillis;

/// A due moment is this much further ahead than its interval before it is taken for one of another
/// clock.
const SLACK_MS: i64 = 60_000;

impl ControlStore {
    /// Moves due moments of groups, messages and escalations by what the clock was set back, in one
    /// transaction, to now at the earliest; last notifications of groups as well, so that a repeat
    /// comes when it would have. Returns how many rows changed.
    pub async fn due_set_back(&self, by_ms: i64, now_ms: UnixMillis) -> Result<u64> {
        let mut tx = self.begin_write().await?;
        let mut changed = 0;
        for query in [
            "UPDATE alert_groups SET last_notified_ms = last_notified_ms - $1, revision = revision + 1,
                 flush_at_ms = CASE WHEN flush_at_ms > $2 THEN max(flush_at_ms - $1, $2) ELSE flush_at_ms END
             WHERE flush_at_ms > $2 OR last_notified_ms IS NOT NULL",
            "UPDATE notifications SET next_attempt_ms = max(next_attempt_ms - $1, $2)
             WHERE state = 'waiting' AND next_attempt_ms > $2",
            "UPDATE escalations SET due_ms = max(due_ms - $1, $2) WHERE due_ms > $2",
        ] {
            changed += sqlx::query(query).bind(by_ms).bind(now_ms).execute(&mut *tx).await?.rows_affected();
        }
        tx.commit().await?;
        Ok(changed)
    }

    /// Moves, in one transaction, what is due later than its interval allows to the end of that
    /// interval, and messages that wait for another attempt to within a minute. For a start, when
    /// it is not known whether the clock was set back meanwhile.
    pub async fn due_clamp(&self, now_ms: UnixMillis) -> Result<u64> {
        let mut tx = self.begin_write().await?;
        let mut changed = 0;
        for query in [
            "UPDATE alert_groups SET revision = revision + 1,
                 last_notified_ms = CASE WHEN last_notified_ms > $1 THEN $1 ELSE last_notified_ms END,
                 flush_at_ms = CASE WHEN flush_at_ms > $1 + max(wait_ms, interval_ms) + $2
                     THEN $1 + max(wait_ms, interval_ms) ELSE flush_at_ms END
             WHERE last_notified_ms > $1 + $2 OR flush_at_ms > $1 + max(wait_ms, interval_ms) + $2",
            "UPDATE notifications SET next_attempt_ms = $1 + $2 WHERE state = 'waiting' AND next_attempt_ms > $1 + $2",
            "UPDATE escalations SET due_ms = $1 + wait_ms WHERE wait_ms >= 0 AND due_ms > $1 + wait_ms + $2",
        ] {
            changed += sqlx::query(query)
                .bind(now_ms)
                .bind(SLACK_MS)
                .execute(&mut *tx)
                .await?
                .rows_affected();
        }
        tx.commit().await?;
        Ok(changed)
    }
}
