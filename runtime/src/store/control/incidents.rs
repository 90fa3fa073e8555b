//! Incidents: written once for each change, and read by those who follow the changes.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::row_faults::skip_unreadable;
use super::{ControlStore, Result, page, word};
use crate::domain::{
    Alert, AlertId, Incident, IncidentFacts, IncidentKind, IncidentOutcome, IncidentSource,
    UnixMillis,
};

impl ControlStore {
    /// Writes incidents, each as it is now, and moves the mark of the vendors' events; all of it or
    /// nothing. What is written already changes nothing. Returns how many changed.
    pub async fn incident_put(
        &self,
        incidents: &[IncidentFacts],
        event_mark: Option<i64>,
        now_ms: UnixMillis,
    ) -> Result<u64> {
        let mut tx = self.begin_roomy_write().await?;
        let mut changed = 0;
        for facts in incidents {
            changed += u64::from(put(&mut tx, facts, now_ms).await?);
        }
        if let Some(mark) = event_mark {
            sqlx::query("UPDATE incident_marks SET value = $1 WHERE name = 'event'")
                .bind(mark)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(changed)
    }

    /// Returns those of a source that are open, or ended at a moment or later, in the order in which
    /// they were first written.
    pub async fn incident_recent(
        &self,
        source: IncidentSource,
        ended_since_ms: UnixMillis,
    ) -> Result<Vec<Incident>> {
        let open = sqlx::query("SELECT * FROM incidents WHERE ended_ms IS NULL AND source = $1")
            .bind(source.as_str())
            .fetch_all(&self.reader)
            .await?;
        let ended = sqlx::query("SELECT * FROM incidents WHERE ended_ms >= $1 AND source = $2")
            .bind(ended_since_ms)
            .bind(source.as_str())
            .fetch_all(&self.reader)
            .await?;
        let mut found = skip_unreadable(&open, incident_from);
        found.extend(skip_unreadable(&ended, incident_from));
        found.sort_by_key(|incident| incident.id);
        Ok(found)
    }

    pub async fn incident_get(
        &self,
        service: &str,
        source: IncidentSource,
        reference: &str,
    ) -> Result<Option<Incident>> {
        let row = sqlx::query(
            "SELECT * FROM incidents WHERE service = $1 AND source = $2 AND reference = $3",
        )
        .bind(service)
        .bind(source.as_str())
        .bind(reference)
        .fetch_optional(&self.reader)
        .await?;
        row.as_ref().map(incident_from).transpose()
    }

    /// Those whose last change has a greater id, in the order of their changes.
    pub async fn incident_after(&self, change_id: i64, limit: u32) -> Result<Vec<Incident>> {
        let rows =
            sqlx::query("SELECT * FROM incidents WHERE change_id > $1 ORDER BY change_id LIMIT $2")
                .bind(change_id)
                .bind(page(limit))
                .fetch_all(&self.reader)
                .await?;
        rows.iter().map(incident_from).collect()
    }

    /// Id of the last event of a vendor that was looked at.
    pub async fn incident_event_mark(&self) -> Result<i64> {
        let mark: Option<i64> =
            sqlx::query_scalar("SELECT value FROM incident_marks WHERE name = 'event'")
                .fetch_optional(&self.reader)
                .await?;
        Ok(mark.unwrap_or_default())
    }
}

/// True: something changed.
async fn put(tx: &mut SqliteConnection, facts: &IncidentFacts, now_ms: UnixMillis) -> Result<bool> {
    let row = sqlx::query(
        "SELECT * FROM incidents WHERE service = $1 AND source = $2 AND reference = $3",
    )
    .bind(&facts.service)
    .bind(facts.source.as_str())
    .bind(&facts.reference)
    .fetch_optional(&mut *tx)
    .await?;
    let known = row.as_ref().map(incident_from).transpose()?;
    if known.as_ref().is_some_and(|known| known.facts == *facts) {
        return Ok(false);
    }
    let alert = match (facts.source, known.as_ref().and_then(|known| known.alert)) {
        (IncidentSource::Vendor, _) => None,
        (IncidentSource::Ours, Some(alert)) => Some(alert.0),
        (IncidentSource::Ours, None) => firing(tx, facts).await?,
    };
    let change_id = next_change(tx).await?;
    sqlx::query(
        "INSERT INTO incidents (service, source, reference, kind, cause, error_kind, probe, started_ms, ended_ms,
             outcome, runs, reopened, decided_ms, alert_id, change_id, changed_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
         ON CONFLICT (service, source, reference) DO UPDATE SET kind = $4, cause = $5, error_kind = $6, probe = $7,
             started_ms = $8, ended_ms = $9, outcome = $10, runs = $11, reopened = $12, decided_ms = $13, alert_id = $14,
             change_id = $15,
             changed_ms = CASE WHEN incidents.changed_ms > $16 THEN incidents.changed_ms ELSE $16 END",
    )
    .bind(&facts.service)
    .bind(facts.source.as_str())
    .bind(&facts.reference)
    .bind(facts.kind.as_str())
    .bind(&facts.cause)
    .bind(&facts.error_kind)
    .bind(&facts.probe)
    .bind(facts.started_ms)
    .bind(facts.ended_ms)
    .bind(facts.outcome.map(IncidentOutcome::as_str))
    .bind(i64::try_from(facts.runs).unwrap_or(i64::MAX))
    .bind(i64::from(facts.reopened))
    .bind(facts.decided_ms)
    .bind(alert)
    .bind(change_id)
    .bind(now_ms)
    .execute(tx)
    .await?;
    Ok(true)
}

/// The first open alert of the service that fired during the incident.
async fn firing(tx: &mut SqliteConnection, facts: &IncidentFacts) -> Result<Option<i64>> {
    let alert = sqlx::query_scalar(
        "SELECT id FROM alerts INDEXED BY alerts_open
         WHERE state <> 'resolved' AND service = $1 AND fired_ms >= $2 AND fired_ms <= $3 ORDER BY fired_ms, id LIMIT 1",
    )
    .bind(&facts.service)
    .bind(facts.started_ms)
    .bind(facts.ended_ms.unwrap_or(i64::MAX))
    .fetch_optional(tx)
    .await?;
    Ok(alert)
}

/// Notes an alert that fires at the open incident of its service, in the transaction of the alert. It
/// may be older than the last change, which it must not seem to be.
pub(super) async fn note_alert(tx: &mut SqliteConnection, alert: &Alert) -> Result<()> {
    let Some(fired_ms) = alert.fired_ms else {
        return Ok(());
    };
    let open: Option<i64> = sqlx::query_scalar(
        "SELECT id FROM incidents
         WHERE ended_ms IS NULL AND source = 'ours' AND service = $1 AND alert_id IS NULL AND started_ms <= $2 LIMIT 1",
    )
    .bind(&alert.service)
    .bind(fired_ms)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(id) = open else { return Ok(()) };
    let change_id = next_change(tx).await?;
    sqlx::query(
        "UPDATE incidents SET alert_id = $1, change_id = $2,
             changed_ms = CASE WHEN changed_ms > $3 THEN changed_ms ELSE $3 END
         WHERE id = $4",
    )
    .bind(alert.id.0)
    .bind(change_id)
    .bind(alert.updated_ms)
    .bind(id)
    .execute(tx)
    .await?;
    Ok(())
}

/// The writer is alone, so changes become visible in the order of their ids.
async fn next_change(tx: &mut SqliteConnection) -> Result<i64> {
    let id = sqlx::query_scalar(
        "UPDATE incident_marks SET value = value + 1 WHERE name = 'change' RETURNING value",
    )
    .fetch_one(tx)
    .await?;
    Ok(id)
}

fn incident_from(row: &SqliteRow) -> Result<Incident> {
    let id: i64 = row.try_get("id")?;
    let outcome = match row.try_get::<Option<String>, _>("outcome")? {
        None => None,
        Some(_) => Some(word(
            row,
            "outcome",
            "incident",
            id,
            IncidentOutcome::parse,
        )?),
    };
    Ok(Incident {
        id,
        facts: IncidentFacts {
            service: row.try_get("service")?,
            source: word(row, "source", "incident", id, IncidentSource::parse)?,
            reference: row.try_get("reference")?,
            kind: word(row, "kind", "incident", id, IncidentKind::parse)?,
            cause: row.try_get("cause")?,
            error_kind: row.try_get("error_kind")?,
            probe: row.try_get("probe")?,
            started_ms: row.try_get("started_ms")?,
            ended_ms: row.try_get("ended_ms")?,
            outcome,
            runs: row.try_get::<i64, _>("runs")?.unsigned_abs(),
            reopened: u32::try_from(row.try_get::<i64, _>("reopened")?).unwrap_or_default(),
            decided_ms: row.try_get("decided_ms")?,
        },
        alert: row.try_get::<Option<i64>, _>("alert_id")?.map(AlertId),
        change_id: row.try_get("change_id")?,
        changed_ms: row.try_get("changed_ms")?,
    })
}
