//! State, in SQLite: services, channels, tokens, alerts, the outbox, plugins, the audit log.
//! Secrets exist only here, sealed. One connection writes, a few read; a commit is on the disk when
//! it returns.

mod accepted_configuration;
mod alert_groups;
mod alerts;
mod archive_files;
mod audit;
mod backup;
mod ballast;
mod channels;
mod consumers;
mod credentials;
mod error;
mod escalations;
mod heartbeats;
mod incident_notes;
mod incidents;
mod keyring;
mod maintenance;
mod marker;
mod migration;
mod mutes;
mod notifications;
mod opening;
mod outbox;
mod overdue;
mod pauses;
mod plugin_policies;
mod plugins;
mod reports;
mod resend;
mod retention;
mod rotation;
mod row;
mod row_faults;
mod rule_memory;
mod saved_queries;
mod services;
mod set_clock;
mod silences;
#[cfg(test)]
mod testing;
mod tokens;
mod transition;
mod transition_draft;
mod transition_group;
mod transition_queue;
mod upkeep;
mod wal;
mod webhook_deliveries;
mod write;
mod write_error;
mod write_health;

use std::sync::Arc;

use sqlx::Row;
use sqlx::sqlite::{SqlitePool, SqliteRow};

pub use accepted_configuration::AcceptedConfiguration;
pub use alerts::AlertFilter;
pub use archive_files::ArchiveFilter;
pub use audit::{AuditEntry, AuditFilter};
pub use ballast::BallastState;
pub use channels::ChannelsFollowed;
pub use consumers::{ConsumerDraft, QuotaUse};
pub use credentials::CredentialUse;
pub use error::ControlError;
pub use escalations::{Escalation, StepTaken};
pub use heartbeats::StoredHeartbeat;
pub use incident_notes::{IncidentNote, IncidentNoteDraft};
pub use keyring::{KeyError, Keyring};
pub use maintenance::{MaintenanceDraft, StoredMaintenance, WindowText};
pub use notifications::{
    AfterAttempt, Attempt, AttemptOutcome, DueNotification, NotificationFilter,
};
pub use opening::ControlSettings;
pub use overdue::{Overdue, OverdueKind};
pub use plugin_policies::StoredPolicy;
pub use reports::{ReportLetter, ReportResult, ReportRun, ReportRunDraft, StoredReport};
pub use retention::{Retained, RetentionPlace, RetentionStep};
pub use rotation::{NewKey, Rotated};
pub use row::MAX_PAGE;
pub use saved_queries::{SavedQuery, SavedQueryDraft};
pub use services::{ServiceWrite, StoredService};
pub use silences::{SilenceDraft, StoredSilence};
pub use tokens::{Session, Token, TokenDraft, TokenHash, TokenOrigin};
pub use transition_draft::{AlertDraft, EscalationDraft, EventDraft, MemoryChange, Transition};
pub use write_health::{ControlHealth, WriteFault};

use super::lock::DataLock;
use error::Result;
use keyring::Place;
use marker::Marker;
use row::{exists, page, word};
use row_faults::RowFaults;
use transition_queue::TransitionQueue;
use write_health::WriteHealth;

/// Cheap to clone; the files are released with the last clone.
#[derive(Clone)]
pub struct ControlStore {
    writer: SqlitePool,
    reader: SqlitePool,
    keyring: Arc<Keyring>,
    transitions: Arc<TransitionQueue>,
    row_faults: RowFaults,
    health: Arc<WriteHealth>,
    marker: Arc<Marker>,
    /// Identity of this store, for as long as it exists.
    identity: Arc<str>,
    _lock: Arc<DataLock>,
    #[cfg(test)]
    hooks: Arc<testing::TestHooks>,
}

impl ControlStore {
    pub fn health(&self) -> ControlHealth {
        ControlHealth {
            fault: self.health.fault(),
            ballast: self.health.ballast.state(),
        }
    }

    /// Rows of one kind, all that there are or all that are due, without those that can't be read.
    pub(super) fn readable<T>(
        &self,
        kind: &'static str,
        rows: &[SqliteRow],
        read: impl Fn(&SqliteRow) -> Result<T>,
    ) -> Vec<T> {
        let (read, faults) = row_faults::split(rows, read);
        self.row_faults.replace(kind, faults);
        read
    }

    /// Returns one line for each kind with unreadable rows, without private data.
    pub fn warnings(&self) -> Vec<String> {
        self.row_faults.warnings()
    }

    /// A value sealed once, at the first start, opens only under the same key.
    async fn check_key(&self) -> Result<()> {
        let found = sqlx::query("SELECT sealed, key_id FROM sealed_check WHERE id = 1")
            .fetch_optional(&self.reader)
            .await?;
        match found {
            Some(row) => match self.keyring.open(CHECK, row.try_get("sealed")?) {
                Ok(opened) if opened == CHECKED => Ok(()),
                _ => {
                    let known: Option<String> = row.try_get("key_id")?;
                    Err(ControlError::Key(self.wrong_key(known.as_deref())))
                }
            },
            None => {
                let sealed = self.keyring.seal(CHECK, CHECKED)?;
                let mut tx = self.begin_write().await?;
                sqlx::query("INSERT INTO sealed_check (id, sealed, key_id) VALUES (1, $1, $2)")
                    .bind(sealed)
                    .bind(self.keyring.id())
                    .execute(&mut *tx)
                    .await?;
                tx.commit().await
            }
        }
    }

    fn wrong_key(&self, known: Option<&str>) -> KeyError {
        let id = self.keyring.id();
        KeyError::Wrong {
            key: self.keyring.source().to_owned(),
            ids: known.map_or_else(String::new, |known| {
                format!(" (fingerprint `{known}`, not `{id}`)")
            }),
        }
    }
}

/// Place and content of the value that shows whether a key is the right one.
const CHECK: Place<'static> = Place {
    table: "sealed_check",
    identity: "1",
    revision: 1,
};
const CHECKED: &[u8] = b"extrack";

#[cfg(test)]
mod query_plans;

#[cfg(test)]
impl ControlStore {
    /// Runs a statement that only a later version, or a person with a tool, would run.
    pub(crate) async fn execute(&self, statement: &'static str) {
        sqlx::raw_sql(statement)
            .execute(&self.writer)
            .await
            .unwrap();
    }
}

#[cfg(test)]
mod tests;
