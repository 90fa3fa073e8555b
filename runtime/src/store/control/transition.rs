//! One step in an alert's life: the alert, its event and its place in its groups, all in one
//! transaction or not at all.

use sqlx::SqliteConnection;

use super::alerts::alert_from;
use super::transition_draft::{AlertDraft, EventDraft, Transition};
use super::{ControlError, Result, alert_groups, escalations, exists, incidents, rule_memory};
use crate::domain::{Alert, AlertEvent, AlertId, AlertState, AlertStep, Labels, start_of};

/// Does one transition in a transaction that is under way. `Conflict` when the alert is no longer
/// in the state that the event starts from, `Exists` when the rule has an open alert already.
pub(super) async fn apply(
    tx: &mut SqliteConnection,
    transition: Transition,
) -> Result<(Alert, AlertEvent)> {
    let Transition {
        alert,
        mut event,
        groups,
        is_news,
        memory,
        escalation,
    } = transition;
    let alert = match alert.id {
        None => insert(tx, alert).await?,
        Some(id) => {
            let alert = update(tx, alert, id, &mut event).await?;
            let step = AlertStep {
                from: event.from,
                to: event.to,
                ts_ms: event.ts_ms,
                is_news,
            };
            alert_groups::note_step(tx, &alert, &step).await?;
            escalations::note_step(tx, id, &step).await?;
            alert
        }
    };
    if let Some(memory) = memory {
        rule_memory::put(tx, &alert.rule, &alert.service, memory).await?;
    }
    if let Some(escalation) = &escalation {
        escalations::begin(tx, alert.id, escalation, event.ts_ms).await?;
    }
    alert_groups::join(tx, groups, &alert).await?;
    if event.to == AlertState::Firing && event.from != Some(AlertState::Firing) {
        incidents::note_alert(tx, &alert).await?;
    }
    let event = append_event(tx, alert.id, event).await?;
    Ok((alert, event))
}

async fn insert(tx: &mut SqliteConnection, draft: AlertDraft) -> Result<Alert> {
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO alerts (name, rule, service, severity, state, summary, value, wanted, started_ms, fired_ms,
             resolved_ms, updated_ms, flapping, no_data, labels)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) RETURNING id",
    )
    .bind(&draft.name)
    .bind(&draft.rule)
    .bind(&draft.service)
    .bind(draft.severity.as_str())
    .bind(draft.state.as_str())
    .bind(&draft.summary)
    .bind(draft.value)
    .bind(draft.wanted)
    .bind(draft.started_ms)
    .bind(draft.fired_ms)
    .bind(draft.resolved_ms)
    .bind(draft.updated_ms)
    .bind(draft.flags.flapping)
    .bind(draft.flags.no_data)
    .bind(kept_labels(&draft.labels))
    .fetch_one(tx)
    .await
    .map_err(|source| exists(source, "open alert of rule", &draft.rule))?;
    Ok(draft.into_alert(AlertId(id)))
}

/// Updates the row, except what identifies the breach (name, rule, service, start).
async fn update(
    tx: &mut SqliteConnection,
    draft: AlertDraft,
    id: AlertId,
    event: &mut EventDraft,
) -> Result<Alert> {
    let row = sqlx::query("SELECT * FROM alerts WHERE id = $1")
        .bind(id.0)
        .fetch_optional(&mut *tx)
        .await?;
    let row = row.ok_or_else(|| ControlError::NotFound {
        what: "alert",
        name: id.0.to_string(),
    })?;
    let found = alert_from(&row)?;
    let start = start_of(event.from, found.state, event.to);
    let start = start.ok_or_else(|| ControlError::Conflict {
        what: "alert",
        name: id.0.to_string(),
        expected: state_text(event.from),
        found: state_text(Some(found.state)),
    })?;
    event.from = event.from.and(Some(start));
    let suppressed_by = found
        .suppressed_by
        .filter(|_| draft.state == AlertState::Suppressed);
    let acknowledged = draft.flags.acknowledged.as_ref();
    let row = sqlx::query(
        "UPDATE alerts SET severity = $1, state = $2, summary = $3, value = $4, wanted = $5, fired_ms = $6,
             resolved_ms = $7, updated_ms = $8,
             suppressed_by = $9, flapping = $10, no_data = $11, ack_by = $12, ack_ms = $13, ack_until_ms = $14,
             ack_note = $15, labels = $16
         WHERE id = $17 RETURNING *",
    )
    .bind(draft.severity.as_str())
    .bind(draft.state.as_str())
    .bind(&draft.summary)
    .bind(draft.value)
    .bind(draft.wanted)
    .bind(draft.fired_ms)
    .bind(draft.resolved_ms)
    .bind(draft.updated_ms)
    .bind(suppressed_by)
    .bind(draft.flags.flapping)
    .bind(draft.flags.no_data)
    .bind(acknowledged.map(|acknowledged| acknowledged.by.as_str()))
    .bind(acknowledged.map(|acknowledged| acknowledged.at_ms))
    .bind(acknowledged.and_then(|acknowledged| acknowledged.until_ms))
    .bind(acknowledged.map(|acknowledged| acknowledged.note.as_str()))
    .bind(kept_labels(&draft.labels))
    .bind(id.0)
    .fetch_one(tx)
    .await
    .map_err(|source| exists(source, "open alert of rule", &draft.rule))?;
    alert_from(&row)
}

fn state_text(state: Option<AlertState>) -> String {
    format!("state `{}`", state.map_or("none", AlertState::as_str))
}

/// JSON of the column; none where the alert has no labels.
fn kept_labels(labels: &Labels) -> Option<String> {
    let json = || serde_json::to_string(labels).expect("names and texts");
    (!labels.is_empty()).then(json)
}

pub(super) async fn append_event(
    tx: &mut SqliteConnection,
    alert: AlertId,
    draft: EventDraft,
) -> Result<AlertEvent> {
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO alert_events (alert_id, ts_ms, from_state, to_state, actor, reason)
         VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
    )
    .bind(alert.0)
    .bind(draft.ts_ms)
    .bind(draft.from.map(AlertState::as_str))
    .bind(draft.to.as_str())
    .bind(&draft.actor)
    .bind(&draft.reason)
    .fetch_one(tx)
    .await?;
    let EventDraft {
        ts_ms,
        from,
        to,
        actor,
        reason,
    } = draft;
    Ok(AlertEvent {
        id,
        alert,
        ts_ms,
        from,
        to,
        actor,
        reason,
    })
}
