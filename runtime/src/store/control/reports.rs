//! Reports made over the API, and the runs of all reports: a row before anything is rendered. What a
//! run made and the messages about it are one transaction.

use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::notifications::{notification_from, queue};
use super::{ControlError, ControlStore, Result, exists, page, word};
use crate::domain::{
    ChannelId, MessageFile, Notification, NotificationDraft, NotificationReason,
    NotificationStatus, ReportRunState, UnixMillis,
};

/// More than people find their way in.
const MAX_REPORTS: i64 = 200;
/// Runs kept of each report.
const RUNS_KEPT: i64 = 60;
/// Runs of a report that wait to be made.
const MOST_UNFINISHED: i64 = 5;
const WHAT: &str = "report";
const RUN: &str = "run of a report";

#[derive(Debug, Clone, PartialEq)]
pub struct StoredReport {
    pub name: String,
    /// Entry as it was given.
    pub spec: Value,
    /// Name of the token that wrote it last.
    pub author: String,
    pub created_ms: UnixMillis,
    pub updated_ms: UnixMillis,
}

/// A run, without what it made.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportRun {
    pub id: i64,
    pub report: String,
    /// First day and the day behind the last one: `2026-11-16/2026-11-23`.
    pub period: String,
    pub is_scheduled: bool,
    pub due_ms: UnixMillis,
    pub created_ms: UnixMillis,
    pub finished_ms: Option<UnixMillis>,
    pub state: ReportRunState,
    /// How often it was begun.
    pub attempts: i64,
    /// It is not begun again before.
    pub next_attempt_ms: UnixMillis,
    /// Why it failed, or is incomplete.
    pub error: Option<String>,
    pub title: String,
}

/// A run that is to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportRunDraft {
    pub report: String,
    pub run_key: String,
    pub period: String,
    pub is_scheduled: bool,
    pub due_ms: UnixMillis,
}

/// What a run made.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportResult {
    pub state: ReportRunState,
    pub error: Option<String>,
    pub title: String,
    /// Report as JSON.
    pub data: String,
    pub letter: String,
    pub page: String,
    pub files: Vec<MessageFile>,
}

/// Content of a message about a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportLetter {
    pub title: String,
    pub text: String,
    pub html: String,
    pub files: Vec<MessageFile>,
}

impl ControlStore {
    /// Adds a report. `Exists` when there is one of that name, `Full` when there are too many.
    pub async fn report_insert(
        &self,
        name: &str,
        spec: &Value,
        author: &str,
        now_ms: UnixMillis,
    ) -> Result<()> {
        let mut tx = self.begin_roomy_write().await?;
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM reports")
            .fetch_one(&mut *tx)
            .await?;
        if count >= MAX_REPORTS {
            tx.rollback().await?;
            return Err(ControlError::Full {
                what: "reports",
                limit: MAX_REPORTS,
            });
        }
        sqlx::query(
            "INSERT INTO reports (name, spec, author, created_ms, updated_ms) VALUES ($1, $2, $3, $4, $4)",
        )
        .bind(name)
        .bind(spec.to_string())
        .bind(author)
        .bind(now_ms)
        .execute(&mut *tx)
        .await
        .map_err(|source| exists(source, WHAT, name))?;
        tx.commit().await
    }

    /// Replaces a report. `NotFound` when there is none of that name.
    pub async fn report_replace(
        &self,
        name: &str,
        spec: &Value,
        author: &str,
        now_ms: UnixMillis,
    ) -> Result<()> {
        let mut tx = self.begin_roomy_write().await?;
        let replaced = sqlx::query(
            "UPDATE reports SET spec = $2, author = $3, updated_ms = $4 WHERE name = $1",
        )
        .bind(name)
        .bind(spec.to_string())
        .bind(author)
        .bind(now_ms)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        found(replaced.rows_affected(), WHAT, name)
    }

    /// Removes a report with its runs and the begin of its schedule. `NotFound` when there is none of
    /// that name.
    pub async fn report_delete(&self, name: &str) -> Result<()> {
        let mut tx = self.begin_write().await?;
        let deleted = sqlx::query("DELETE FROM reports WHERE name = $1")
            .bind(name)
            .execute(&mut *tx)
            .await?;
        if deleted.rows_affected() == 0 {
            tx.rollback().await?;
            return found(0, WHAT, name);
        }
        for query in [
            "DELETE FROM report_files WHERE run_id IN (SELECT id FROM report_runs WHERE report = $1)",
            "DELETE FROM report_runs WHERE report = $1",
            "DELETE FROM report_schedules WHERE name = $1",
        ] {
            sqlx::query(query).bind(name).execute(&mut *tx).await?;
        }
        tx.commit().await
    }

    /// Returns the reports of the API, by name; one that can't be read is left out.
    pub async fn report_list(&self) -> Result<Vec<StoredReport>> {
        let rows = sqlx::query("SELECT * FROM reports ORDER BY name")
            .fetch_all(&self.reader)
            .await?;
        Ok(self.readable(WHAT, &rows, report_from))
    }

    /// Returns since when a report has this schedule: since now if it had another one, or none.
    pub async fn report_schedule_since(
        &self,
        name: &str,
        schedule: &str,
        now_ms: UnixMillis,
    ) -> Result<UnixMillis> {
        let known: Option<(String, i64)> =
            sqlx::query_as("SELECT schedule, since_ms FROM report_schedules WHERE name = $1")
                .bind(name)
                .fetch_optional(&self.reader)
                .await?;
        if let Some((known, since_ms)) = known
            && known == schedule
        {
            return Ok(since_ms);
        }
        let mut tx = self.begin_write().await?;
        sqlx::query(
            "INSERT INTO report_schedules (name, schedule, since_ms) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO UPDATE SET schedule = excluded.schedule, since_ms = excluded.since_ms",
        )
        .bind(name)
        .bind(schedule)
        .bind(now_ms)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(now_ms)
    }

    /// Forgets the schedules of all other reports: one that comes back begins anew.
    pub async fn report_schedule_retain(&self, names: &[&str]) -> Result<()> {
        let known: Vec<String> = sqlx::query_scalar("SELECT name FROM report_schedules")
            .fetch_all(&self.reader)
            .await?;
        if known.iter().all(|name| names.contains(&name.as_str())) {
            return Ok(());
        }
        let mut tx = self.begin_write().await?;
        sqlx::query(
            "DELETE FROM report_schedules WHERE name NOT IN (SELECT value FROM json_each($1))",
        )
        .bind(serde_json::to_string(names).expect("a list of texts"))
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// Writes down that a run is to be made. None: there is one of that key. `Full` when too many of
    /// the report wait.
    pub async fn report_run_begin(
        &self,
        draft: &ReportRunDraft,
        now_ms: UnixMillis,
    ) -> Result<Option<ReportRun>> {
        let known: Option<i64> =
            sqlx::query_scalar("SELECT id FROM report_runs WHERE run_key = $1")
                .bind(&draft.run_key)
                .fetch_optional(&self.reader)
                .await?;
        if known.is_some() {
            return Ok(None);
        }
        let mut tx = self.begin_roomy_write().await?;
        let unfinished: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM report_runs INDEXED BY report_runs_of_report WHERE report = $1 AND finished_ms IS NULL",
        )
        .bind(&draft.report)
        .fetch_one(&mut *tx)
        .await?;
        if unfinished >= MOST_UNFINISHED {
            tx.rollback().await?;
            return Err(ControlError::Full {
                what: "runs of the report that wait",
                limit: MOST_UNFINISHED,
            });
        }
        let row = sqlx::query(
            "INSERT INTO report_runs (report, run_key, period, is_scheduled, due_ms, created_ms, state)
             VALUES ($1, $2, $3, $4, $5, $6, 'scheduled') ON CONFLICT (run_key) DO NOTHING RETURNING *",
        )
        .bind(&draft.report)
        .bind(&draft.run_key)
        .bind(&draft.period)
        .bind(draft.is_scheduled)
        .bind(draft.due_ms)
        .bind(now_ms)
        .fetch_optional(&mut *tx)
        .await?;
        let run = row.as_ref().map(run_from).transpose()?;
        tx.commit().await?;
        Ok(run)
    }

    /// Notes that a run is begun, and when it may be begun again if nothing comes of it.
    pub async fn report_run_rendering(&self, id: i64, next_attempt_ms: UnixMillis) -> Result<()> {
        let mut tx = self.begin_write().await?;
        sqlx::query(
            "UPDATE report_runs SET state = 'rendering', attempts = attempts + 1, next_attempt_ms = $2
             WHERE id = $1 AND finished_ms IS NULL",
        )
        .bind(id)
        .bind(next_attempt_ms)
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// Keeps what a run made, and queues it for each channel, in one transaction. The oldest runs of
    /// the report go. `Conflict` when it was finished before.
    pub async fn report_run_finish(
        &self,
        run: &ReportRun,
        result: &ReportResult,
        channels: &[ChannelId],
        now_ms: UnixMillis,
    ) -> Result<()> {
        let mut tx = self.begin_roomy_write().await?;
        let finished = sqlx::query(
            "UPDATE report_runs SET state = $2, error = $3, title = $4, data = $5, letter = $6, page = $7,
                 finished_ms = $8, sends = 1
             WHERE id = $1 AND finished_ms IS NULL",
        )
        .bind(run.id)
        .bind(result.state.as_str())
        .bind(&result.error)
        .bind(&result.title)
        .bind(&result.data)
        .bind(&result.letter)
        .bind(&result.page)
        .bind(now_ms)
        .execute(&mut *tx)
        .await?;
        if finished.rows_affected() == 0 {
            tx.rollback().await?;
            return Err(ControlError::Conflict {
                what: RUN,
                name: run.id.to_string(),
                expected: "an unfinished run".to_owned(),
                found: "a finished one".to_owned(),
            });
        }
        for file in &result.files {
            sqlx::query(
                "INSERT INTO report_files (run_id, name, media_type, content_id, content) VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(run.id)
            .bind(&file.name)
            .bind(&file.media_type)
            .bind(&file.content_id)
            .bind(&file.content)
            .execute(&mut *tx)
            .await?;
        }
        send(&mut tx, run, 1, channels, now_ms).await?;
        trim(&mut tx, &run.report).await?;
        tx.commit().await
    }

    /// Notes why nothing came of a run.
    pub async fn report_run_fail(&self, id: i64, error: &str, now_ms: UnixMillis) -> Result<()> {
        let mut tx = self.begin_write().await?;
        sqlx::query(
            "UPDATE report_runs SET state = 'failed', error = $2, finished_ms = $3
             WHERE id = $1 AND finished_ms IS NULL",
        )
        .bind(id)
        .bind(error)
        .bind(now_ms)
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// Queues what a run made once more, under keys of their own. `NotFound` when it made nothing.
    pub async fn report_run_resend(
        &self,
        run: &ReportRun,
        channels: &[ChannelId],
        now_ms: UnixMillis,
    ) -> Result<()> {
        let mut tx = self.begin_write().await?;
        let sends: Option<i64> = sqlx::query_scalar(
            "UPDATE report_runs SET sends = sends + 1 WHERE id = $1 AND page IS NOT NULL RETURNING sends",
        )
        .bind(run.id)
        .fetch_optional(&mut *tx)
        .await?;
        let Some(sends) = sends else {
            tx.rollback().await?;
            return found(0, RUN, run.id);
        };
        send(&mut tx, run, sends, channels, now_ms).await?;
        tx.commit().await
    }

    /// Returns the runs that were begun and not finished, oldest first.
    pub async fn report_run_unfinished(&self) -> Result<Vec<ReportRun>> {
        let rows = sqlx::query(
            "SELECT * FROM report_runs INDEXED BY report_runs_unfinished WHERE finished_ms IS NULL ORDER BY id LIMIT 1000",
        )
        .fetch_all(&self.reader)
        .await?;
        Ok(self.readable(RUN, &rows, run_from))
    }

    /// Returns the runs of a report, the newest first.
    pub async fn report_run_list(
        &self,
        report: &str,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<ReportRun>> {
        let rows = sqlx::query(
            "SELECT * FROM report_runs WHERE report = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
        )
        .bind(report)
        .bind(before.unwrap_or(i64::MAX))
        .bind(page(limit))
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(run_from).collect()
    }

    pub async fn report_run_get(&self, report: &str, id: i64) -> Result<Option<ReportRun>> {
        let row = sqlx::query("SELECT * FROM report_runs WHERE report = $1 AND id = $2")
            .bind(report)
            .bind(id)
            .fetch_optional(&self.reader)
            .await?;
        row.as_ref().map(run_from).transpose()
    }

    /// Returns the report that a run made, as JSON.
    pub async fn report_run_data(&self, id: i64) -> Result<Option<String>> {
        let data: Option<Option<String>> =
            sqlx::query_scalar("SELECT data FROM report_runs WHERE id = $1")
                .bind(id)
                .fetch_optional(&self.reader)
                .await?;
        Ok(data.flatten())
    }

    /// Returns the content of messages about a run.
    pub async fn report_letter(&self, id: i64) -> Result<Option<ReportLetter>> {
        let row = sqlx::query(
            "SELECT title, letter, page FROM report_runs WHERE id = $1 AND page IS NOT NULL",
        )
        .bind(id)
        .fetch_optional(&self.reader)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let files = sqlx::query(
            "SELECT name, media_type, content_id, content FROM report_files WHERE run_id = $1 ORDER BY name",
        )
        .bind(id)
        .fetch_all(&self.reader)
        .await?;
        let files = files.iter().map(file_from).collect::<Result<_>>()?;
        Ok(Some(ReportLetter {
            title: row.try_get("title")?,
            text: row.try_get("letter")?,
            html: row.try_get("page")?,
            files,
        }))
    }

    /// Returns the messages about a run, by channel.
    pub async fn report_notifications(&self, run: &ReportRun) -> Result<Vec<Notification>> {
        let rows = sqlx::query(
            "SELECT * FROM notifications WHERE group_key = $1 ORDER BY channel, id LIMIT 1000",
        )
        .bind(group_key(run))
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(notification_from).collect()
    }
}

fn group_key(run: &ReportRun) -> String {
    format!("report:{}:{}", run.report, run.id)
}

/// Queues the messages of one sending: each channel at most once.
async fn send(
    tx: &mut SqliteConnection,
    run: &ReportRun,
    sends: i64,
    channels: &[ChannelId],
    now_ms: UnixMillis,
) -> Result<()> {
    for channel in channels {
        let draft = NotificationDraft {
            group_key: group_key(run),
            group_labels: vec![("report".to_owned(), run.report.clone())],
            channel: channel.clone(),
            reason: NotificationReason::Report,
            // It ends nothing, and nothing that ends follows it.
            status: NotificationStatus::Resolved,
            idempotency_key: format!("report-{}-{sends}-{}", run.id, channel.0),
            alerts: Vec::new(),
            omitted: 0,
        };
        queue(tx, now_ms, draft).await?;
    }
    Ok(())
}

/// Removes the oldest runs of a report. One that is on its way stays.
async fn trim(tx: &mut SqliteConnection, report: &str) -> Result<()> {
    let old = "SELECT r.id FROM report_runs r WHERE r.report = $1 AND r.finished_ms IS NOT NULL
            AND r.id NOT IN (SELECT id FROM report_runs WHERE report = $1 ORDER BY id DESC LIMIT $2)
            AND NOT EXISTS (
                SELECT 1 FROM notifications n
                WHERE n.group_key = 'report:' || r.report || ':' || r.id AND n.state = 'waiting')";
    let ids: Vec<i64> = sqlx::query_scalar(old)
        .bind(report)
        .bind(RUNS_KEPT)
        .fetch_all(&mut *tx)
        .await?;
    for id in ids {
        sqlx::query("DELETE FROM report_files WHERE run_id = $1")
            .bind(id)
            .execute(&mut *tx)
            .await?;
        sqlx::query("DELETE FROM report_runs WHERE id = $1")
            .bind(id)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

fn found(rows: u64, what: &'static str, name: impl ToString) -> Result<()> {
    match rows {
        0 => Err(ControlError::NotFound {
            what,
            name: name.to_string(),
        }),
        _ => Ok(()),
    }
}

fn report_from(row: &SqliteRow) -> Result<StoredReport> {
    let name: String = row.try_get("name")?;
    Ok(StoredReport {
        spec: word(row, "spec", WHAT, &name, |text| {
            serde_json::from_str(text).ok()
        })?,
        author: row.try_get("author")?,
        created_ms: row.try_get("created_ms")?,
        updated_ms: row.try_get("updated_ms")?,
        name,
    })
}

fn run_from(row: &SqliteRow) -> Result<ReportRun> {
    let id: i64 = row.try_get("id")?;
    Ok(ReportRun {
        id,
        report: row.try_get("report")?,
        period: row.try_get("period")?,
        is_scheduled: row.try_get("is_scheduled")?,
        due_ms: row.try_get("due_ms")?,
        created_ms: row.try_get("created_ms")?,
        finished_ms: row.try_get("finished_ms")?,
        state: word(row, "state", RUN, id, ReportRunState::parse)?,
        attempts: row.try_get("attempts")?,
        next_attempt_ms: row.try_get("next_attempt_ms")?,
        error: row.try_get("error")?,
        title: row.try_get("title")?,
    })
}

fn file_from(row: &SqliteRow) -> Result<MessageFile> {
    Ok(MessageFile {
        name: row.try_get("name")?,
        media_type: row.try_get("media_type")?,
        content_id: row.try_get("content_id")?,
        content: row.try_get("content")?,
    })
}

#[cfg(test)]
mod tests;
