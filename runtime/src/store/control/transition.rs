//! One step in an alert's life: the alert, its event and its place in its groups, all in one
//! transaction or not at all.

use sqlx::SqliteConnection;

use super::escalations::{self, EscalationDraft};
use super::rule_memory::{self, MemoryChange};
use super::{ControlError, Result, alert_groups, exists};
use crate::domain::{
    Alert, AlertEvent, AlertId, AlertMarks, AlertState, GroupDraft, Severity, UnixMillis,
};

/// The alert as it shall be. Without an id it is a new one.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertDraft {
    pub id: Option<AlertId>,
    pub name: String,
    pub rule: String,
    pub service: String,
    pub severity: Severity,
    pub state: AlertState,
    pub summary: String,
    pub value: Option<f64>,
    pub wanted: Option<f64>,
    pub started_ms: UnixMillis,
    pub fired_ms: Option<UnixMillis>,
    pub resolved_ms: Option<UnixMillis>,
    pub updated_ms: UnixMillis,
    pub marks: AlertMarks,
}

impl AlertDraft {
    pub fn into_alert(self, id: AlertId) -> Alert {
        Alert {
            id,
            name: self.name,
            rule: self.rule,
            service: self.service,
            severity: self.severity,
            state: self.state,
            summary: self.summary,
            value: self.value,
            wanted: self.wanted,
            started_ms: self.started_ms,
            fired_ms: self.fired_ms,
            resolved_ms: self.resolved_ms,
            updated_ms: self.updated_ms,
            suppressed_by: None,
            marks: self.marks,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct EventDraft {
    pub ts_ms: UnixMillis,
    /// The state that the alert must still be in; none for a new alert.
    pub from: Option<AlertState>,
    pub to: AlertState,
    pub actor: String,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    pub alert: AlertDraft,
    pub event: EventDraft,
    /// The groups that the alert belongs to from now on: those whose channels have to be told that
    /// it fires.
    pub groups: Vec<GroupDraft>,
    /// Whoever was told that it fires is told once more.
    pub is_news: bool,
    /// What is to be remembered of the rule from here on.
    pub memory: Option<MemoryChange>,
    /// Begins with an alert that fires.
    pub escalation: Option<EscalationDraft>,
}

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
            alert_groups::note_change(tx, id, &event, is_news).await?;
            escalations::note_change(tx, id, &event).await?;
            alert
        }
    };
    if let Some(memory) = memory {
        rule_memory::put(tx, &alert.rule, &alert.service, memory).await?;
    }
    if let Some(escalation) = &escalation {
        escalations::begin(tx, alert.id, escalation, event.ts_ms).await?;
    }
    // A channel that is in a group with the alert already is told of it there.
    let told = match groups.is_empty() {
        true => Vec::new(),
        false => alert_groups::channels_of(tx, alert.id).await?,
    };
    for group in groups.iter().filter(|group| !told.contains(&group.channel)) {
        alert_groups::join(tx, group, &alert).await?;
    }
    let event = append_event(tx, alert.id, event).await?;
    Ok((alert, event))
}

async fn insert(tx: &mut SqliteConnection, draft: AlertDraft) -> Result<Alert> {
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO alerts (name, rule, service, severity, state, summary, value, wanted, started_ms, fired_ms,
             resolved_ms, updated_ms, flapping, no_data)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING id",
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
    .bind(draft.marks.flapping)
    .bind(draft.marks.no_data)
    .fetch_one(tx)
    .await
    .map_err(|source| exists(source, "open alert of rule", &draft.rule))?;
    Ok(draft.into_alert(AlertId(id)))
}

/// What identifies the breach (name, rule, service, start) stays.
async fn update(
    tx: &mut SqliteConnection,
    draft: AlertDraft,
    id: AlertId,
    event: &mut EventDraft,
) -> Result<Alert> {
    let found: Option<String> = sqlx::query_scalar("SELECT state FROM alerts WHERE id = $1")
        .bind(id.0)
        .fetch_optional(&mut *tx)
        .await?;
    let found = found.ok_or_else(|| ControlError::NotFound {
        what: "alert",
        name: id.0.to_string(),
    })?;
    if let Some(expected) = event.from.filter(|expected| expected.as_str() != found) {
        // An end is an end, whether the alert was muted meanwhile or not.
        let mutable = [AlertState::Firing, AlertState::Suppressed];
        let meanwhile = mutable.into_iter().find(|state| state.as_str() == found);
        if event.to != AlertState::Resolved || !mutable.contains(&expected) || meanwhile.is_none() {
            let expected = format!("state `{}`", expected.as_str());
            let found = format!("state `{found}`");
            return Err(ControlError::Conflict {
                what: "alert",
                name: id.0.to_string(),
                expected,
                found,
            });
        }
        event.from = meanwhile;
    }
    let acknowledged = draft.marks.acknowledged.as_ref();
    let row = sqlx::query(
        "UPDATE alerts SET severity = $1, state = $2, summary = $3, value = $4, wanted = $5, fired_ms = $6,
             resolved_ms = $7, updated_ms = $8,
             suppressed_by = CASE WHEN $2 = 'suppressed' THEN suppressed_by END, flapping = $9, no_data = $10, ack_by = $11, ack_ms = $12,
             ack_until_ms = $13, ack_note = $14
         WHERE id = $15 RETURNING *",
    )
    .bind(draft.severity.as_str())
    .bind(draft.state.as_str())
    .bind(&draft.summary)
    .bind(draft.value)
    .bind(draft.wanted)
    .bind(draft.fired_ms)
    .bind(draft.resolved_ms)
    .bind(draft.updated_ms)
    .bind(draft.marks.flapping)
    .bind(draft.marks.no_data)
    .bind(acknowledged.map(|acknowledged| acknowledged.by.as_str()))
    .bind(acknowledged.map(|acknowledged| acknowledged.at_ms))
    .bind(acknowledged.and_then(|acknowledged| acknowledged.until_ms))
    .bind(acknowledged.map(|acknowledged| acknowledged.note.as_str()))
    .bind(id.0)
    .fetch_one(tx)
    .await
    .map_err(|source| exists(source, "open alert of rule", &draft.rule))?;
    super::alerts::alert_from(&row)
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
