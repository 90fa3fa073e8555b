//! Maintenance windows made over the API.

use std::time::Duration;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::row_faults::skip_unreadable;
use super::silences::matchers;
use super::{ControlError, ControlStore, Result, exists, word};
use crate::domain::{Maintenance, Matcher, Recurrence, UnixMillis};

/// Windows that are not over: each is compared with every alert. More is a mistake, and is refused,
/// so that none is left aside when alerts are muted.
const MAX_WINDOWS: i64 = 10_000;

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
        let window = &draft.window;
        let matchers: Vec<String> = window.matchers.iter().map(Matcher::to_string).collect();
        let text = WindowText::from(&window.recurrence);
        let mut tx = self.begin_roomy_write().await?;
        let open: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM maintenance_windows WHERE ends_ms IS NULL OR ends_ms > $1",
        )
        .bind(now_ms)
        .fetch_one(&mut *tx)
        .await?;
        if open >= MAX_WINDOWS {
            tx.rollback().await?;
            return Err(ControlError::Full {
                what: "maintenance windows",
                limit: MAX_WINDOWS,
            });
        }
        let row = sqlx::query(
            "INSERT INTO maintenance_windows (name, matchers, starts_ms, ends_ms, cron, zone, duration_ms, author, comment,
                 created_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING *",
        )
        .bind(&window.name)
        .bind(serde_json::to_string(&matchers).expect("a list of texts"))
        .bind(text.starts_ms)
        .bind(text.ends_ms)
        .bind(text.cron)
        .bind(text.zone)
        .bind(text.duration.map(|duration| duration.as_millis() as i64))
        .bind(&draft.author)
        .bind(&draft.comment)
        .bind(now_ms)
        .fetch_one(&mut *tx)
        .await
        .map_err(|source| exists(source, "maintenance window", &window.name))?;
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
            0 => Err(ControlError::NotFound {
                what: "maintenance window",
                name: name.to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

fn maintenance_from(row: &SqliteRow) -> Result<StoredMaintenance> {
    const WHAT: &str = "maintenance window";
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
