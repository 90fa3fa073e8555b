//! Maintenance windows made over the API.

use std::time::Duration;

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row, Sqlite, SqliteConnection};

use super::row_faults::skip_unreadable;
use super::silences::matchers;
use super::{ControlError, ControlStore, Result, exists, word};
use crate::domain::{Maintenance, Matcher, Recurrence, UnixMillis};

/// Windows that are not over: each is compared with every alert. More is a mistake, and is refused,
/// so that none is left aside when alerts are muted.
const MAX_WINDOWS: i64 = 10_000;
const WHAT: &str = "maintenance window";

#[derive(Debug, Clone)]
pub struct MaintenanceDraft {
    pub window: Maintenance,
    pub author: String,
    pub comment: String,
}

#[derive(Debug, Clone)]
pub struct StoredMaintenance {
    pub window: Maintenance,
    pub author: String,
    pub comment: String,
    pub created_ms: UnixMillis,
}

/// A recurrence in the words it was written in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WindowText {
    pub starts_ms: Option<UnixMillis>,
    pub ends_ms: Option<UnixMillis>,
    pub cron: Option<String>,
    pub zone: Option<String>,
    pub duration: Option<Duration>,
}

impl From<&Recurrence> for WindowText {
    fn from(recurrence: &Recurrence) -> Self {
        match recurrence {
            Recurrence::Once { starts_ms, ends_ms } => Self {
                starts_ms: Some(*starts_ms),
                ends_ms: Some(*ends_ms),
                ..Self::default()
            },
            Recurrence::Cron {
                text,
                schedule,
                duration,
            } => Self {
                cron: Some(text.clone()),
                zone: Some(schedule.zone().name().to_owned()),
                duration: Some(*duration),
                ..Self::default()
            },
        }
    }
}

impl ControlStore {
    /// `Exists` when there is one of that name, `Full` when there are too many that are not over.
    pub async fn maintenance_insert(
        &self,
        draft: MaintenanceDraft,
        now_ms: UnixMillis,
    ) -> Result<StoredMaintenance> {
        let insert = "INSERT INTO maintenance_windows (name, matchers, starts_ms, ends_ms, cron, zone, duration_ms, author, comment,
                 created_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING *";
        let mut tx = self.begin_roomy_write().await?;
        if !has_room(&draft.window.name, &mut tx, now_ms).await? {
            tx.rollback().await?;
            return Err(full());
        }
        let row = with_values(insert, &draft)
            .bind(now_ms)
            .fetch_one(&mut *tx)
            .await
            .map_err(|source| exists(source, WHAT, &draft.window.name))?;
        let stored = maintenance_from(&row)?;
        tx.commit().await?;
        Ok(stored)
    }

    /// `NotFound` when there is none of that name, `Full` when there are too many that are not over.
    /// Alerts are muted by the old window or by the new one at every moment.
    pub async fn maintenance_replace(
        &self,
        draft: MaintenanceDraft,
        now_ms: UnixMillis,
    ) -> Result<StoredMaintenance> {
        let update = "UPDATE maintenance_windows SET
                 matchers = $2, starts_ms = $3, ends_ms = $4, cron = $5, zone = $6, duration_ms = $7, author = $8, comment = $9
             WHERE name = $1 RETURNING *";
        let mut tx = self.begin_roomy_write().await?;
        if !has_room(&draft.window.name, &mut tx, now_ms).await? {
            tx.rollback().await?;
            return Err(full());
        }
        let row = with_values(update, &draft).fetch_optional(&mut *tx).await?;
        let Some(row) = row else {
            tx.rollback().await?;
            return Err(not_found(&draft.window.name));
        };
        let stored = maintenance_from(&row)?;
        tx.commit().await?;
        Ok(stored)
    }

    /// All of them, by name: those that are over too, until retention removes them.
    pub async fn maintenance_list(&self) -> Result<Vec<StoredMaintenance>> {
        let rows = sqlx::query("SELECT * FROM maintenance_windows ORDER BY name")
            .fetch_all(&self.reader)
            .await?;
        Ok(skip_unreadable(&rows, maintenance_from))
    }

    /// Windows that may be open at some time after a moment, by name. There are at most
    /// [`MAX_WINDOWS`] that are not over.
    pub async fn maintenance_open_after(
        &self,
        moment_ms: UnixMillis,
    ) -> Result<Vec<StoredMaintenance>> {
        let rows = sqlx::query(
            "SELECT * FROM maintenance_windows WHERE ends_ms IS NULL OR ends_ms > $1 ORDER BY name",
        )
        .bind(moment_ms)
        .fetch_all(&self.reader)
        .await?;
        Ok(self.readable("maintenance window", &rows, maintenance_from))
    }

    pub async fn maintenance_delete(&self, name: &str) -> Result<()> {
        let mut tx = self.begin_write().await?;
        let gone = sqlx::query("DELETE FROM maintenance_windows WHERE name = $1")
            .bind(name)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        match gone.rows_affected() {
            0 => Err(not_found(name)),
            _ => Ok(()),
        }
    }
}

/// Reports whether there are few enough others that are not over.
async fn has_room(name: &str, tx: &mut SqliteConnection, now_ms: UnixMillis) -> Result<bool> {
    let open: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM maintenance_windows WHERE (ends_ms IS NULL OR ends_ms > $1) AND name <> $2",
    )
    .bind(now_ms)
    .bind(name)
    .fetch_one(tx)
    .await?;
    Ok(open < MAX_WINDOWS)
}

fn full() -> ControlError {
    ControlError::Full {
        what: "maintenance windows",
        limit: MAX_WINDOWS,
    }
}

/// Returns a statement with the values of a window, `$1` to `$9` in this order.
fn with_values<'a>(
    sql: &'static str,
    draft: &'a MaintenanceDraft,
) -> Query<'a, Sqlite, SqliteArguments> {
    let window = &draft.window;
    let matchers: Vec<String> = window.matchers.iter().map(Matcher::to_string).collect();
    let text = WindowText::from(&window.recurrence);
    sqlx::query(sql)
        .bind(&window.name)
        .bind(serde_json::to_string(&matchers).expect("a list of texts"))
        .bind(text.starts_ms)
        .bind(text.ends_ms)
        .bind(text.cron)
        .bind(text.zone)
        .bind(text.duration.map(|duration| duration.as_millis() as i64))
        .bind(&draft.author)
        .bind(&draft.comment)
}

fn not_found(name: &str) -> ControlError {
    ControlError::NotFound {
        what: WHAT,
        name: name.to_owned(),
    }
}

fn maintenance_from(row: &SqliteRow) -> Result<StoredMaintenance> {
    let name: String = row.try_get("name")?;
    let recurrence = match row.try_get::<Option<String>, _>("cron")? {
        Some(cron) => {
            let zone: String = row
                .try_get::<Option<String>, _>("zone")?
                .unwrap_or_default();
            let ms = row
                .try_get::<Option<i64>, _>("duration_ms")?
                .unwrap_or_default()
                .max(0)
                .unsigned_abs();
            let found = format!("{cron} {zone}");
            Recurrence::cron(&cron, &zone, Duration::from_millis(ms)).map_err(|_| {
                ControlError::Unreadable {
                    what: WHAT,
                    name: name.clone(),
                    column: "cron",
                    found,
                }
            })?
        }
        None => Recurrence::Once {
            starts_ms: row
                .try_get::<Option<i64>, _>("starts_ms")?
                .unwrap_or_default(),
            ends_ms: row
                .try_get::<Option<i64>, _>("ends_ms")?
                .unwrap_or_default(),
        },
    };
    Ok(StoredMaintenance {
        window: Maintenance {
            matchers: word(row, "matchers", WHAT, &name, matchers)?,
            name,
            recurrence,
        },
        author: row.try_get("author")?,
        comment: row.try_get("comment")?,
        created_ms: row.try_get("created_ms")?,
    })
}
