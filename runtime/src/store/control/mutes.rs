//! Changes of what mutes alerts, and notices that a silence ends soon.

use sqlx::SqliteConnection;

use super::alerts::alert_from;
use super::transition::append_event;
use super::{ControlStore, EventDraft, Result, alert_groups, escalations};
use crate::domain::{Alert, AlertEvent, AlertId, AlertState, MuteChange, UnixMillis};

impl ControlStore {
    /// Mutes and unmutes alerts in one transaction, each with its event. Returns those that were
    /// changed: not the alerts that are no longer in the state that their change starts from.
    pub async fn alert_mute(&self, changes: Vec<MuteChange>) -> Result<Vec<(Alert, AlertEvent)>> {
        self.with_ballast(|| self.try_mute(changes.clone())).await
    }

    async fn try_mute(&self, changes: Vec<MuteChange>) -> Result<Vec<(Alert, AlertEvent)>> {
        let mut tx = self.begin_write().await?;
        let mut changed = Vec::with_capacity(changes.len());
        for change in changes {
            changed.extend(mute(&mut tx, change).await?);
        }
        tx.commit().await?;
        Ok(changed)
    }

    /// Notes in the history of each of these alerts that the silence which mutes them ends soon.
    /// False when that was done before.
    pub async fn silence_notice(
        &self,
        silence: i64,
        alerts: &[AlertId],
        reason: &str,
        now_ms: UnixMillis,
    ) -> Result<bool> {
        let mut tx = self.begin_write().await?;
        let noted =
            sqlx::query("UPDATE silences SET noticed_ms = $1 WHERE id = $2 AND noticed_ms IS NULL")
                .bind(now_ms)
                .bind(silence)
                .execute(&mut *tx)
                .await?;
        if noted.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(false);
        }
        for alert in alerts {
            let state = AlertState::Suppressed;
            let (actor, reason) = ("engine".to_owned(), reason.to_owned());
            let event = EventDraft {
                ts_ms: now_ms,
                from: Some(state),
                to: state,
                actor,
                reason,
            };
            append_event(&mut tx, *alert, event).await?;
        }
        tx.commit().await?;
        Ok(true)
    }
}

async fn mute(
    tx: &mut SqliteConnection,
    change: MuteChange,
) -> Result<Option<(Alert, AlertEvent)>> {
    let row = sqlx::query("SELECT * FROM alerts WHERE id = $1")
        .bind(change.alert.0)
        .fetch_optional(&mut *tx)
        .await?;
    let Some(mut alert) = row.as_ref().map(alert_from).transpose()? else {
        return Ok(None);
    };
    let Some(step) = alert.apply_mute(&change) else {
        return Ok(None);
    };
    sqlx::query("UPDATE alerts SET state = $1, suppressed_by = $2, updated_ms = $3 WHERE id = $4")
        .bind(alert.state.as_str())
        .bind(&alert.suppressed_by)
        .bind(alert.updated_ms)
        .bind(alert.id.0)
        .execute(&mut *tx)
        .await?;
    alert_groups::note_step(tx, &alert, &step).await?;
    escalations::note_step(tx, alert.id, &step).await?;
    let event = EventDraft {
        ts_ms: step.ts_ms,
        from: step.from,
        to: step.to,
        actor: change.actor,
        reason: change.reason,
    };
    let event = append_event(tx, alert.id, event).await?;
    Ok(Some((alert, event)))
}
